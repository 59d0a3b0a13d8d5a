/*
 * A decorator that injects faults: it stands before a device of any kind, passes everything on and makes go wrong what its
 * plan says. For specs and for trying a node's behaviour; nothing above the device seam can tell the difference.
 */
#pragma once

#include "device/device.h"

/* Counts are of calls from now: 1 is the next one, 0 never. Each strikes once. */
struct fault_plan {
	/* device_reserve and device_host_alloc: RESOURCE_EXHAUSTED. */
	uint32_t fail_reserve;
	uint32_t fail_host_alloc;
	/* event_new and stream_new: RESOURCE_EXHAUSTED. */
	uint32_t fail_new;
	/*
	 * Copies in, out and from peers: refused when put (RESOURCE_EXHAUSTED), or gone wrong when
	 * their turn comes (DATA_LOSS).
	 */
	uint32_t refuse_copy;
	uint32_t fail_copy;
	/* A launch whose run is not called but fails with INTERNAL when its turn comes. */
	uint32_t fail_launch;
	/* The device is lost when that many verbs of streams have been put. */
	uint32_t lose_after;
	/* Every copy takes that much longer, us. The stream's thread sleeps: host devices only. */
	uint32_t slow_copy_us;
};

/* target with faults; closing it closes target. NULL with RESOURCE_EXHAUSTED, target is as it was then. */
struct device *
fault_new(struct device *target);

/* Any thread; takes effect with the next call. */
void
fault_set(struct device *fault, const struct fault_plan *plan);

/*
 * From now on every verb but those that free and notify fails with UNAVAILABLE; notifies, those under way too, are called
 * with that error once the target is done with what it was given. Any thread.
 */
void
fault_lose(struct device *fault);
