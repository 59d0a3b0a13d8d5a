/*
 * The pool: all memory that the node uses on one device, reserved once, given out as extents in units of 2 MiB. Best fit;
 * neighbours merge on free. Bookkeeping only: it touches no device memory, so it is the same for every device. The main
 * loop's thread only. Under ASan a twin gives every extent a malloc of its own (host devices).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct device;
struct pool;

enum { POOL_UNIT = 2 << 20 };

/* A piece of device memory that is in use. */
struct extent {
	void *address;
	/* As asked for, and as taken: a multiple of POOL_UNIT. */
	size_t bytes;
	size_t taken;
};

struct pool_stats {
	uint64_t capacity;
	uint64_t used;
	/* The largest extent that could be had now without an eviction. */
	uint64_t largest_free;
	uint32_t extents;
};

/* Reserve bytes of the device. NULL with RESOURCE_EXHAUSTED when the device has not that much. */
struct pool *
pool_new(struct device *device, size_t bytes);
void
pool_delete(struct pool *pool);

/*
 * Give the device's memory back, and take as much again: the device is made anew between. Nothing is taken from the pool, and
 * nobody asks it for more meanwhile. pool_take_again: 0, or -1 as device_reserve, and may be tried again.
 */
void
pool_let_go(struct pool *pool);
int
pool_take_again(struct pool *pool);

/*
 * An extent of at least bytes; owner is any pointer that pool_map shows. NULL with RESOURCE_EXHAUSTED when no free run is
 * long enough: the message says how much is free and how long the largest run is. O(log n).
 */
struct extent *
pool_alloc(struct pool *pool, size_t bytes, const void *owner);
void
pool_free(struct pool *pool, struct extent *extent);

void
pool_stats(const struct pool *pool, struct pool_stats *stats);

/* Call visit for every extent, free (owner NULL) and used, in address order. */
typedef void
pool_visit_f(void *context, uint64_t offset, uint64_t bytes, const void *owner);
void
pool_map(const struct pool *pool, pool_visit_f *visit, void *context);
