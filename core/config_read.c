/*
 * Reading the configuration file: a Lua state without libraries runs it, then tables of fields say what each key may hold
 * and where it goes.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config.h"
#include "config_text.h"
#include "config_value.h"
#include "net/framer.h"
#include "script/worker.h"

enum {
	KEYS_BYTES = 256,
};

/* A member of a struct, and one with a range. */
#define VALUE(key, reader, type, member)                                                           \
	{                                                                                          \
		.name = key, .read = reader, .offset = offsetof(struct type, member)               \
	}
#define NUMBER(key, reader, type, member, low, high)                                               \
	{                                                                                          \
		.name = key, .read = reader, .offset = offsetof(struct type, member),              \
		.least = low, .most = high                                                         \
	}

/* --- tables -------------------------------------------------------------------------------------------------------- */

static int
refuse_key(const struct config_source *source, const struct config_field *fields)
{
	char known[KEYS_BYTES] = "";
	size_t used = 0;
	for (const struct config_field *field = fields; field->name != NULL && used < sizeof(known);
	     field++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
					 used > 0 ? ", " : "", field->name);
	char problem[KEYS_BYTES + 32];
	snprintf(problem, sizeof(problem), "unknown key; known: %s", known);
	return config_value_refuse(source, problem);
}

/* Read one pair of a table, its value on top and its key below. */
static int
read_pair(struct config_source *source, const struct config_field *fields, void *to)
{
	if (lua_type(source->L, -2) != LUA_TSTRING) {
		config_value_enter(source, "[%u]", NULL, (uint32_t)lua_tonumber(source->L, -2));
		return refuse_key(source, fields);
	}
	const char *key = lua_tostring(source->L, -2);
	size_t before = config_value_enter(source, source->path_length > 0 ? ".%s" : "%s", key, 0);
	const struct config_field *field = fields;
	while (field->name != NULL && strcmp(field->name, key) != 0)
		field++;
	if (field->name == NULL)
		return refuse_key(source, fields);
	if (field->read(source, field, (char *)to + field->offset) != 0)
		return -1;
	config_value_leave(source, before);
	return 0;
}

static int
read_table(struct config_source *source, const struct config_field *field, void *to)
{
	if (!lua_istable(source->L, -1))
		return config_value_refuse_type(source, "a table");
	lua_pushnil(source->L);
	while (lua_next(source->L, -2) != 0) {
		if (read_pair(source, field->fields, to) != 0)
			return -1;
		lua_pop(source->L, 1);
	}
	return 0;
}

/* Length of the array on top of the stack, 1 to most; -1 with the error set. */
static int
array_length(struct config_source *source, uint32_t most)
{
	size_t length = lua_objlen(source->L, -1);
	size_t pairs = 0;
	lua_pushnil(source->L);
	while (lua_next(source->L, -2) != 0) {
		pairs++;
		lua_pop(source->L, 1);
	}
	if (length >= 1 && length <= most && pairs == length)
		return (int)length;
	char problem[64];
	snprintf(problem, sizeof(problem), "must be an array of 1 to %u entries", most);
	return config_value_refuse(source, problem);
}

/* An address, or an array of them. */
static int
read_listen(struct config_source *source, const struct config_field *field, void *to)
{
	struct config *config = to;
	if (!lua_istable(source->L, -1)) {
		config->listen_count = 1;
		return config_value_string(source, field, &config->listen[0]);
	}
	int count = array_length(source, CONFIG_LISTEN_MAX);
	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		size_t before = config_value_enter(source, "[%u]", NULL, (uint32_t)i + 1);
		lua_rawgeti(source->L, -1, i + 1);
		if (config_value_string(source, field, &config->listen[i]) != 0)
			return -1;
		lua_pop(source->L, 1);
		config_value_leave(source, before);
	}
	config->listen_count = (uint32_t)count;
	return 0;
}

static const struct config_field device_fields[] = {
	VALUE("kind", config_value_device_kind, config_device, kind),
	NUMBER("index", config_value_int, config_device, options.index, 0, DEVICE_MAX - 1),
	NUMBER("memory", config_value_bytes, config_device, options.memory_bytes, 2 << 20, 0x1p50),
	NUMBER("threads", config_value_count, config_device, options.threads, 0, 1024),
	NUMBER("link_rate", config_value_rate, config_device, options.link_rate, 0, 0x1p50),
	NUMBER("switch", config_value_int, config_device, options.switch_id, -1, DEVICE_MAX),
	NUMBER("peer_rate", config_value_rate, config_device, options.peer_rate, 0, 0x1p50),
	NUMBER("compute_rate", config_value_rate, config_device, options.compute_rate, 0, 0x1p60),
	VALUE("math", config_value_math, config_device, options.math),
	VALUE("layout", config_value_layout, config_device, options.layout),
	VALUE("plans", config_value_plans, config_device, options.time_plans),
	NUMBER("reopen_ms", config_value_count, config_device, reopen_ms, 0, 3600 * 1000),
	VALUE("faults", config_value_bool, config_device, faults),
	{ .name = NULL },
};

static const struct config_field device_field = { .fields = device_fields };

/* An array of tables; a device that says no memory gets the default device's, a GPU what it has. */
static int
read_devices(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	struct config *config = to;
	uint64_t memory_bytes = config->devices[0].options.memory_bytes;
	if (!lua_istable(source->L, -1))
		return config_value_refuse_type(source, "an array of tables");
	int count = array_length(source, CONFIG_DEVICES_MAX);
	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		config->devices[i] =
			(struct config_device){ .reopen_ms = CONFIG_REOPEN_MS,
						.options = { .index = i,
							     .switch_id = DEVICE_NO_SWITCH } };
		size_t before = config_value_enter(source, "[%u]", NULL, (uint32_t)i + 1);
		lua_rawgeti(source->L, -1, i + 1);
		if (read_table(source, &device_field, &config->devices[i]) != 0)
			return -1;
		uint64_t *bytes = &config->devices[i].options.memory_bytes;
		if (*bytes == 0 && config->devices[i].kind != DEVICE_KIND_CUDA)
			*bytes = memory_bytes;
		lua_pop(source->L, 1);
		config_value_leave(source, before);
	}
	config->device_count = (uint32_t)count;
	return 0;
}

/* Kept as the text of a Lua table. */
static int
read_policy_config(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	if (!lua_istable(source->L, -1))
		return config_value_refuse_type(source, "a table");
	char *written = NULL;
	size_t length = 0;
	FILE *text = open_memstream(&written, &length);
	if (text == NULL)
		return error_set_errno("policy_config");
	const char *problem = config_write_table(source->L, text, 0);
	int result = problem != NULL ? config_value_refuse(source, problem) : 0;
	if (fclose(text) != 0)
		result = error_set_errno("policy_config");
	if (result == 0) {
		const char **copy = to;
		*copy = arena_strndup(&source->config->memory, written, length);
		result = *copy != NULL ? 0 : -1;
	}
	free(written);
	return result;
}

/* --- the whole file ------------------------------------------------------------------------------------------------ */

static const struct config_field limit_fields[] = {
	NUMBER("frame", config_value_bytes, config, limits.frame_bytes, 4096, 0x1p32),
	NUMBER("depth", config_value_count, config, limits.depth, 4, FRAMER_DEPTH_MAX),
	NUMBER("connections", config_value_count, config, limits.connections, 1, 1000000),
	NUMBER("in_flight", config_value_count, config, limits.in_flight, 1, 1000000),
	NUMBER("unsent", config_value_bytes, config, limits.unsent_bytes, 4096, 0x1p40),
	NUMBER("idle_ms", config_value_ms, config, limits.idle_ms, 0, 1e12),
	{ .name = NULL },
};

/* A worker's limits, in `member` of the configuration; their ranges are checked as one (limits_check). */
#define LIMIT_FIELDS(member)                                                                       \
	NUMBER("timeout_ms", config_value_ms, config, member.timeout_ms, 1, 1e12),                 \
		NUMBER("cpu_ms", config_value_ms, config, member.cpu_ms, 10, 1e12),                \
		NUMBER("memory", config_value_bytes, config, member.memory_bytes, 8 << 20,         \
		       0x1p40),                                                                    \
		NUMBER("reply", config_value_bytes, config, member.reply_bytes, 1024, 64 << 20),   \
		NUMBER("log", config_value_bytes, config, member.log_bytes, 1024, 1 << 30),        \
		NUMBER("concurrency", config_value_ms, config, member.concurrency, 1, 100),        \
		NUMBER("queue", config_value_ms, config, member.queue, 1, 1 << 20),                \
		NUMBER("workers_min", config_value_ms, config, member.workers_min, 0, 1024),       \
		NUMBER("workers_max", config_value_ms, config, member.workers_max, 1, 1024)

static const struct config_field most_fields[] = {
	LIMIT_FIELDS(worker.most),
	{ .name = NULL },
};

static const struct config_field worker_fields[] = {
	LIMIT_FIELDS(worker.limits),
	{ .name = "most", .read = read_table, .fields = most_fields },
	NUMBER("processes", config_value_count, config, worker.processes, 1, 1 << 20),
	NUMBER("idle_ms", config_value_ms, config, worker.idle_ms, 1, 1e12),
	VALUE("tracebacks", config_value_bool, config, worker.tracebacks),
	{ .name = NULL },
};

static const struct config_field config_fields[] = {
	{ .name = "listen", .read = read_listen },
	VALUE("state", config_value_string, config, state),
	VALUE("token", config_value_string, config, token),
	VALUE("log", config_value_log_level, config, log_level),
	{ .name = "limits", .read = read_table, .fields = limit_fields },
	{ .name = "devices", .read = read_devices },
	NUMBER("store", config_value_bytes, config, store_bytes, 0, 0x1p50),
	NUMBER("cache", config_value_bytes, config, cache_bytes, 0, 0x1p60),
	VALUE("parameters", config_value_parameters, config, parameters),
	NUMBER("group", config_value_group, config, group_bytes, 64, 0x1p40),
	VALUE("policy", config_value_string, config, policy),
	VALUE("policy_config", read_policy_config, config, policy_config),
	VALUE("watch", config_value_bool, config, watch),
	VALUE("fuse", config_value_bool, config, fuse),
	VALUE("functions", config_value_string, config, functions),
	NUMBER("generations", config_value_count, config, generations, 1, 63),
	{ .name = "worker", .read = read_table, .fields = worker_fields },
	{ .name = NULL },
};

static void
stop(lua_State *L, lua_Debug *where)
{
	lua_getinfo(L, "Sl", where);
	luaL_error(L, "%s:%d: does not end", where->short_src, where->currentline);
}

/* Run the text in a state without libraries; the table that it returned is left on the stack. */
static int
evaluate(lua_State *L, const char *name, const char *text, size_t length)
{
	char chunk[512];
	snprintf(chunk, sizeof(chunk), "@%s", name);
	lua_sethook(L, stop, LUA_MASKCOUNT, CONFIG_INSTRUCTIONS_MAX);
	if (length > 0 && text[0] == LUA_SIGNATURE[0])
		return error_set(ERR_INVALID_ARGUMENT, "%s: must be Lua source, is bytecode", name);
	if (luaL_loadbuffer(L, text, length, chunk) != 0)
		return error_set(ERR_INVALID_ARGUMENT, "%s", lua_tostring(L, -1));
	lua_newtable(L);
	lua_setfenv(L, -2);
	if (lua_pcall(L, 0, 1, 0) != 0)
		return error_set(ERR_INVALID_ARGUMENT, "%s",
				 lua_isstring(L, -1) ? lua_tostring(L, -1) : "raised no message");
	if (!lua_istable(L, -1))
		return error_set(ERR_INVALID_ARGUMENT, "%s: must return a table, returns a %s",
				 name, luaL_typename(L, -1));
	return 0;
}

int
config_parse(const char *name, const char *text, size_t length, struct config *config)
{
	static const struct config_field whole = { .fields = config_fields };
	struct config_source source = { .L = luaL_newstate(), .config = config };
	if (source.L == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for Lua", name);
	config_default(config);
	int result = evaluate(source.L, name, text, length);
	if (result == 0 && (read_table(&source, &whole, config) != 0 || config_check(config) != 0))
		result = error_wrap("%s", name);
	lua_close(source.L);
	if (result != 0)
		config_destroy(config);
	return result;
}

int
config_load(const char *path, struct config *config)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return error_set_errno("%s", path);
	char *text = NULL;
	size_t length = 0;
	/* No zero byte can be in Lua source, so this takes the whole file. */
	ssize_t taken = getdelim(&text, &length, '\0', file);
	int result = ferror(file) ? error_set_errno("%s", path)
				  : config_parse(path, text != NULL && taken > 0 ? text : "",
						 taken > 0 ? (size_t)taken : 0, config);
	free(text);
	fclose(file);
	return result;
}
