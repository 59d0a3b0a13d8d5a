/*
 * Fusion: the operations of a batch that follow one another run as one program, once their like has been seen before. What they
 * are like is spelled out (model/chain.h) and compared in full, so any function's batches may share programs. The first
 * of a kind runs operation by operation, and so do those that come while its program is compiled on a pool thread. Main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "model/spelling.h"

struct chain;
struct engine;
struct fused;
struct job;
struct program;

enum {
	/* Programs kept, the least recently used going first; and their bytes, known values and spellings included. */
	FUSION_ENTRIES_MAX = 256,
	FUSION_BYTES_MAX = 64 << 20,
	/* A power of two. */
	FUSION_BUCKETS = 256,
	/* Spellings that were seen once, by hash: nothing is compiled for what is not seen twice. A power of two. */
	FUSION_SEEN = 1024,
};

struct fusion_stats {
	/* Chains that ran as one program, and their operations. */
	uint64_t hits;
	uint64_t fused;
	/* Chains whose operations ran one by one. */
	uint64_t misses;
	uint64_t compiled;
	/* What no program could be made for. */
	uint64_t refused;
	/* Results that were not written and had to be made after all. */
	uint64_t remade;
};

struct fusion {
	struct list recent;
	struct list buckets[FUSION_BUCKETS];
	uint64_t seen[FUSION_SEEN];
	uint32_t count;
	size_t bytes;
	/* One compilation at a time. */
	bool is_compiling;
	/* What is looked up, spelled out. */
	struct spelling spelling;
	struct fusion_stats stats;
};

void
fusion_create(struct fusion *fusion);
/* Waits for a compilation that is under way. */
void
fusion_destroy(struct engine *engine);

/*
 * The job's steps from k on that are operations become one step, when there is a program for them; that is step k, with its
 * program, then. How many steps there are that need not be looked at again: 1 when they were fused, 0 when it is no chain. -1
 * with the error set, the job being as it was.
 */
int
fusion_take(struct job *job, uint32_t k);

/* The chain, as it was compiled: the holder of a reference may read it. */
const struct chain *
fused_chain(const struct fused *fused);

/* Result r was named again by a later batch: the next program writes it. */
void
fused_keep(struct fused *fused, uint32_t result);

struct fused *
fused_ref(struct fused *fused);
void
fused_unref(struct fused *fused);
