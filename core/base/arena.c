#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fault_point.h"

enum {
	ALIGNMENT = 16,
	CHUNK_BYTES = 4096 - 64,
};

struct arena_chunk {
	struct arena_chunk *older;
	size_t size;
	size_t used;
	_Alignas(ALIGNMENT) unsigned char data[];
};

void
arena_create(struct arena *arena, size_t limit)
{
	*arena = (struct arena){ .limit = limit };
}

static void
free_chunks(struct arena_chunk *chunk)
{
	while (chunk != NULL) {
		struct arena_chunk *older = chunk->older;
		free(chunk);
		chunk = older;
	}
}

void
arena_destroy(struct arena *arena)
{
	free_chunks(arena->chunk);
	arena_create(arena, arena->limit);
}

void
arena_reset(struct arena *arena)
{
	struct arena_chunk *kept = arena->chunk;
	arena->used = 0;
	if (kept == NULL)
		return;
	free_chunks(kept->older);
	kept->older = NULL;
	kept->used = 0;
	if (kept->size > CHUNK_BYTES)
		arena_destroy(arena);
}

static int
add_chunk(struct arena *arena, size_t bytes)
{
	size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
	struct arena_chunk *chunk =
		fault_point_strikes(FAULT_POINT_ARENA) ? NULL : malloc(sizeof(*chunk) + size);
	if (chunk == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "arena: no memory for %zu bytes", size);
	*chunk = (struct arena_chunk){ .older = arena->chunk, .size = size };
	arena->chunk = chunk;
	return 0;
}

void *
arena_alloc(struct arena *arena, size_t bytes)
{
	size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (rounded < bytes || (arena->limit != 0 && rounded > arena->limit - arena->used)) {
		error_set(ERR_RESOURCE_EXHAUSTED, "arena: %zu bytes exceed the limit of %zu", bytes,
			  arena->limit);
		return NULL;
	}
	struct arena_chunk *chunk = arena->chunk;
	if (chunk == NULL || rounded > chunk->size - chunk->used) {
		if (add_chunk(arena, rounded) != 0)
			return NULL;
		chunk = arena->chunk;
	}
	void *memory = chunk->data + chunk->used;
	chunk->used += rounded;
	arena->used += rounded;
	return memory;
}

void *
arena_calloc(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		error_set(ERR_RESOURCE_EXHAUSTED, "arena: %zu times %zu bytes overflow", count,
			  size);
		return NULL;
	}
	void *memory = arena_alloc(arena, bytes);
	if (memory != NULL)
		memset(memory, 0, bytes);
	return memory;
}

char *
arena_strndup(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);
	if (copy == NULL)
		return NULL;
	/* No bytes may come without an address. */
	if (length > 0)
		memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}
