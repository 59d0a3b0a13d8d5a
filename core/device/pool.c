#include "device/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/list.h"
#include "device/bitset.h"
#include "device/device.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_IS_TWIN true
#else
#define POOL_IS_TWIN false
#endif

enum {
	/* Runs that are allocated together. */
	SLAB_RUNS = 128,
	TWIN_ALIGNMENT = 64,
};

/*
 * A run of units, free or in use; the pool is one list of them in the order of their addresses. Free runs next to each
 * other are merged at once, so every neighbour of a free run is in use.
 */
struct run {
	/* What the user of the run sees; first, so that an extent is its run. */
	struct extent extent;
	struct list order;
	/* In the bin of its size while free; in the pool's unused runs while it stands for nothing. */
	struct list bin;
	uint64_t first;
	uint64_t units;
	/* NULL while free. */
	const void *owner;
};

struct slab {
	struct slab *next;
	struct run runs[SLAB_RUNS];
};

struct pool {
	struct device *device;
	unsigned char *base;
	uint64_t units;
	uint64_t used;
	uint32_t extents;
	/* Every extent has a malloc of its own. */
	bool is_twin;
	/* All runs by address. */
	struct list order;
	/* Free runs by size: bins[n] holds those of n units, sizes the n whose bin is not empty. Best fit is then the next
	 * member of sizes: exact, and in constant time. */
	struct list *bins;
	struct bitset sizes;
	/* Runs that stand for nothing now, and the memory of all. */
	struct list unused;
	struct slab *slabs;
};

/* --- runs -------------------------------------------------------------------------------------------------------- */

static int
add_slab(struct pool *pool)
{
	struct slab *slab = malloc(sizeof(*slab));
	if (slab == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the books of a pool");
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (int i = 0; i < SLAB_RUNS; i++)
		list_push_back(&pool->unused, &slab->runs[i].bin);
	return 0;
}

/* A run that stands for nothing; NULL without memory. */
static struct run *
take_run(struct pool *pool)
{
	if (list_is_empty(&pool->unused) && add_slab(pool) != 0)
		return NULL;
	struct list *link = list_pop_front(&pool->unused);
	return list_entry(link, struct run, bin);
}

static void
drop_run(struct pool *pool, struct run *run)
{
	list_remove(&run->order);
	list_push_front(&pool->unused, &run->bin);
}

static void
bin_add(struct pool *pool, struct run *run)
{
	struct list *bin = &pool->bins[run->units];
	if (bin->next == NULL)
		list_create(bin);
	if (list_is_empty(bin))
		bitset_add(&pool->sizes, run->units);
	list_push_front(bin, &run->bin);
}

static void
bin_remove(struct pool *pool, struct run *run)
{
	list_remove(&run->bin);
	if (list_is_empty(&pool->bins[run->units]))
		bitset_remove(&pool->sizes, run->units);
}

/* Make what is behind the first `units` of a used run a free run of its own. */
static int
split(struct pool *pool, struct run *run, uint64_t units)
{
	if (run->units == units)
		return 0;
	struct run *rest = take_run(pool);
	if (rest == NULL)
		return -1;
	*rest = (struct run){ .first = run->first + units, .units = run->units - units };
	list_push_front(&run->order, &rest->order);
	run->units = units;
	bin_add(pool, rest);
	return 0;
}

/* The free run at link; NULL when it is in use or the end of the list. */
static struct run *
free_at(struct pool *pool, struct list *link)
{
	if (link == &pool->order)
		return NULL;
	struct run *run = list_entry(link, struct run, order);
	return run->owner == NULL ? run : NULL;
}

/* Give a run back, one with the free runs before and behind it. */
static void
merge(struct pool *pool, struct run *run)
{
	struct run *before = free_at(pool, run->order.prev);
	struct run *behind = free_at(pool, run->order.next);
	run->owner = NULL;
	if (before != NULL) {
		bin_remove(pool, before);
		run->first = before->first;
		run->units += before->units;
		drop_run(pool, before);
	}
	if (behind != NULL) {
		bin_remove(pool, behind);
		run->units += behind->units;
		drop_run(pool, behind);
	}
	bin_add(pool, run);
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

static int
place(struct pool *pool, struct run *run, size_t bytes)
{
	run->extent.bytes = bytes;
	run->extent.taken = (size_t)run->units * POOL_UNIT;
	run->extent.address = pool->base + run->first * POOL_UNIT;
	if (!pool->is_twin)
		return 0;
	if (posix_memalign(&run->extent.address, TWIN_ALIGNMENT, bytes | 1) == 0)
		return 0;
	return error_set(ERR_RESOURCE_EXHAUSTED, "no %zu bytes of memory for an extent", bytes);
}

static void
displace(struct pool *pool, struct run *run)
{
	if (pool->is_twin)
		free(run->extent.address);
}

/* --- pool -------------------------------------------------------------------------------------------------------- */

static int
create_books(struct pool *pool)
{
	list_create(&pool->order);
	list_create(&pool->unused);
	if (bitset_create(&pool->sizes, pool->units + 1) != 0)
		return -1;
	pool->bins = calloc(pool->units + 1, sizeof(*pool->bins));
	if (pool->bins == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the books of a pool");
	struct run *all = take_run(pool);
	if (all == NULL)
		return -1;
	*all = (struct run){ .units = pool->units };
	list_push_back(&pool->order, &all->order);
	bin_add(pool, all);
	return 0;
}

static void
free_books(struct pool *pool)
{
	for (struct slab *next, *slab = pool->slabs; slab != NULL; slab = next) {
		next = slab->next;
		free(slab);
	}
	free(pool->bins);
	bitset_destroy(&pool->sizes);
	free(pool);
}

struct pool *
pool_new(struct device *device, size_t bytes)
{
	if (bytes < POOL_UNIT) {
		error_set(ERR_INVALID_ARGUMENT, "a pool of %zu bytes is less than its unit of %d",
			  bytes, POOL_UNIT);
		return NULL;
	}
	struct pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a pool");
		return NULL;
	}
	pool->device = device;
	pool->units = bytes / POOL_UNIT;
	pool->is_twin = POOL_IS_TWIN && device_properties(device)->kind == DEVICE_KIND_HOST;
	void *base;
	if (device_reserve(device, (size_t)pool->units * POOL_UNIT, &base) != 0)
		goto free_pool;
	pool->base = base;
	if (create_books(pool) != 0)
		goto release;
	return pool;
release:
	device_release(device, base);
free_pool:
	free_books(pool);
	return NULL;
}

void
pool_delete(struct pool *pool)
{
	if (pool == NULL)
		return;
	pool_let_go(pool);
	free_books(pool);
}

void
pool_let_go(struct pool *pool)
{
	assert(pool->extents == 0);
	if (pool->base != NULL)
		device_release(pool->device, pool->base);
	pool->base = NULL;
}

int
pool_take_again(struct pool *pool)
{
	void *base;
	if (device_reserve(pool->device, (size_t)pool->units * POOL_UNIT, &base) != 0)
		return -1;
	pool->base = base;
	return 0;
}

static uint64_t
largest_units(const struct pool *pool)
{
	uint64_t units = bitset_last(&pool->sizes);
	return units == BITSET_NONE ? 0 : units;
}

static struct extent *
refuse(const struct pool *pool, size_t bytes)
{
	error_set(ERR_RESOURCE_EXHAUSTED,
		  "pool of %s: %zu bytes asked for, %llu are free, the longest run has %llu",
		  device_properties(pool->device)->name, bytes,
		  (unsigned long long)(pool->units - pool->used) * POOL_UNIT,
		  (unsigned long long)largest_units(pool) * POOL_UNIT);
	return NULL;
}

/* Units that hold bytes; at least one. */
static uint64_t
units_for(size_t bytes)
{
	return bytes == 0 ? 1 : (bytes - 1) / POOL_UNIT + 1;
}

struct extent *
pool_alloc(struct pool *pool, size_t bytes, const void *owner)
{
	assert(owner != NULL);
	if (fault_point_strikes(FAULT_POINT_EXTENT)) {
		error_set(ERR_RESOURCE_EXHAUSTED, "pool: %zu bytes: no extent (injected)", bytes);
		return NULL;
	}
	uint64_t units = units_for(bytes);
	uint64_t found = bitset_next(&pool->sizes, units);
	if (found == BITSET_NONE)
		return refuse(pool, bytes);
	struct run *run = list_entry(pool->bins[found].next, struct run, bin);
	bin_remove(pool, run);
	run->owner = owner;
	if (split(pool, run, units) != 0 || place(pool, run, bytes) != 0) {
		merge(pool, run);
		return NULL;
	}
	pool->used += units;
	pool->extents++;
	return &run->extent;
}

void
pool_free(struct pool *pool, struct extent *extent)
{
	if (extent == NULL)
		return;
	struct run *run = (struct run *)extent;
	assert(run->owner != NULL);
	displace(pool, run);
	pool->used -= run->units;
	pool->extents--;
	merge(pool, run);
}

void
pool_stats(const struct pool *pool, struct pool_stats *stats)
{
	*stats = (struct pool_stats){
		.capacity = pool->units * POOL_UNIT,
		.used = pool->used * POOL_UNIT,
		.largest_free = largest_units(pool) * POOL_UNIT,
		.extents = pool->extents,
	};
}

void
pool_map(const struct pool *pool, pool_visit_f *visit, void *context)
{
	list_each(it, &pool->order) {
		const struct run *run = list_entry(it, struct run, order);
		visit(context, run->first * POOL_UNIT, run->units * POOL_UNIT, run->owner);
	}
}
