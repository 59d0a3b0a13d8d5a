#include "model/residency.h"

#include <assert.h>
#include <stdlib.h>

#include "model/residency_parts.h"

static uint64_t
pool_bytes(uint64_t bytes)
{
	uint64_t units = bytes == 0 ? 1 : (bytes - 1) / POOL_UNIT + 1;
	return units * POOL_UNIT;
}

static uint64_t
group_bytes(const struct residency *residency, uint32_t group)
{
	return pool_bytes(residency->image->groups[group].bytes);
}

/* --- making and deleting ----------------------------------------------------------------------------------------- */

static void
free_all(struct residency *residency)
{
	if (residency->groups != NULL) {
		for (uint32_t i = 0; i < residency->image->group_count; i++)
			event_delete(residency->groups[i].event);
	}
	free(residency->groups);
	free(residency->addresses);
	free(residency->events);
	free(residency->pins);
	free(residency);
}

static int
allocate(struct residency *residency, uint32_t count)
{
	/* One more than groups: no allocation of 0 bytes, and a pin of none has its place. */
	residency->groups = calloc(count + 1, sizeof(*residency->groups));
	residency->addresses = calloc(count + 1, sizeof(*residency->addresses));
	residency->events = calloc(count + 1, sizeof(*residency->events));
	residency->pins = calloc(count + 1, sizeof(*residency->pins));
	if (residency->groups != NULL && residency->addresses != NULL &&
	    residency->events != NULL && residency->pins != NULL)
		return 0;
	return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the residency of %u groups", count);
}

struct residency *
residency_new(struct pool *pool, struct device *device, const struct image *image,
	      const void *owner)
{
	struct residency *residency = calloc(1, sizeof(*residency));
	if (residency == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a residency");
		return NULL;
	}
	*residency = (struct residency){
		.pool = pool, .device = device, .image = image, .owner = owner
	};
	if (allocate(residency, image->group_count) != 0) {
		free_all(residency);
		return NULL;
	}
	for (uint32_t i = 0; i < image->group_count; i++)
		residency->all_bytes += group_bytes(residency, i);
	return residency;
}

/* --- extents ----------------------------------------------------------------------------------------------------- */

static void
give_extent(struct residency *residency, uint32_t group)
{
	pool_free(residency->pool, residency->groups[group].extent);
	residency->groups[group].extent = NULL;
}

/* Give the last held group's extent back; returns its bytes. */
static uint64_t
drop_last(struct residency *residency)
{
	uint32_t last = --residency->held;
	struct group *group = &residency->groups[last];
	uint64_t bytes = group->extent->taken;
	give_extent(residency, last);
	residency->addresses[last] = NULL;
	residency->events[last] = NULL;
	if (residency->good > last) {
		residency->good = last;
		residency->good_bytes -= bytes;
	}
	return bytes;
}

/* Drop from the tail down to keep or the pinned prefix, whichever is longer. */
static uint64_t
drop_down_to(struct residency *residency, uint32_t keep)
{
	uint64_t bytes = 0;
	if (keep < residency->pinned)
		keep = residency->pinned;
	while (residency->held > keep)
		bytes += drop_last(residency);
	return bytes;
}

void
residency_delete(struct residency *residency)
{
	if (residency == NULL)
		return;
	assert(residency->pinned == 0 && residency->loads == 0);
	drop_down_to(residency, 0);
	free_all(residency);
}

uint64_t
residency_trim(struct residency *residency, uint32_t keep)
{
	return drop_down_to(residency, keep);
}

/* --- views ------------------------------------------------------------------------------------------------------- */

enum residency_state
residency_state(const struct residency *residency)
{
	if (residency->loads > 0)
		return RESIDENCY_LOADING;
	if (residency->good == residency->image->group_count)
		return RESIDENCY_RESIDENT;
	if (residency->failed)
		return RESIDENCY_FAILED;
	return residency->good == 0 ? RESIDENCY_ABSENT : RESIDENCY_PARTIAL;
}

uint32_t
residency_groups(const struct residency *residency)
{
	return residency->good;
}

uint32_t
residency_arrived(const struct residency *residency)
{
	uint32_t groups = 0;
	while (groups < residency->good && residency->groups[groups].load == NULL)
		groups++;
	return groups;
}

uint64_t
residency_bytes(const struct residency *residency)
{
	return residency->good_bytes;
}

uint32_t
residency_groups_within(const struct residency *residency, uint64_t bytes)
{
	uint32_t groups = residency->good;
	while (groups < residency->image->group_count && group_bytes(residency, groups) <= bytes)
		bytes -= group_bytes(residency, groups++);
	return groups;
}

uint64_t
residency_missing_bytes(const struct residency *residency)
{
	return residency->all_bytes - residency->good_bytes;
}

void *const *
residency_addresses(const struct residency *residency)
{
	return residency->addresses;
}

struct device_event *const *
residency_events(const struct residency *residency)
{
	return residency->events;
}

/* --- pins -------------------------------------------------------------------------------------------------------- */

void
residency_pin(struct residency *residency, uint32_t groups)
{
	assert(groups <= residency->good);
	residency->pins[groups]++;
	if (residency->pinned < groups)
		residency->pinned = groups;
}

/* Groups from..to-1 are bound by nobody now: those that have arrived need no event any more. */
static void
hide_events(struct residency *residency, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (residency->groups[i].load == NULL)
			residency->events[i] = NULL;
	}
}

void
residency_unpin(struct residency *residency, uint32_t groups)
{
	uint32_t was = residency->pinned;
	assert(residency->pins[groups] > 0);
	residency->pins[groups]--;
	while (residency->pinned > 0 && residency->pins[residency->pinned] == 0)
		residency->pinned--;
	hide_events(residency, residency->pinned, was);
	if (residency->held > residency->good)
		drop_down_to(residency, residency->good);
}

uint32_t
residency_pinned(const struct residency *residency)
{
	return residency->pinned;
}

/* --- loads ------------------------------------------------------------------------------------------------------- */

static uint64_t
missing_up_to(const struct residency *residency, uint32_t groups)
{
	uint64_t bytes = 0;
	for (uint32_t i = residency->good; i < groups; i++)
		bytes += group_bytes(residency, i);
	return bytes;
}

static int
take_extent(struct residency *residency, uint32_t group)
{
	if (residency->groups[group].extent == NULL)
		residency->groups[group].extent = pool_alloc(
			residency->pool, residency->image->groups[group].bytes, residency->owner);
	return residency->groups[group].extent == NULL ? -1 : 0;
}

static uint64_t
largest_missing(const struct residency *residency, uint32_t groups)
{
	uint64_t most = 0;
	for (uint32_t i = residency->held; i < groups; i++)
		if (group_bytes(residency, i) > most)
			most = group_bytes(residency, i);
	return most;
}

/*
 * Extents for the groups of more than a unit, larger ones first, before smaller ones take a piece
 * of the long runs that these need.
 */
static int
take_large_extents(struct residency *residency, uint32_t groups)
{
	for (uint64_t least = largest_missing(residency, groups); least > POOL_UNIT; least /= 2)
		for (uint32_t i = residency->held; i < groups; i++)
			if (group_bytes(residency, i) >= least && take_extent(residency, i) != 0)
				return -1;
	return 0;
}

static int
hold_next(struct residency *residency)
{
	uint32_t next = residency->held;
	struct group *group = &residency->groups[next];
	if (group->event == NULL)
		group->event = event_new(residency->device);
	if (group->event == NULL || take_extent(residency, next) != 0)
		return -1;
	residency->addresses[next] = group->extent->address;
	residency->events[next] = group->event;
	residency->held++;
	residency->good++;
	residency->good_bytes += group->extent->taken;
	return 0;
}

/* Take extents for all groups up to that one, or for none. */
static int
hold_up_to(struct residency *residency, uint32_t groups)
{
	uint32_t first = residency->held;
	int status = take_large_extents(residency, groups);
	while (status == 0 && residency->held < groups)
		status = hold_next(residency);
	if (status == 0)
		return 0;
	for (uint32_t i = residency->held; i < groups; i++)
		give_extent(residency, i);
	drop_down_to(residency, first);
	return -1;
}

static struct residency_load *
load_new(struct residency *residency, uint32_t first, uint32_t end, struct staging *staging)
{
	struct residency_load *load = malloc(sizeof(*load));
	if (load == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a load");
		return NULL;
	}
	*load = (struct residency_load){
		.residency = residency, .first = first, .end = end, .staging = staging
	};
	for (uint32_t i = first; i < end; i++)
		residency->groups[i].load = load;
	residency_pin(residency, end);
	residency->loads++;
	residency->failed = false;
	return load;
}

struct residency_load *
residency_begin_load(struct residency *residency, uint32_t groups, uint64_t *needed_bytes)
{
	uint32_t first = residency->good;
	*needed_bytes = 0;
	error_clear();
	if (groups <= first)
		return NULL;
	assert(groups <= residency->image->group_count);
	if (residency->held > residency->good) {
		error_set(ERR_UNAVAILABLE, "a load failed and what waits for it has not ended yet");
		return NULL;
	}
	const struct narrow_image *narrow = residency->image->narrow;
	struct staging *staging = NULL;
	*needed_bytes = missing_up_to(residency, groups) +
			(narrow != NULL ? staging_bytes(narrow, first, groups) : 0);
	if (hold_up_to(residency, groups) != 0)
		return NULL;
	if (narrow != NULL) {
		staging = staging_new(residency->pool, residency->device, narrow, first, groups,
				      residency->owner);
		if (staging == NULL) {
			drop_down_to(residency, first);
			return NULL;
		}
	}
	struct residency_load *load = load_new(residency, first, groups, staging);
	if (load == NULL) {
		staging_delete(staging);
		drop_down_to(residency, first);
	}
	return load;
}

int
residency_relay_load(struct residency_load *load, struct pool *pool, struct device *neighbour)
{
	struct residency *residency = load->residency;
	if (load->staging != NULL)
		return error_set(ERR_UNIMPLEMENTED, "narrow parameters are not relayed");
	load->relay = relay_new(pool, neighbour, residency->device, residency->owner);
	return load->relay == NULL ? -1 : 0;
}

/* Groups from first on are not good any more. Their events stay with those who wait for them. */
static void
condemn(struct residency *residency, uint32_t first)
{
	while (residency->good > first)
		residency->good_bytes -= group_bytes(residency, --residency->good);
	residency->failed = true;
}

void
residency_finish_load(struct residency_load *load, const struct error *error)
{
	struct residency *residency = load->residency;
	for (uint32_t i = load->first; i < load->end; i++)
		residency->groups[i].load = NULL;
	if (error != NULL)
		condemn(residency, load->first);
	residency->loads--;
	residency_unpin(residency, load->end);
	staging_delete(load->staging);
	relay_delete(load->relay);
	free(load->fetches);
	free(load);
}
