#include "native_steps.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "exec/program.h"
#include "model/model.h"

enum {
	ALIGNMENT = 64,
	/* Of memory as a host device reserves it, in large pages where there are some. */
	LARGE_PAGE = 2 << 20,
};

/* One measurement: the model, its program for the given inputs, and memory to run it in. */
struct steps {
	struct arena arena;
	struct model *model;
	struct program *program;
	/* The parameters, and the workspace. */
	void *parameters;
	void *workspace;
	struct program_binding binding;
};

static void
steps_destroy(struct steps *steps)
{
	free(steps->workspace);
	free(steps->parameters);
	program_unref(steps->program);
	model_unref(steps->model);
	arena_destroy(&steps->arena);
}

static void *
aligned(struct arena *arena, size_t bytes)
{
	char *memory = arena_alloc(arena, bytes + ALIGNMENT);
	return memory == NULL ? NULL : memory + (-(uintptr_t)memory % ALIGNMENT);
}

/* The shape and data of input `index` of the table at `inputs`, and a copy of the data that a program can read. */
static int
read_input(lua_State *L, int inputs, uint32_t index, struct steps *steps, struct tensor_type *type,
	   void **data)
{
	size_t length;
	*type = model_info(steps->model)->inputs[index].type;
	lua_rawgeti(L, inputs, (int)index + 1);
	lua_getfield(L, -1, "shape");
	type->rank = (uint32_t)lua_objlen(L, -1);
	if (type->rank > TENSOR_MAX_RANK)
		return error_set(ERR_INVALID_ARGUMENT, "input %u: too many dimensions", index);
	for (uint32_t i = 0; i < type->rank; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		type->dims[i] = (int64_t)lua_tonumber(L, -1);
		lua_pop(L, 1);
	}
	lua_getfield(L, -2, "data");
	const char *bytes = lua_tolstring(L, -1, &length);
	if (bytes == NULL || tensor_bytes(type) != length)
		return error_set(ERR_INVALID_ARGUMENT, "input %u: data and shape do not fit",
				 index);
	*data = aligned(&steps->arena, length);
	if (*data == NULL)
		return -1;
	memcpy(*data, bytes, length);
	lua_pop(L, 3);
	return 0;
}

static int
compile(lua_State *L, int inputs, struct steps *steps)
{
	uint32_t count = model_info(steps->model)->input_count;
	struct tensor_type *types = arena_calloc(&steps->arena, count + 1, sizeof(types[0]));
	void **data = arena_calloc(&steps->arena, count + 1, sizeof(data[0]));
	if (types == NULL || data == NULL)
		return -1;
	for (uint32_t i = 0; i < count; i++)
		if (read_input(L, inputs, i, steps, &types[i], &data[i]) != 0)
			return -1;
	steps->binding.inputs = (const void *const *)data;
	steps->program = model_compile(steps->model, types, count);
	return steps->program == NULL ? -1 : 0;
}

/* Memory like a host device's. NULL with the error set. */
static void *
reserve(size_t bytes)
{
	size_t rounded = (bytes + LARGE_PAGE) / LARGE_PAGE * LARGE_PAGE;
	void *memory = aligned_alloc(LARGE_PAGE, rounded);
	if (memory == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %zu bytes", rounded);
	else
		madvise(memory, rounded, MADV_HUGEPAGE);
	return memory;
}

/* The parameters as they lie in the image, or copied as to a device. NULL with the error set. */
static const char *
place_parameters(struct steps *steps, bool copies)
{
	const struct image *image = model_image(steps->model);
	for (uint32_t i = 0; i < image->group_count; i++)
		if (image_fetch(image, i, image->group_count) != 0)
			return NULL;
	if (!copies)
		return (const char *)image->data;
	steps->parameters = reserve(image->bytes);
	if (steps->parameters != NULL)
		memcpy(steps->parameters, image->data, image->bytes);
	return steps->parameters;
}

/* Everything that a run needs in memory but its inputs. */
static int
bind(struct steps *steps, bool copies)
{
	const struct image *image = model_image(steps->model);
	const struct program_info *info = program_info(steps->program);
	void **groups = arena_calloc(&steps->arena, image->group_count + 1, sizeof(groups[0]));
	void **outputs = arena_calloc(&steps->arena, info->output_count + 1, sizeof(outputs[0]));
	const char *parameters = place_parameters(steps, copies);
	steps->workspace = reserve(info->workspace_bytes);
	if (groups == NULL || outputs == NULL || parameters == NULL || steps->workspace == NULL)
		return -1;
	for (uint32_t i = 0; i < image->group_count; i++)
		groups[i] = (char *)parameters + image->groups[i].offset;
	for (uint32_t i = 0; i < info->output_count; i++) {
		outputs[i] = aligned(&steps->arena, tensor_bytes(&info->outputs[i]));
		if (outputs[i] == NULL)
			return -1;
	}
	steps->binding.groups = groups;
	steps->binding.outputs = outputs;
	steps->binding.workspace = steps->workspace;
	return 0;
}

/* Push {{name, operator, flops, us = {…}}, …}, filled in by `samples` runs after one more. */
static int
measure(lua_State *L, struct steps *steps, int samples)
{
	uint32_t count = program_info(steps->program)->step_count;
	uint64_t *ns = arena_calloc(&steps->arena, count + 1, sizeof(ns[0]));
	if (ns == NULL)
		return -1;
	lua_createtable(L, (int)count, 0);
	for (uint32_t i = 0; i < count; i++) {
		struct program_step step = program_step(steps->program, i);
		lua_createtable(L, 0, 4);
		lua_pushstring(L, step.name);
		lua_setfield(L, -2, "name");
		lua_pushstring(L, step.op_type);
		lua_setfield(L, -2, "operator");
		lua_pushnumber(L, (double)step.flops);
		lua_setfield(L, -2, "flops");
		lua_createtable(L, samples, 0);
		lua_setfield(L, -2, "us");
		lua_rawseti(L, -2, (int)i + 1);
	}
	for (int sample = 0; sample <= samples; sample++) {
		if (program_profile(steps->program, &steps->binding, ns) != 0)
			return -1;
		for (uint32_t i = 0; i < count && sample != 0; i++) {
			lua_rawgeti(L, -1, (int)i + 1);
			lua_getfield(L, -1, "us");
			lua_pushnumber(L, (double)ns[i] / 1e3);
			lua_rawseti(L, -2, sample);
			lua_pop(L, 2);
		}
	}
	return 0;
}

int
native_steps(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct model_options options = { .kind = DEVICE_KIND_HOST,
					 .threads = (unsigned)luaL_checkinteger(L, 2) };
	int samples = (int)luaL_checkinteger(L, 3);
	luaL_checktype(L, 4, LUA_TTABLE);
	struct steps steps = { .model = model_open(path, &options) };
	arena_create(&steps.arena, 0);
	int result = -1;
	if (steps.model != NULL && compile(L, 4, &steps) == 0 && bind(&steps, true) == 0)
		result = measure(L, &steps, samples);
	steps_destroy(&steps);
	if (result == 0)
		return 1;
	lua_pushnil(L);
	lua_pushfstring(L, "%s: %s", error_code_name(error_last()->code), error_last()->message);
	return 2;
}

static void
set_us(lua_State *L, const char *key, uint64_t ns)
{
	lua_pushnumber(L, (double)ns / 1e3);
	lua_setfield(L, -2, key);
}

/* Push {PHASE_us = …, …, all_us}. */
static void
push_phases(lua_State *L, const struct model_times *times, uint64_t bind, uint64_t run,
	    uint64_t all)
{
	lua_createtable(L, 0, 8);
	set_us(L, "read_us", times->read);
	set_us(L, "hash_us", times->hash);
	set_us(L, "rewrite_us", times->rewrite);
	set_us(L, "image_us", times->image);
	set_us(L, "compile_us", times->compile);
	set_us(L, "bind_us", bind);
	set_us(L, "run_us", run);
	set_us(L, "all_us", all);
}

int
native_first(lua_State *L)
{
	struct model_options options = { .kind = DEVICE_KIND_HOST,
					 .threads = (unsigned)luaL_checkinteger(L, 2),
					 .cache_folder = luaL_optstring(L, 4, NULL) };
	bool copies = lua_toboolean(L, 5) != 0;
	luaL_checktype(L, 3, LUA_TTABLE);
	uint64_t start = clock_now(), compiled = 0, bound = 0;
	struct steps steps = { .model = model_open(luaL_checkstring(L, 1), &options) };
	arena_create(&steps.arena, 0);
	int result = -1;
	if (steps.model != NULL && compile(L, 3, &steps) == 0) {
		compiled = clock_now();
		result = bind(&steps, copies);
		bound = clock_now();
		result = result == 0 ? program_run_here(steps.program, &steps.binding) : -1;
	}
	uint64_t end = clock_now();
	struct model_times times = { 0 };
	if (steps.model != NULL)
		times = model_times(steps.model);
	steps_destroy(&steps);
	if (result == 0) {
		push_phases(L, &times, bound - compiled, end - bound, end - start);
		return 1;
	}
	lua_pushnil(L);
	lua_pushfstring(L, "%s: %s", error_code_name(error_last()->code), error_last()->message);
	return 2;
}
