/*
 * Staging: how the groups of a narrow image get to a device. Each is copied into one of two buffers on the copy stream and
 * widened from there into its extent on a stream of its own, while the next one is copied into the other. One struct
 * staging a load: made and deleted on the main loop, used on the submit thread.
 */
#pragma once

#include <stdint.h>

#include "device/device.h"
#include "device/pool.h"
#include "model/narrow_image.h"

struct staging;

/* Bytes of pool memory that staging groups first … end-1 takes, in whole units. */
uint64_t
staging_bytes(const struct narrow_image *image, uint32_t first, uint32_t end);

/* NULL with RESOURCE_EXHAUSTED; UNIMPLEMENTED when the device's backend cannot widen. owner: for the pool's map. */
struct staging *
staging_new(struct pool *pool, struct device *device, const struct narrow_image *image,
	    uint32_t first, uint32_t end, const void *owner);

/* Both streams must have passed what was put. NULL: nothing. */
void
staging_delete(struct staging *staging);

/* Put the group's copy and its widening to `to`; it is there when the widen stream has passed this. */
int
staging_put(struct staging *staging, uint32_t group, void *to, struct device_stream *copy,
	    struct device_stream *widen);
