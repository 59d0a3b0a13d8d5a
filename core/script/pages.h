/*
 * Pages: gives out runs of pages (units) of a range that is shared with another process. Its books
 * are private memory, mapped at the first use, so that the other side can neither read nor break
 * them. First fit from the start, so that the same pages are used again; free runs are merged at
 * once (boundary tags, Knuth 2.5). One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGES_UNIT = 4096 };

struct pages {
	/* For each unit: length of the run that starts or ends there, with PAGES_USED at the start of one given out. */
	uint32_t *tags;
	uint32_t units;
	uint32_t used_units;
	/* No free run starts before it. */
	uint32_t first;
};

/* A heap of `bytes`, rounded down to units. Owns nothing until the first pages_alloc. */
void
pages_create(struct pages *pages, size_t bytes);
void
pages_destroy(struct pages *pages);

/* *offset of a run of at least `bytes`. -1 with RESOURCE_EXHAUSTED. */
int
pages_alloc(struct pages *pages, size_t bytes, size_t *offset);

/* -1 with INVALID_ARGUMENT when nothing was given out at offset. */
int
pages_free(struct pages *pages, size_t offset);

/* Bytes given out now. */
size_t
pages_used(const struct pages *pages);
