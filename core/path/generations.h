/*
 * Kept generations: the last versions of every function stay in the state folder, so that one can go back to any of them.
 * Main loop, except where said otherwise.
 */
#pragma once

#include "path/engine.h"

enum { GENERATIONS_MAX = 64 };

/* The generations of one function whose records are there, in the order of their numbers. */
struct generations {
	/* In engine->generations. */
	struct list of_engine;
	char name[ENGINE_NAME_BYTES];
	uint32_t count;
	uint32_t numbers[GENERATIONS_MAX];
};

/* What the state folder has; call once, before functions are deployed. 0 or -1. */
int
generations_restore(struct engine *engine);

/* The function's, made when there is none yet. NULL with RESOURCE_EXHAUSTED. */
struct generations *
generations_make(struct engine *engine, const char *name);

/* NULL when the function has none. */
struct generations *
generations_find(const struct engine *engine, const char *name);

/* The number that the function's next generation gets. */
uint32_t
generations_next(const struct engine *engine, const struct engine_function *function,
		 const char *name);

/* The newest kept one below `current`; 0 when there is none. */
uint32_t
generations_before(const struct generations *generations, uint32_t current);

bool
generations_has(const struct generations *generations, uint32_t number);

/*
 * Note that `number` is kept, and choose what goes for it: the oldest but `current`, when there are
 * more than config.generations. Returns the number of those, written to gone.
 */
uint32_t
generations_add(struct generations *generations, uint32_t keep, uint32_t number, uint32_t current,
		uint32_t gone[GENERATIONS_MAX]);

/* Its record could not be written. */
void
generations_forget(struct generations *generations, uint32_t number);

/* Pool thread: write, read and remove the record of one. A record that was read is malloc'd, the caller's. */
int
generations_write(const struct engine *engine, const char *name, uint32_t number,
		  struct slice record);
int
generations_read(const struct engine *engine, const char *name, uint32_t number,
		 struct slice *record);
void
generations_erase(const struct engine *engine, const char *name, uint32_t number);

/* The function is removed: its generations and their records go. */
void
generations_remove(struct engine *engine, const char *name);

/* True when a kept generation uses the model of that hash. Reads every record: for the start only. */
bool
generations_use_model(struct engine *engine, const char *hash);

/* Frees all of them; the records stay. */
void
generations_destroy(struct engine *engine);
