/*
 * The elbow of a device's link: the size of copies from which on larger ones are hardly faster.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct device;
struct device_stream;

/*
 * Copy `room` bytes to device_to over and over, in pieces of one size after the other, and say the smallest one that reached
 * nine tenths of the best throughput. Takes some 10 ms, and never much more than 50. 0 with the error set. May block; for start-up.
 */
uint64_t
elbow_measure(struct device *device, struct device_stream *copy, void *device_to, size_t room);
