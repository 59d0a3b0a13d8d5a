/*
 * The programs compiled so far for one graph, by input types; the least recently used goes when there are too many. Any
 * thread.
 */
#pragma once

#include <pthread.h>

#include "exec/tensor.h"
#include "model/model.h"

struct program;

struct program_cache {
	pthread_mutex_t lock;
	uint32_t count;
	/* The most recently used first. */
	struct program *programs[MODEL_PROGRAMS_MAX];
};

void
program_cache_create(struct program_cache *cache);
void
program_cache_destroy(struct program_cache *cache);

/* The program for these input types (a reference of the caller's), or NULL without an error. */
struct program *
program_cache_find(struct program_cache *cache, const struct tensor_type *inputs,
		   uint32_t input_count);

/* Keep the program (a reference of the cache's own). */
void
program_cache_add(struct program_cache *cache, struct program *program);
