/* Between the files of fusion: what its cache holds. Main loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "model/chain.h"
#include "model/spelling.h"

struct engine;
struct program;

/* A chain that was seen more than once. Counted: the cache's reference, recipes', and its compilation's. */
struct fused {
	uint32_t references;
	struct list of_bucket;
	struct list of_recent;
	uint64_t hash;
	size_t bytes;
	struct spelling spelling;
	/* Owns chain and written. kept grows by what later batches named again. */
	struct arena arena;
	struct chain *chain;
	/* NULL until it is compiled; and which results it writes. */
	struct program *program;
	bool *written;
	/* chain->kept says more than written. */
	bool is_stale;
	bool is_refused;
};

/*
 * The entry with a program for the chain; NULL: there is none now. What is seen the second time, or is to keep more than it
 * did, is compiled aside.
 */
struct fused *
fusion_find(struct engine *engine, const struct chain *chain);
