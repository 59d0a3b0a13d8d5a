/*
 * What a residency and its loads hold, shared by residency.c, which keeps the books, and residency_load.c, which puts the
 * copies on streams.
 */
#pragma once

#include "base/error.h"
#include "model/relay.h"
#include "model/residency.h"
#include "model/staging.h"

/* What is known of one group on the device. */
struct group {
	struct extent *extent;
	/* Made at the first load, recorded by each; events[] shows it while it is needed. */
	struct device_event *event;
	/* The load that brings it; NULL when it is there. */
	struct residency_load *load;
};

struct residency {
	struct pool *pool;
	struct device *device;
	const struct image *image;
	const void *owner;
	struct group *groups;
	/* What runs bind, group by group: entries at and above `held` are NULL. */
	void **addresses;
	struct device_event **events;
	/* Groups that hold an extent, and the prefix of them that is good: what a failed load brought is not, but its
	 * extents stay until no pin covers them. */
	uint32_t held;
	uint32_t good;
	/* Bytes that the good groups, and all groups, take in the pool. */
	uint64_t good_bytes;
	uint64_t all_bytes;
	/* Pins of each prefix length, and the longest that has one. */
	uint32_t *pins;
	uint32_t pinned;
	/* Loads that are begun and not finished. */
	uint32_t loads;
	bool failed;
};

struct residency_load {
	struct residency *residency;
	uint32_t first;
	uint32_t end;
	/* Of a narrow image; NULL otherwise. */
	struct staging *staging;
	/* Over a neighbour's link; NULL: nothing comes that way. */
	struct relay *relay;
	/* A group each, of a load from disk; NULL otherwise. */
	struct fetch *fetches;
	/* Why not all of it could be put; what fail_rest shows to the stream. */
	struct error error;
};

/* A group to be brought from disk. */
struct fetch {
	const struct residency_load *load;
	uint32_t group;
};
