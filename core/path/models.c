#include "path/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "exec/program.h"
#include "path/decode.h"
#include "path/generations.h"
#include "path/schedule.h"
#include "path/state.h"
#include "path/tracing.h"
#include "path/view.h"

static int
store(const struct engine *engine, const struct model_source *source, char *hash)
{
	if (source->path != NULL)
		return state_store_model_file(engine, source->path, hash);
	if (source->hash == NULL)
		return state_store_model(engine, source->data, hash);
	snprintf(hash, MODEL_HASH_BYTES, "%s", source->hash);
	return 0;
}

/* Compile for the declared inputs, unless a shape is left open. */
static int
compile_ahead(struct model *model)
{
	const struct model_info *info = model_info(model);
	struct tensor_type *types = calloc(info->input_count + 1, sizeof(*types));
	if (types == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "model: no memory");
	bool is_open = false;
	for (uint32_t i = 0; i < info->input_count; i++) {
		types[i] = info->inputs[i].type;
		is_open = is_open || tensor_elements(&types[i]) < 0;
	}
	int status = 0;
	if (!is_open) {
		struct program *program = model_compile(model, types, info->input_count);
		status = program == NULL ? -1 : 0;
		if (program != NULL)
			program_unref(program);
	}
	free(types);
	return status;
}

int
models_fetch(const struct engine *engine, const struct model_source *source,
	     struct model_opened *opened)
{
	char path[STATE_PATH_BYTES];
	opened->model = NULL;
	if (store(engine, source, opened->hash) != 0 ||
	    state_model_path(engine, opened->hash, path) != 0)
		return -1;
	struct model_options options = engine->model_options;
	options.hash = opened->hash;
	opened->model = model_open(path, &options);
	if (opened->model == NULL)
		return -1;
	if (compile_ahead(opened->model) == 0)
		return 0;
	model_unref(opened->model);
	opened->model = NULL;
	return -1;
}

struct engine_model *
models_find(struct engine *engine, struct slice name)
{
	list_each(link, &engine->models) {
		struct engine_model *model = list_entry(link, struct engine_model, of_engine);
		if (model->named && slice_is(name, model->name))
			return model;
	}
	return NULL;
}

struct engine_model *
models_find_listed(struct engine *engine, struct slice name)
{
	struct engine_model *named = models_find(engine, name);
	if (named != NULL)
		return named;
	list_each(link, &engine->models) {
		struct engine_model *model = list_entry(link, struct engine_model, of_engine);
		if (slice_is(name, model->name))
			return model;
	}
	return NULL;
}

struct engine_model *
models_find_hash(struct engine *engine, const char *hash)
{
	list_each(link, &engine->models) {
		struct engine_model *model = list_entry(link, struct engine_model, of_engine);
		if (strcmp(model->hash, hash) == 0)
			return model;
	}
	return NULL;
}

struct engine_model *
models_ref(struct engine_model *model)
{
	model->references++;
	return model;
}

struct engine_model *
models_add(struct engine *engine, const struct model_opened *opened, const char *name)
{
	struct model *model = opened->model;
	struct engine_model *entry = models_find_hash(engine, opened->hash);
	if (entry != NULL) {
		model_unref(model);
		return models_ref(entry);
	}
	entry = calloc(1, sizeof(*entry));
	if (entry != NULL)
		entry->residency = calloc(engine->device_count + 1, sizeof(*entry->residency));
	if (entry != NULL)
		entry->tiers = calloc(engine->device_count + 1, sizeof(*entry->tiers));
	if (entry == NULL || entry->residency == NULL || entry->tiers == NULL) {
		if (entry != NULL)
			free(entry->residency);
		free(entry);
		model_unref(model);
		error_set(ERR_RESOURCE_EXHAUSTED, "model '%s': no memory", name);
		return NULL;
	}
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	memcpy(entry->hash, opened->hash, sizeof(entry->hash));
	entry->engine = engine;
	entry->model = model;
	entry->references = 1;
	store_add(&engine->store, &entry->store, image_on_host(model_image(model)));
	entry->view.bytes = (double)model_image(model)->bytes;
	entry->view.group_count = model_image(model)->group_count;
	entry->view.prefix_groups = entry->view.group_count;
	entry->view.prefix_bytes = entry->view.bytes;
	if (view_add_model(engine, entry) != 0) {
		free(entry->residency);
		free(entry->tiers);
		free(entry);
		model_unref(model);
		return NULL;
	}
	list_push_back(&engine->models, &entry->of_engine);
	engine_event(engine, "model_loaded", entry->name, NULL);
	keeping_begin(entry);
	return entry;
}

static void
forget(struct engine_model *model)
{
	struct engine *engine = model->engine;
	engine_event(engine, "model_unloaded", model->name, NULL);
	view_remove_model(engine, model);
	list_remove(&model->of_engine);
	for (uint32_t d = 0; d < engine->device_count; d++) {
		if (model->residency[d] == NULL)
			continue;
		residency_delete(model->residency[d]);
		view_device_memory(&engine->devices[d]);
		schedule_unpark(&engine->devices[d]);
	}
	locking_wait(model);
	locking_end(model);
	keeping_forget(model);
	store_remove(&engine->store, &model->store);
	tier_forget(model);
	model_unref(model->model);
	clearing_begin(engine);
	free(model->residency);
	free(model);
}

void
models_unref(struct engine_model *model)
{
	if (--model->references == 0)
		forget(model);
}

struct residency *
models_residency(struct engine_model *model, struct engine_device *device)
{
	struct residency **residency = &model->residency[device->view.id];
	if (*residency == NULL)
		*residency = residency_new(device->pool, device->device, model_image(model->model),
					   model);
	return *residency;
}

void
models_drop_image(void *context, struct store_entry *entry)
{
	(void)context;
	struct engine_model *model =
		(struct engine_model *)((char *)entry - offsetof(struct engine_model, store));
	tier_look_everywhere(model);
	locking_drop(model);
}

uint64_t
models_trim(struct engine *engine, uint32_t id, struct engine_device *device, uint32_t keep)
{
	/* The view is the first member. */
	struct engine_model *model = (struct engine_model *)(uintptr_t)engine->view_models[id];
	if (model == NULL || model->residency[device->view.id] == NULL)
		return 0;
	uint64_t freed = residency_trim(model->residency[device->view.id], keep);
	device->evictions += freed > 0;
	tracing_evict(device, model, freed);
	view_residency_changed(model, device);
	return freed;
}

static void
collect_one(void *context, const char *hash)
{
	struct engine *engine = context;
	if (models_find_hash(engine, hash) == NULL && !generations_use_model(engine, hash))
		state_remove_model(engine, hash);
}

void
models_collect(struct engine *engine)
{
	if (state_each_model(engine, collect_one, engine) != 0)
		log_warn("state: %s", error_last()->message);
}

void
models_destroy(struct engine *engine)
{
	list_each_safe(link, &engine->models) {
		forget(list_entry(link, struct engine_model, of_engine));
	}
}
