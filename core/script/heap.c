#include "script/heap.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

int
heap_create(struct heap *heap, size_t size)
{
	memset(heap, 0, sizeof(*heap));
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return error_set_errno("heap of %zu bytes", size);
	heap->base = base;
	heap->size = size;
	return 0;
}

void
heap_destroy(struct heap *heap)
{
	if (heap->base != NULL)
		munmap(heap->base, heap->size);
	memset(heap, 0, sizeof(*heap));
}

/* Class of a size, 1 … 2^47; *bytes: what a block of that class takes. */
static unsigned
class_of(size_t size, size_t *bytes)
{
	if (size <= HEAP_SMALL_STEP * HEAP_SMALL_CLASSES) {
		unsigned small = (unsigned)((size - 1) / HEAP_SMALL_STEP);
		*bytes = (size_t)(small + 1) * HEAP_SMALL_STEP;
		return small;
	}
	/* 2^power is the largest power of two below size: quarters of it are the steps. */
	unsigned power = 63u - (unsigned)__builtin_clzll(size - 1);
	unsigned quarter = (unsigned)((size - 1) >> (power - 2)) & 3u;
	*bytes = (size_t)(quarter + 5) << (power - 2);
	return HEAP_SMALL_CLASSES + 4 * (power - 8) + quarter;
}

static void *
give(struct heap *heap, size_t size)
{
	if (size > heap->size)
		return NULL;
	size_t bytes;
	unsigned class = class_of(size, &bytes);
	void *block = heap->freed[class];
	if (block != NULL) {
		memcpy(&heap->freed[class], block, sizeof(void *));
	} else {
		if (bytes > heap->size - heap->used)
			return NULL;
		block = heap->base + heap->used;
		heap->used += bytes;
	}
	heap->allocations++;
	return block;
}

static void
take_back(struct heap *heap, void *block, size_t size)
{
	size_t bytes;
	unsigned class = class_of(size, &bytes);
	memcpy(block, &heap->freed[class], sizeof(void *));
	heap->freed[class] = block;
}

/* True when the block, grown or shrunk, keeps its class. */
static int
fits(size_t old_size, size_t new_size)
{
	size_t old_bytes, new_bytes;
	class_of(old_size, &old_bytes);
	class_of(new_size, &new_bytes);
	return old_bytes == new_bytes;
}

void *
heap_realloc(void *context, void *block, size_t old_size, size_t new_size)
{
	struct heap *heap = context;
	if (block == NULL || old_size == 0)
		return new_size == 0 ? NULL : give(heap, new_size);
	if (new_size == 0) {
		take_back(heap, block, old_size);
		return NULL;
	}
	if (new_size <= heap->size && fits(old_size, new_size))
		return block;
	void *moved = give(heap, new_size);
	if (moved == NULL)
		/* Lua does not expect that a block cannot shrink. */
		return new_size < old_size ? block : NULL;
	memcpy(moved, block, old_size < new_size ? old_size : new_size);
	take_back(heap, block, old_size);
	return moved;
}
