/*
 * The function registry: deployed functions by name, their generations and what their handlers logged. Main loop.
 */
#pragma once

#include "net/message.h"
#include "path/engine.h"

enum { FUNCTION_LOG_LINES = 256 };

/* The last lines of a function's log, oldest first from `next` on. */
struct log_ring {
	char *lines[FUNCTION_LOG_LINES];
	uint32_t next;
	/*
	 * Lines so far, counted on from where functions that are gone had ended, so that a reader of one of the same name
	 * misses none; and where this one began. The ring holds the last of them.
	 */
	uint64_t count;
	uint64_t begun;
};

/* NULL when no function of that name is deployed. */
struct engine_function *
functions_find(struct engine *engine, struct slice name);

/* The function of that name, made when it is new (without a generation yet). NULL with RESOURCE_EXHAUSTED. */
struct engine_function *
functions_make(struct engine *engine, const char *name);

/* The generation is one of the function's; requests that test it may run. */
void
functions_attach(struct engine_function *function, struct generation *generation);

/* A function that has never had a generation goes again. */
void
functions_forget_empty(struct engine_function *function);

/*
 * New requests run this generation of the function from now on; the old one ends with its last request. Takes the caller's
 * reference.
 */
void
functions_switch(struct engine_function *function, struct generation *generation);

/* Requests that it has are served to their end. */
void
functions_remove(struct engine_function *function);

/* A generation with room for that many models; references 1. NULL with RESOURCE_EXHAUSTED. */
struct generation *
generation_new(uint32_t model_count);
struct generation *
generation_ref(struct generation *generation);
void
generation_unref(struct generation *generation);

/* Keep a line that the generation's script logged. */
void
functions_log(struct generation *generation, const char *text, size_t length);

/* All functions go; nothing may run. */
void
functions_destroy(struct engine *engine);
