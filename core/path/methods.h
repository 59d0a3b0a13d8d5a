/*
 * Methods: what the node answers besides invoke. One table says name, parameters and function of each; api_info shows it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/message.h"

struct engine;
struct request;

struct method {
	const char *name;
	/* "(function, value, options)", as api_info shows it, and one line on what it does. */
	const char *parameters;
	const char *help;
	/* As a stage: ROUTE_REPLY with the result written, ROUTE_WAIT, or -1 with the error set. */
	int (*call)(struct request *request);
	/* May be called before hello. */
	bool is_open;
};

/* The methods of each file, ended by one without a name. */
extern const struct method methods_of_node[];
extern const struct method methods_of_functions[];
extern const struct method methods_of_models[];
extern const struct method methods_of_policy[];
extern const struct method methods_of_devices[];
extern const struct method methods_of_trace[];

/* The node ends: end the trace that is being made, if any. */
void
methods_trace_close(struct engine *engine);

/* True for methods that an unauthenticated client may call. */
bool
methods_is_open(struct slice name);

/* Call the request's method. UNIMPLEMENTED when there is none of that name. */
int
methods_call(struct request *request);

/* Call visit for every method. */
void
methods_each(void (*visit)(void *context, const struct method *method), void *context);

/* A method that finishes later; the request may be gone by then (request NULL). */
struct pending {
	struct request *request;
};

/* Tie a new pending to the request. NULL with RESOURCE_EXHAUSTED. */
struct pending *
pending_new(struct request *request);

/* Untie and free it; the request, or NULL when it is gone. */
struct request *
pending_end(struct pending *pending);

/* The i-th parameter, or INVALID_ARGUMENT saying that `what` is missing. */
int
methods_parameter(const struct request *request, uint32_t i, const char *what, struct slice *value);

/* A parameter that is a string, alone or as the value of key `what` in a map. */
int
methods_string(const struct request *request, const char *what, struct slice *value);

/*
 * A whole number from 0 to below limit: the value of key `what` in the first parameter, a map. *value stays as it is when
 * the key or the map is missing.
 */
int
methods_number(const struct request *request, const char *what, uint32_t limit, uint32_t *value);

/* The value of a key in a map; 1 when it is there, 0 when not, -1 when value is no map. */
int
methods_field(struct slice map, const char *key, struct slice *value);
