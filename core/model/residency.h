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

/* Groups that are on the device or on their way (a prefix), and the pool memory that they take, in whole units. */
uint32_t
residency_groups(const struct residency *residency);
uint64_t
residency_bytes(const struct residency *residency);

/* How many groups there would be, those that are there included, if the next ones were to take at most bytes of the pool. */
uint32_t
residency_groups_within(const struct residency *residency, uint64_t bytes);

/*
 * The prefix that is there for certain: its copies are over and went well. What is copied on to another device is taken from
 * this alone, since a copy of a copy that fails later would not be known to be bad.
 */
uint32_t
residency_arrived(const struct residency *residency);

/* Bytes of pool memory (in whole units) that loading the rest would take. */
uint64_t
residency_missing_bytes(const struct residency *residency);

/* Keep groups 0 … groups-1, at most residency_groups, from being trimmed; counted, a pin a call. */
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
 * Begin to bring groups 0 … groups-1 as far as they are missing: takes extents and pins what it brings. NULL with
 * RESOURCE_EXHAUSTED when the pool cannot give them: nothing is taken then, and *needed_bytes says how much pool memory is
 * wanted in all; evict and try again (with that much free, the runs were too short for a large group: evict on). NULL with
 * UNAVAILABLE while groups of a failed load are still pinned. NULL and the error cleared when nothing is missing.
 */
struct residency_load *
residency_begin_load(struct residency *residency, uint32_t groups, uint64_t *needed_bytes);

/*
 * Let part of a load that is not issued yet come over the link of a neighbour, a peer of the
 * device, by way of a small extent of that one's pool. RESOURCE_EXHAUSTED when the pool has no
 * room; UNIMPLEMENTED for narrow images: the load stays as it was.
 */
int
residency_relay_load(struct residency_load *load, struct pool *pool, struct device *neighbour)
	__attribute__((warn_unused_result));

/* Where a load's groups come from, and on which streams of the device. */
struct residency_source {
	/* For what comes from the host image. */
	struct device_stream *host;
	/* The image lies on disk: each group is read before it is copied, the next ones meanwhile. */
	bool from_disk;
	/* The same image's residency on another device, of which the caller has pinned peer_groups; NULL: none. */
	const struct residency *peer;
	uint32_t peer_groups;
	/* For what comes from the peer; NULL: the host's stream, and all that the peer has comes from there. */
	struct device_stream *peer_stream;
	/* The neighbour's, for a load that is relayed: what comes in over its link and goes on by peer_stream. */
	struct device_stream *lent;
	/* Bytes/s of these ways. With a peer_stream, groups that can take several ways are shared between them so that each
	 * arrives as early as it can; while a rate is 0, not known, the peer gives all it has and nothing is relayed. */
	double host_rate;
	double peer_rate;
	double lent_rate;
	/* A stream of its own for widening what lies narrow in host memory; needed for such images. */
	struct device_stream *widen;
	/* What traces call the copies (trace_name). */
	uint32_t label;
};

/*
 * Submit thread: put the copies on the streams, an event a group. The caller then puts a notify on each stream that it
 * named, after -1 too: the stream has the error then, and so has whoever waits for a group that was not put.
 */
int
residency_issue_load(struct residency_load *load, const struct residency_source *source)
	__attribute__((warn_unused_result));

/*
 * Main loop, once the completions of the copy streams came back: unpin what it brought and free the
 * load. On error its groups and all after them are dropped, at once or when the last pin on them
 * goes.
 */
void
residency_finish_load(struct residency_load *load, const struct error *error);

/*
 * What a run binds: device address of each group, and the event to wait for (NULL: there already). Arrays of
 * image->group_count entries that stay in place for as long as the residency lives; entries of pinned groups are stable,
 * so a group that was pinned all the time since its load keeps an event, long reached.
 */
void *const *
residency_addresses(const struct residency *residency);
struct device_event *const *
residency_events(const struct residency *residency);
