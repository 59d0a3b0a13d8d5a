/*
 * Relay: how groups get to a device over a neighbour's link to the host. A group goes piece by piece into a few buffers in the
 * neighbour's memory, and on from there over the link between both while the next pieces come in (DeepPlan's parallel
 * transmission: Jeong, Baek and Ahn, EuroSys 2023). One struct relay a load: made and deleted on the main loop, used on the
 * submit thread of the device that loads.
 */
#pragma once

#include <stddef.h>

#include "device/device.h"
#include "device/pool.h"

struct relay;

enum {
	RELAY_PIECE_BYTES = 2 << 20,
	/* One that comes in, one that goes out, and one for what either is late. */
	RELAY_BUFFERS = 3,
	/* What a relay takes of the neighbour's pool. */
	RELAY_BYTES = RELAY_PIECE_BYTES * RELAY_BUFFERS,
};

/* pool: the neighbour's; owner: for its map. NULL with RESOURCE_EXHAUSTED; FAILED_PRECONDITION when it is no peer. */
struct relay *
relay_new(struct pool *pool, struct device *neighbour, struct device *device, const void *owner);

/* All streams must have passed what was put. NULL: nothing. */
void
relay_delete(struct relay *relay);

/*
 * Put the copies of bytes at `from` in host memory to `to` on the device: in on `lent`, a stream of the neighbour, and on by
 * `peer`, one of the device, which has passed this when they are there. An error of one stream becomes the other's.
 */
int
relay_put(struct relay *relay, void *to, const void *from, size_t bytes, struct device_stream *lent,
	  struct device_stream *peer) __attribute__((warn_unused_result));
