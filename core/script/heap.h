/*
 * Heap: the memory of one Lua state, in one mapping of its own with a fixed size. A state that must be abandoned in the
 * middle of anything is freed by unmapping it. Lua says how large a block is when it frees it, so blocks have no headers:
 * they are cut from the front of the mapping in size classes (steps of 16 bytes, then four a power of two), and freed
 * ones are kept in a list a class. One thread at a time.
 */
#pragma once

#include <stddef.h>

enum {
	HEAP_SMALL_STEP = 16,
	HEAP_SMALL_CLASSES = 16,
	HEAP_CLASSES = HEAP_SMALL_CLASSES + 4 * 40,
};

struct heap {
	char *base;
	/* Bytes of the mapping, and of these how many were ever given out. */
	size_t size;
	size_t used;
	/* Freed blocks by class; the first word of each points to the next. */
	void *freed[HEAP_CLASSES];
	/* Calls that gave out memory, for those who want to see that there are none. */
	size_t allocations;
};

/* Map size bytes; pages are taken when they are touched. RESOURCE_EXHAUSTED. */
int
heap_create(struct heap *heap, size_t size);
void
heap_destroy(struct heap *heap);

/* A lua_Alloc; context is a struct heap. NULL when the mapping is full. */
void *
heap_realloc(void *context, void *block, size_t old_size, size_t new_size);
