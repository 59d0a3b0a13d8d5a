/*
 * Residency: which prefix of a model's groups lies on a device, in which extents. One struct residency a (model, device)
 * pair. The main loop's thread keeps the books; the submit thread only issues the copies of a load that was begun.
 *
 * Rules: groups come in order and go from the tail. A pinned residency is not trimmed below its pinned prefix. An extent
 * goes back to the pool only when no copy or run that touches it is under way, which pins say: whoever puts device work
 * that touches a residency holds a pin until its completion has come back to the main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"
#include "device/pool.h"
#include "model/image.h"

struct residency;

enum residency_state {
	RESIDENCY_ABSENT,
	RESIDENCY_LOADING,
	RESIDENCY_PARTIAL,
	RESIDENCY_RESIDENT,
	RESIDENCY_FAILED,
};

/* A copy of groups first … end-1 that was begun; made on the main loop, issued on the submit thread, finished back there. */
struct residency_load;

struct residency *
residency_new(struct pool *pool, struct device *device, const struct image *image,
	      const void *owner);

/* Asserts that nothing is pinned. Gives all extents back. */
void
residency_delete(struct residency *residency);

enum residency_state
residency_state(const struct residency *residency);

/* Groups that are on the device or on their way (a prefix), and their bytes. */
uint32_t
residency_groups(const struct residency *residency);
uint64_t
residency_bytes(const struct residency *residency);

/* Bytes of pool memory (in whole units) that loading the rest would take. */
uint64_t
residency_missing_bytes(const struct residency *residency);

/* Keep groups 0 … groups-1 from being trimmed; counted, a pin a call. */
void
residency_pin(struct residency *residency, uint32_t groups);
void
residency_unpin(struct residency *residency, uint32_t groups);
/* Groups that a trim may not touch now. */
uint32_t
residency_pinned(const struct residency *residency);

/* Give back groups from the tail until `keep` are left; stops at the pinned prefix. Returns bytes given back to the pool. */
uint64_t
residency_trim(struct residency *residency, uint32_t keep);

/*
 * Begin to bring groups up to `groups` (all that are missing before it): takes extents and pins what it brings. NULL with
 * RESOURCE_EXHAUSTED when the pool cannot give them: nothing is taken then, and *needed_bytes says how much pool memory is
 * wanted; evict and try again. NULL without an error when nothing is missing.
 */
struct residency_load *
residency_begin_load(struct residency *residency, uint32_t groups, uint64_t *needed_bytes);

/* Submit thread: put the copies on the copy stream, an event a group. peer: copy from there instead (its residency is
 * pinned by the caller), NULL for the host image. */
int
residency_issue_load(struct residency_load *load, struct device_stream *copy,
		     const struct residency *peer) __attribute__((warn_unused_result));

/* Main loop, once the copy stream's completion came back: unpin what it brought; on error the groups are dropped. */
void
residency_finish_load(struct residency_load *load, const struct error *error);

/*
 * What a run binds: device address of each group, and the event to wait for (NULL: there already). Arrays of
 * image->group_count entries that stay in place for as long as the residency lives; entries of pinned groups are stable.
 */
void *const *
residency_addresses(const struct residency *residency);
struct device_event *const *
residency_events(const struct residency *residency);
