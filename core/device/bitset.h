/*
 * A set of small numbers that finds neighbours fast: a bitmap with bitmaps above it, each bit of which says whether the
 * 64-bit word below has any. Every call takes as many steps as there are levels: 3 up to 262,144 numbers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	/* Enough for 2^36 numbers. */
	BITSET_LEVELS = 6,
};

/* What bitset_next and bitset_last say when there is none. */
#define BITSET_NONE UINT64_MAX

struct bitset {
	/* The lowest level first, and the words of each; the last one is a single word. */
	uint64_t *levels[BITSET_LEVELS];
	uint64_t words[BITSET_LEVELS];
	uint32_t level_count;
	uint64_t limit;
};

/* An empty set of numbers below limit (1 … 2^36). -1 with RESOURCE_EXHAUSTED. */
int
bitset_create(struct bitset *set, uint64_t limit);
void
bitset_destroy(struct bitset *set);

void
bitset_add(struct bitset *set, uint64_t number);
void
bitset_remove(struct bitset *set, uint64_t number);

/* The smallest member that is at least number, and the largest of all. */
uint64_t
bitset_next(const struct bitset *set, uint64_t number);
uint64_t
bitset_last(const struct bitset *set);
