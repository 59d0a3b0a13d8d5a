/*
 * The elbow of a device's link: the size of copies from which on larger ones are hardly faster.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct device;
struct device_stream;

/*
 * Copy `room` bytes to device_to over and over, in pieces of that size, half of it … down to `smallest`, and say the smallest
 * one that reached nine tenths of the best throughput. Takes some 10 ms; on a slow link as long as each size takes once. 0
 * with the error set. May block; for start-up.
 */
uint64_t
elbow_measure(struct device *device, struct device_stream *copy, void *device_to, size_t room,
	      size_t smallest);
