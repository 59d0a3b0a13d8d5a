/*
 * What a key of the configuration file may hold: readers of single values off a Lua stack, and the fields that name them.
 * Each refuses a value with an error that starts with its key path ("devices[2].memory").
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

enum {
	CONFIG_PATH_BYTES = 256,
};

/* The file being read. */
struct config_source {
	lua_State *L;
	struct config *config;
	/* Key path of the value in hand: "devices[2].memory". */
	char path[CONFIG_PATH_BYTES];
	size_t path_length;
};

struct config_field;

/* Reads the value on top of the stack, which stays there, into *to. */
typedef int
config_read_f(struct config_source *source, const struct config_field *field, void *to);

/* What one key of a table holds, and where in its struct it goes. */
struct config_field {
	const char *name;
	config_read_f *read;
	size_t offset;
	/* Range of a number. */
	double least;
	double most;
	/* The keys of a table; ends with a field without a name. */
	const struct config_field *fields;
};

/* An error about the value in hand. Returns -1. */
int
config_value_refuse(const struct config_source *source, const char *problem);

/* The same, for a value that is not `wanted` ("a string"). */
int
config_value_refuse_type(const struct config_source *source, const char *wanted);

/* Append a key, or an index where it is NULL, to the key path; returns the length to go back to. */
size_t
config_value_enter(struct config_source *source, const char *format, const char *key,
		   uint32_t index);

/* Back to what config_value_enter returned. */
void
config_value_leave(struct config_source *source, size_t before);

/* A string that is not empty and holds no zero byte, copied into the configuration's memory. To a const char *. */
config_read_f config_value_string;
/* To a bool. */
config_read_f config_value_bool;
/* Whole numbers within the field's range: to a uint32_t, an int, a uint64_t. */
config_read_f config_value_count;
config_read_f config_value_int;
config_read_f config_value_ms;
/* A number, or one with K, M, G or T of 1024 ("1.5G"). To a uint64_t. */
config_read_f config_value_bytes;
/* The same, or "auto", which is 0. */
config_read_f config_value_group;
/* The same with units of 1000, a second. To a uint64_t. */
config_read_f config_value_rate;
/*
 * Names: to an enum log_level, an enum narrow_form, an enum device_math, an enum device_layout, a
 * bool (are plans timed?), an enum device_kind.
 */
config_read_f config_value_log_level;
config_read_f config_value_parameters;
config_read_f config_value_math;
config_read_f config_value_layout;
config_read_f config_value_plans;
config_read_f config_value_device_kind;

#endif
