#include "config_value.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are read as 64-bit numbers");

int
config_value_refuse(const struct config_source *source, const char *problem)
{
	return error_set(ERR_INVALID_ARGUMENT, "%.*s: %s", (int)source->path_length, source->path,
			 problem);
}

int
config_value_refuse_type(const struct config_source *source, const char *wanted)
{
	char problem[128];
	snprintf(problem, sizeof(problem), "must be %s, is a %s", wanted,
		 luaL_typename(source->L, -1));
	return config_value_refuse(source, problem);
}

/* Refuse the value at the top of the stack, which is none of those wanted. */
static int
refuse_value(const struct config_source *source, const char *wanted)
{
	char problem[256];
	if (lua_type(source->L, -1) != LUA_TSTRING)
		return config_value_refuse_type(source, wanted);
	snprintf(problem, sizeof(problem), "must be %s, is \"%.80s\"", wanted,
		 lua_tostring(source->L, -1));
	return config_value_refuse(source, problem);
}

size_t
config_value_enter(struct config_source *source, const char *format, const char *key,
		   uint32_t index)
{
	size_t before = source->path_length;
	size_t room = sizeof(source->path) - before;
	int added = key != NULL ? snprintf(source->path + before, room, format, key)
				: snprintf(source->path + before, room, format, index);
	source->path_length = before + (size_t)added < CONFIG_PATH_BYTES ? before + (size_t)added
									 : CONFIG_PATH_BYTES - 1;
	return before;
}

void
config_value_leave(struct config_source *source, size_t before)
{
	source->path_length = before;
	source->path[before] = '\0';
}

int
config_value_string(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	if (lua_type(source->L, -1) != LUA_TSTRING)
		return config_value_refuse_type(source, "a string");
	size_t length;
	const char *text = lua_tolstring(source->L, -1, &length);
	if (length == 0 || strlen(text) != length)
		return config_value_refuse(
			source, "must be a string that is not empty and holds no zero byte");
	const char **copy = to;
	*copy = arena_strndup(&source->config->memory, text, length);
	return *copy != NULL ? 0 : -1;
}

int
config_value_bool(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	if (!lua_isboolean(source->L, -1))
		return config_value_refuse_type(source, "true or false");
	*(bool *)to = lua_toboolean(source->L, -1);
	return 0;
}

/* A whole number within the field's range. */
static int
check_number(struct config_source *source, const struct config_field *field, double number)
{
	char problem[128];
	if (number >= field->least && number <= field->most && floor(number) == number)
		return 0;
	snprintf(problem, sizeof(problem), "must be a whole number from %.0f to %.0f, is %.14g",
		 field->least, field->most, number);
	return config_value_refuse(source, problem);
}

static int
read_number(struct config_source *source, const struct config_field *field, double *number)
{
	if (lua_type(source->L, -1) != LUA_TNUMBER)
		return config_value_refuse_type(source, "a number");
	*number = lua_tonumber(source->L, -1);
	return check_number(source, field, *number);
}

int
config_value_count(struct config_source *source, const struct config_field *field, void *to)
{
	double number = 0;
	if (read_number(source, field, &number) != 0)
		return -1;
	*(uint32_t *)to = (uint32_t)number;
	return 0;
}

int
config_value_int(struct config_source *source, const struct config_field *field, void *to)
{
	double number = 0;
	if (read_number(source, field, &number) != 0)
		return -1;
	*(int *)to = (int)number;
	return 0;
}

int
config_value_ms(struct config_source *source, const struct config_field *field, void *to)
{
	double number = 0;
	if (read_number(source, field, &number) != 0)
		return -1;
	*(uint64_t *)to = (uint64_t)number;
	return 0;
}

/* A number, or "1.5G": a number and K, M, G or T, each `step` times the one before. */
static int
read_scaled(struct config_source *source, const struct config_field *field, double step,
	    uint64_t *to)
{
	static const char units[] = "KMGT";
	if (lua_type(source->L, -1) == LUA_TNUMBER)
		return config_value_ms(source, field, to);
	if (lua_type(source->L, -1) != LUA_TSTRING)
		return config_value_refuse_type(source, "a number or a string such as \"512M\"");
	char *end;
	const char *text = lua_tostring(source->L, -1);
	double number = strtod(text, &end);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	if (unit != NULL && end > text) {
		number = floor(number * pow(step, (double)(unit - units + 1)));
		end++;
	}
	if (end == text || *end != '\0')
		return refuse_value(source, "a number and K, M, G or T, such as \"512M\"");
	*to = (uint64_t)number;
	return check_number(source, field, number);
}

int
config_value_bytes(struct config_source *source, const struct config_field *field, void *to)
{
	return read_scaled(source, field, 1024, to);
}

int
config_value_group(struct config_source *source, const struct config_field *field, void *to)
{
	if (lua_type(source->L, -1) == LUA_TSTRING &&
	    strcmp(lua_tostring(source->L, -1), "auto") == 0) {
		*(uint64_t *)to = 0;
		return 0;
	}
	return config_value_bytes(source, field, to);
}

int
config_value_rate(struct config_source *source, const struct config_field *field, void *to)
{
	return read_scaled(source, field, 1000, to);
}

int
config_value_log_level(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	int level = lua_type(source->L, -1) == LUA_TSTRING
			    ? log_level_from_name(lua_tostring(source->L, -1))
			    : -1;
	if (level < 0)
		return refuse_value(source, "\"debug\", \"info\", \"warn\", \"error\" or \"off\"");
	*(enum log_level *)to = (enum log_level)level;
	return 0;
}

int
config_value_parameters(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	int form = lua_type(source->L, -1) == LUA_TSTRING
			   ? narrow_from_name(lua_tostring(source->L, -1))
			   : -1;
	if (form < 0)
		return refuse_value(source, "\"fp32\", \"fp16\" or \"int8\"");
	*(enum narrow_form *)to = (enum narrow_form)form;
	return 0;
}

int
config_value_math(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	int math = lua_type(source->L, -1) == LUA_TSTRING
			   ? device_math_from_name(lua_tostring(source->L, -1))
			   : -1;
	if (math < 0)
		return refuse_value(source, "\"fp32\", \"tf32\", \"fp16\" or \"bf16\"");
	*(enum device_math *)to = (enum device_math)math;
	return 0;
}

int
config_value_layout(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	int layout = lua_type(source->L, -1) == LUA_TSTRING
			     ? device_layout_from_name(lua_tostring(source->L, -1))
			     : -1;
	if (layout < 0)
		return refuse_value(source, "\"auto\", \"nchw\" or \"nhwc\"");
	*(enum device_layout *)to = (enum device_layout)layout;
	return 0;
}

int
config_value_plans(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	const char *name =
		lua_type(source->L, -1) == LUA_TSTRING ? lua_tostring(source->L, -1) : "";
	bool timed = strcmp(name, "timed") == 0;
	if (!timed && strcmp(name, "heuristic") != 0)
		return refuse_value(source, "\"heuristic\" or \"timed\"");
	*(bool *)to = timed;
	return 0;
}

int
config_value_device_kind(struct config_source *source, const struct config_field *field, void *to)
{
	(void)field;
	int kind = lua_type(source->L, -1) == LUA_TSTRING
			   ? device_kind_from_name(lua_tostring(source->L, -1))
			   : -1;
	/* The simulator's devices come from a simulation, not from a file. */
	if (kind < 0 || kind == DEVICE_KIND_SIM)
		return refuse_value(source, "\"host\" or \"cuda\"");
	*(enum device_kind *)to = (enum device_kind)kind;
	return 0;
}
