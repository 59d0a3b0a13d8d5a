#include "net/buffer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/scrap.h"

/* Under ASan every buffer is a block of its own, so that a use after the last unref is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_BUFFERS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_BUFFERS 0
#endif
#endif
#ifndef KEEPS_BUFFERS
#define KEEPS_BUFFERS 1
#endif

struct buffer_pool *
buffer_pool_new(struct uv_loop_s *loop)
{
	struct buffer_pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a buffer pool");
		return NULL;
	}
	pool->loop = loop;
	pool->refs = 1;
	return pool;
}

static void
pool_unref(struct buffer_pool *pool)
{
	assert(pool->refs > 0);
	if (--pool->refs > 0)
		return;
	while (pool->free_count > 0)
		free(pool->free[--pool->free_count]);
	free(pool);
}

void
buffer_pool_delete(struct buffer_pool *pool)
{
	pool_unref(pool);
}

struct buffer *
buffer_new(struct buffer_pool *pool, size_t room)
{
	struct buffer *buffer;
	if (room < BUFFER_BYTES)
		room = BUFFER_BYTES;
	if (room == BUFFER_BYTES && pool->free_count > 0)
		buffer = pool->free[--pool->free_count];
	else
		buffer = malloc(sizeof(*buffer) + room);
	if (buffer == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %zu bytes of input", room);
		return NULL;
	}
	buffer->pool = pool;
	pool->refs++;
	buffer->refs = 1;
	buffer->room = room;
	return buffer;
}

struct buffer *
buffer_ref(struct buffer *buffer)
{
	buffer->refs++;
	return buffer;
}

void
buffer_unref(struct buffer *buffer)
{
	struct buffer_pool *pool = buffer->pool;
	assert(buffer->refs > 0);
	if (--buffer->refs > 0)
		return;
	if (KEEPS_BUFFERS && buffer->room == BUFFER_BYTES && pool->free_count < BUFFER_POOL_KEPT)
		pool->free[pool->free_count++] = buffer;
	else
		scrap(pool->loop, scrap_malloced, buffer, sizeof(*buffer) + buffer->room);
	pool_unref(pool);
}
