#include "native.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/embedded.h"
#include "base/error.h"
#include "model/model.h"
#include "native_peak.h"
#include "native_steps.h"

/* native.embedded(name): the text of a built-in file; nil when there is none. */
static int
embedded(lua_State *L)
{
	const struct embedded *file = embedded_find(luaL_checkstring(L, 1));
	if (file == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, file->text, file->length);
	return 1;
}

static void
set_number(lua_State *L, const char *key, double number)
{
	lua_pushnumber(L, number);
	lua_setfield(L, -2, key);
}

static void
set_string(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

/* Push {{name, datatype, shape}, …}; open dimensions are -1. */
static void
push_ports(lua_State *L, const struct model_port *ports, uint32_t count)
{
	lua_createtable(L, (int)count, 0);
	for (uint32_t i = 0; i < count; i++) {
		lua_createtable(L, 0, 3);
		set_string(L, "name", ports[i].name);
		set_string(L, "datatype", data_type_name(ports[i].type.data_type));
		lua_createtable(L, (int)ports[i].type.rank, 0);
		for (uint32_t d = 0; d < ports[i].type.rank; d++) {
			lua_pushnumber(L, (double)ports[i].type.dims[d]);
			lua_rawseti(L, -2, (int)d + 1);
		}
		lua_setfield(L, -2, "shape");
		lua_rawseti(L, -2, (int)i + 1);
	}
}

static void
push_model(lua_State *L, struct model *model)
{
	const struct model_info *info = model_info(model);
	const struct image *image = model_image(model);
	lua_createtable(L, 0, 10);
	set_string(L, "hash", model_hash(model));
	set_number(L, "nodes", info->node_count);
	set_number(L, "opset", info->opset);
	set_number(L, "parameter_bytes", (double)info->parameter_bytes);
	set_number(L, "image_bytes", (double)image->bytes);
	set_number(L, "groups", image->group_count);
	if (image->group_count > 0) {
		set_number(L, "first_group_bytes", (double)image->groups[0].bytes);
		set_number(L, "last_group_bytes",
			   (double)image->groups[image->group_count - 1].bytes);
	}
	push_ports(L, info->inputs, info->input_count);
	lua_setfield(L, -2, "inputs");
	push_ports(L, info->outputs, info->output_count);
	lua_setfield(L, -2, "outputs");
}

/* native.import(path): what the ONNX file holds, imported as a node with the host device would; or nil and why not. */
static int
import(lua_State *L)
{
	static const struct model_options options = { .kind = DEVICE_KIND_HOST, .threads = 1 };
	struct model *model = model_open(luaL_checkstring(L, 1), &options);
	if (model == NULL) {
		lua_pushnil(L);
		lua_pushfstring(L, "%s: %s", error_code_name(error_last()->code),
				error_last()->message);
		return 2;
	}
	push_model(L, model);
	model_unref(model);
	return 1;
}

int
luaopen_tidepool_native(lua_State *L)
{
	lua_createtable(L, 0, 6);
	lua_pushliteral(L, TIDEPOOL_VERSION);
	lua_setfield(L, -2, "version");
	lua_pushcfunction(L, embedded);
	lua_setfield(L, -2, "embedded");
	lua_pushcfunction(L, import);
	lua_setfield(L, -2, "import");
	lua_pushcfunction(L, native_steps);
	lua_setfield(L, -2, "steps");
	lua_pushcfunction(L, native_first);
	lua_setfield(L, -2, "first");
	lua_pushcfunction(L, native_peak);
	lua_setfield(L, -2, "peak");
	return 1;
}
