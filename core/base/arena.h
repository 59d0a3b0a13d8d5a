/*
 * Arena: memory that is given out piece by piece and freed as a whole. One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
	/* The chunk in use; older ones behind it. */
	struct arena_chunk *chunk;
	/* Bytes given out, and the most that will be (0: no limit). */
	size_t used;
	size_t limit;
};

/* An empty arena; owns no memory until the first allocation. limit in bytes, 0 for none. */
void
arena_create(struct arena *arena, size_t limit);

/* Free everything that the arena gave out. */
void
arena_destroy(struct arena *arena);

/* Forget everything but keep one chunk for the next use. */
void
arena_reset(struct arena *arena);

/* Uninitialised memory, 16-byte aligned. NULL with RESOURCE_EXHAUSTED over the limit or without memory. */
void *
arena_alloc(struct arena *arena, size_t bytes);

/* As arena_alloc, zeroed, for count elements of size bytes; a product that overflows is RESOURCE_EXHAUSTED. */
void *
arena_calloc(struct arena *arena, size_t count, size_t size);

/* A copy of the length bytes at text with a NUL after them. */
char *
arena_strndup(struct arena *arena, const char *text, size_t length);
