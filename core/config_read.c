/*
 * Reading the configuration file: a Lua state without libraries runs it, then tables of fields say what each key may hold
 * and where it goes.
 */
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config.h"
#include "config_text.h"
#include "net/framer.h"
#include "script/worker.h"

enum {
	PATH_BYTES = 256,
	KEYS_BYTES = 256,
};

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are read as 64-bit numbers");

/* The file being read. */
struct source {
	lua_State *L;
	struct config *config;
	/* Key path of the value in hand: "devices[2].memory". */
	char path[PATH_BYTES];
	size_t path_length;
};

struct field;

/* Reads the value on top of the stack, which stays there, into *to. */
typedef int
read_f(struct source *source, const struct field *field, void *to);

/* What one key of a table holds, and where in its struct it goes. */
struct field {
	const char *name;
	read_f *read;
	size_t offset;
	/* Range of a number. */
	double least;
	double most;
	/* The keys of a table; ends with a field without a name. */
	const struct field *fields;
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

/* An error about the value in hand. */
static int
refuse(const struct source *source, const char *problem)
{
	return error_set(ERR_INVALID_ARGUMENT, "%.*s: %s", (int)source->path_length, source->path,
			 problem);
}

static int
refuse_type(const struct source *source, const char *wanted)
{
	char problem[128];
	snprintf(problem, sizeof(problem), "must be %s, is a %s", wanted,
		 luaL_typename(source->L, -1));
	return refuse(source, problem);
}

/* Append to the key path; returns the length to go back to. */
static size_t
enter(struct source *source, const char *format, const char *key, uint32_t index)
{
	size_t before = source->path_length;
	size_t room = sizeof(source->path) - before;
	int added = key != NULL ? snprintf(source->path + before, room, format, key)
				: snprintf(source->path + before, room, format, index);
	source->path_length =
		before + (size_t)added < PATH_BYTES ? before + (size_t)added : PATH_BYTES - 1;
	return before;
}

static void
leave(struct source *source, size_t before)
{
	source->path_length = before;
	source->path[before] = '\0';
}

/* --- values -------------------------------------------------------------------------------------------------------- */

static int
read_string(struct source *source, const struct field *field, void *to)
{
	(void)field;
	if (lua_type(source->L, -1) != LUA_TSTRING)
		return refuse_type(source, "a string");
	size_t length;
	const char *text = lua_tolstring(source->L, -1, &length);
	if (length == 0 || strlen(text) != length)
		return refuse(source, "must be a string that is not empty and holds no zero byte");
	const char **copy = to;
	*copy = arena_strndup(&source->config->memory, text, length);
	return *copy != NULL ? 0 : -1;
}

static int
read_bool(struct source *source, const struct field *field, void *to)
{
	(void)field;
	if (!lua_isboolean(source->L, -1))
		return refuse_type(source, "true or false");
	*(bool *)to = lua_toboolean(source->L, -1);
	return 0;
}

/* A whole number within the field's range. */
static int
check_number(struct source *source, const struct field *field, double number)
{
	char problem[128];
	if (number >= field->least && number <= field->most && floor(number) == number)
		return 0;
	snprintf(problem, sizeof(problem), "must be a whole number from %.0f to %.0f, is %.14g",
		 field->least, field->most, number);
	return refuse(source, problem);
}

static int
read_number(struct source *source, const struct field *field, double *number)
{
	if (lua_type(source->L, -1) != LUA_TNUMBER)
		return refuse_type(source, "a number");
	*number = lua_tonumber(source->L, -1);
	return check_number(source, field, *number);
}

static int
read_count(struct source *source, const struct field *field, void *to)
{
	double number = 0;
	if (read_number(source, field, &number) != 0)
		return -1;
	*(uint32_t *)to = (uint32_t)number;
	return 0;
}

static int
read_int(struct source *source, const struct field *field, void *to)
{
	double number = 0;
	if (read_number(source, field, &number) != 0)
		return -1;
	*(int *)to = (int)number;
	return 0;
}

static int
read_ms(struct source *source, const struct field *field, void *to)
{
	double number = 0;
	if (read_number(source, field, &number) != 0)
		return -1;
	*(uint64_t *)to = (uint64_t)number;
	return 0;
}

/* A number, or "1.5G": a number and K, M, G or T, each `step` times the one before. */
static int
read_scaled(struct source *source, const struct field *field, double step, uint64_t *to)
{
	static const char units[] = "KMGT";
	if (lua_type(source->L, -1) == LUA_TNUMBER)
		return read_ms(source, field, to);
	if (lua_type(source->L, -1) != LUA_TSTRING)
		return refuse_type(source, "a number or a string such as \"512M\"");
	char *end;
	const char *text = lua_tostring(source->L, -1);
	double number = strtod(text, &end);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	if (unit != NULL && end > text) {
		number = floor(number * pow(step, (double)(unit - units + 1)));
		end++;
	}
	if (end == text || *end != '\0')
		return refuse(source, "must be a number and K, M, G or T, such as \"512M\"");
	*to = (uint64_t)number;
	return check_number(source, field, number);
}

/* Bytes; K is 1024. */
static int
read_bytes(struct source *source, const struct field *field, void *to)
{
	return read_scaled(source, field, 1024, to);
}

/* Bytes, or "auto", which is 0. */
static int
read_group(struct source *source, const struct field *field, void *to)
{
	if (lua_type(source->L, -1) == LUA_TSTRING &&
	    strcmp(lua_tostring(source->L, -1), "auto") == 0) {
		*(uint64_t *)to = 0;
		return 0;
	}
	return read_bytes(source, field, to);
}

/* Bytes a second; K is 1000. */
static int
read_rate(struct source *source, const struct field *field, void *to)
{
	return read_scaled(source, field, 1000, to);
}

static int
read_log_level(struct source *source, const struct field *field, void *to)
{
	(void)field;
	int level = lua_type(source->L, -1) == LUA_TSTRING
			    ? log_level_from_name(lua_tostring(source->L, -1))
			    : -1;
	if (level < 0)
		return refuse(source,
			      "must be \"debug\", \"info\", \"warn\", \"error\" or \"off\"");
	*(enum log_level *)to = (enum log_level)level;
	return 0;
}

static int
read_parameters(struct source *source, const struct field *field, void *to)
{
	(void)field;
	int form = lua_type(source->L, -1) == LUA_TSTRING
			   ? narrow_from_name(lua_tostring(source->L, -1))
			   : -1;
	if (form < 0)
		return refuse(source, "must be \"fp32\", \"fp16\" or \"int8\"");
	*(enum narrow_form *)to = (enum narrow_form)form;
	return 0;
}

static int
read_device_kind(struct source *source, const struct field *field, void *to)
{
	(void)field;
	int kind = lua_type(source->L, -1) == LUA_TSTRING
			   ? device_kind_from_name(lua_tostring(source->L, -1))
			   : -1;
	/* The simulator's devices come from a simulation, not from a file. */
	if (kind < 0 || kind == DEVICE_KIND_SIM)
		return refuse(source, "must be \"host\" or \"cuda\"");
	*(enum device_kind *)to = (enum device_kind)kind;
	return 0;
}

/* --- tables -------------------------------------------------------------------------------------------------------- */

static int
refuse_key(const struct source *source, const struct field *fields)
{
	char known[KEYS_BYTES] = "";
	size_t used = 0;
	for (const struct field *field = fields; field->name != NULL && used < sizeof(known);
	     field++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
					 used > 0 ? ", " : "", field->name);
	char problem[KEYS_BYTES + 32];
	snprintf(problem, sizeof(problem), "unknown key; known: %s", known);
	return refuse(source, problem);
}

/* Read one pair of a table, its value on top and its key below. */
static int
read_pair(struct source *source, const struct field *fields, void *to)
{
	if (lua_type(source->L, -2) != LUA_TSTRING) {
		enter(source, "[%u]", NULL, (uint32_t)lua_tonumber(source->L, -2));
		return refuse_key(source, fields);
	}
	const char *key = lua_tostring(source->L, -2);
	size_t before = enter(source, source->path_length > 0 ? ".%s" : "%s", key, 0);
	const struct field *field = fields;
	while (field->name != NULL && strcmp(field->name, key) != 0)
		field++;
	if (field->name == NULL)
		return refuse_key(source, fields);
	if (field->read(source, field, (char *)to + field->offset) != 0)
		return -1;
	leave(source, before);
	return 0;
}

static int
read_table(struct source *source, const struct field *field, void *to)
{
	if (!lua_istable(source->L, -1))
		return refuse_type(source, "a table");
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
array_length(struct source *source, uint32_t most)
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
	return refuse(source, problem);
}

/* An address, or an array of them. */
static int
read_listen(struct source *source, const struct field *field, void *to)
{
	struct config *config = to;
	if (!lua_istable(source->L, -1)) {
		config->listen_count = 1;
		return read_string(source, field, &config->listen[0]);
	}
	int count = array_length(source, CONFIG_LISTEN_MAX);
	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		size_t before = enter(source, "[%u]", NULL, (uint32_t)i + 1);
		lua_rawgeti(source->L, -1, i + 1);
		if (read_string(source, field, &config->listen[i]) != 0)
			return -1;
		lua_pop(source->L, 1);
		leave(source, before);
	}
	config->listen_count = (uint32_t)count;
	return 0;
}

static const struct field device_fields[] = {
	VALUE("kind", read_device_kind, config_device, kind),
	NUMBER("index", read_int, config_device, options.index, 0, DEVICE_MAX - 1),
	NUMBER("memory", read_bytes, config_device, options.memory_bytes, 2 << 20, 0x1p50),
	NUMBER("threads", read_count, config_device, options.threads, 0, 1024),
	NUMBER("link_rate", read_rate, config_device, options.link_rate, 0, 0x1p50),
	NUMBER("switch", read_int, config_device, options.switch_id, -1, DEVICE_MAX),
	NUMBER("peer_rate", read_rate, config_device, options.peer_rate, 0, 0x1p50),
	VALUE("tf32", read_bool, config_device, options.tf32),
	VALUE("faults", read_bool, config_device, faults),
	{ .name = NULL },
};

static const struct field device_field = { .fields = device_fields };

/* An array of tables; a device that says no memory gets the default device's, a GPU what it has. */
static int
read_devices(struct source *source, const struct field *field, void *to)
{
	(void)field;
	struct config *config = to;
	uint64_t memory_bytes = config->devices[0].options.memory_bytes;
	if (!lua_istable(source->L, -1))
		return refuse_type(source, "an array of tables");
	int count = array_length(source, CONFIG_DEVICES_MAX);
	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		config->devices[i] =
			(struct config_device){ .options = { .index = i,
							     .switch_id = DEVICE_NO_SWITCH } };
		size_t before = enter(source, "[%u]", NULL, (uint32_t)i + 1);
		lua_rawgeti(source->L, -1, i + 1);
		if (read_table(source, &device_field, &config->devices[i]) != 0)
			return -1;
		uint64_t *bytes = &config->devices[i].options.memory_bytes;
		if (*bytes == 0 && config->devices[i].kind != DEVICE_KIND_CUDA)
			*bytes = memory_bytes;
		lua_pop(source->L, 1);
		leave(source, before);
	}
	config->device_count = (uint32_t)count;
	return 0;
}

/* Kept as the text of a Lua table. */
static int
read_policy_config(struct source *source, const struct field *field, void *to)
{
	(void)field;
	if (!lua_istable(source->L, -1))
		return refuse_type(source, "a table");
	char *written = NULL;
	size_t length = 0;
	FILE *text = open_memstream(&written, &length);
	if (text == NULL)
		return error_set_errno("policy_config");
	const char *problem = config_write_table(source->L, text, 0);
	int result = problem != NULL ? refuse(source, problem) : 0;
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

static const struct field limit_fields[] = {
	NUMBER("frame", read_bytes, config, limits.frame_bytes, 4096, 0x1p32),
	NUMBER("depth", read_count, config, limits.depth, 4, FRAMER_DEPTH_MAX),
	NUMBER("connections", read_count, config, limits.connections, 1, 1000000),
	NUMBER("in_flight", read_count, config, limits.in_flight, 1, 1000000),
	NUMBER("unsent", read_bytes, config, limits.unsent_bytes, 4096, 0x1p40),
	NUMBER("idle_ms", read_ms, config, limits.idle_ms, 0, 1e12),
	{ .name = NULL },
};

/* A worker's limits, in `member` of the configuration; their ranges are checked as one (limits_check). */
#define LIMIT_FIELDS(member)                                                                       \
	NUMBER("timeout_ms", read_ms, config, member.timeout_ms, 1, 1e12),                         \
		NUMBER("cpu_ms", read_ms, config, member.cpu_ms, 10, 1e12),                        \
		NUMBER("memory", read_bytes, config, member.memory_bytes, 8 << 20, 0x1p40),        \
		NUMBER("reply", read_bytes, config, member.reply_bytes, 1024, 64 << 20),           \
		NUMBER("log", read_bytes, config, member.log_bytes, 1024, 1 << 30),                \
		NUMBER("concurrency", read_ms, config, member.concurrency, 1, 100),                \
		NUMBER("queue", read_ms, config, member.queue, 1, 1 << 20),                        \
		NUMBER("workers_min", read_ms, config, member.workers_min, 0, 1024),               \
		NUMBER("workers_max", read_ms, config, member.workers_max, 1, 1024)

static const struct field most_fields[] = {
	LIMIT_FIELDS(worker.most),
	{ .name = NULL },
};

static const struct field worker_fields[] = {
	LIMIT_FIELDS(worker.limits),
	{ .name = "most", .read = read_table, .fields = most_fields },
	NUMBER("processes", read_count, config, worker.processes, 1, 1 << 20),
	NUMBER("idle_ms", read_ms, config, worker.idle_ms, 1, 1e12),
	VALUE("tracebacks", read_bool, config, worker.tracebacks),
	{ .name = NULL },
};

static const struct field config_fields[] = {
	{ .name = "listen", .read = read_listen },
	VALUE("state", read_string, config, state),
	VALUE("token", read_string, config, token),
	VALUE("log", read_log_level, config, log_level),
	{ .name = "limits", .read = read_table, .fields = limit_fields },
	{ .name = "devices", .read = read_devices },
	NUMBER("store", read_bytes, config, store_bytes, 0, 0x1p50),
	VALUE("parameters", read_parameters, config, parameters),
	NUMBER("group", read_group, config, group_bytes, 64, 0x1p40),
	VALUE("policy", read_string, config, policy),
	VALUE("policy_config", read_policy_config, config, policy_config),
	VALUE("watch", read_bool, config, watch),
	VALUE("functions", read_string, config, functions),
	NUMBER("generations", read_count, config, generations, 1, 63),
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
	static const struct field whole = { .fields = config_fields };
	struct source source = { .L = luaL_newstate(), .config = config };
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
