/*
 * Input buffers: what sockets are read into. Counted, so that a frame can be used where it lies after the connection has
 * gone on to the next buffer. Buffers of the standard size come from a pool and go back to it. One thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	/* Room in a buffer of the standard size; a longer frame gets one of its own. */
	BUFFER_BYTES = 64 * 1024,
	/* Unused buffers that a pool keeps. */
	BUFFER_POOL_KEPT = 64,
};

struct uv_loop_s;

/* A free list of buffers of the standard size; it lives until its owner and the last buffer have let go. */
struct buffer_pool {
	/* Whose threads free large buffers. */
	struct uv_loop_s *loop;
	uint32_t refs;
	uint32_t free_count;
	struct buffer *free[BUFFER_POOL_KEPT];
};

struct buffer {
	struct buffer_pool *pool;
	uint32_t refs;
	/* Room in data. */
	size_t room;
	unsigned char data[];
};

/* NULL with RESOURCE_EXHAUSTED. */
struct buffer_pool *
buffer_pool_new(struct uv_loop_s *loop);
/* The owner lets go. */
void
buffer_pool_delete(struct buffer_pool *pool);

/* A buffer with room for that many bytes or more, with one reference; NULL with RESOURCE_EXHAUSTED. */
struct buffer *
buffer_new(struct buffer_pool *pool, size_t room);
struct buffer *
buffer_ref(struct buffer *buffer);
void
buffer_unref(struct buffer *buffer);
