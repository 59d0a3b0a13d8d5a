#include "device/elbow.h"

#include <string.h>

#include "base/clock.h"
#include "device/device.h"

enum {
	/* Each size has its turn so often, and its best time counts: a machine that is busy with other things slows some. */
	PASSES = 4,
	SIZES_MAX = 16,
};

static const uint64_t longest_ns = 50 * 1000 * 1000;
static const double good_enough = 0.9;

/* ns that the room takes in copies of that size; 0 with the error set. */
static uint64_t
time_pass(struct device_stream *copy, char *to, const char *from, size_t room, size_t size)
{
	uint64_t start = clock_now();
	for (size_t at = 0; at < room; at += size)
		if (stream_copy_in(copy, to + at, from + at, room - at < size ? room - at : size) !=
		    0)
			return 0;
	if (stream_synchronize(copy) != 0)
		return 0;
	return clock_now() - start + 1;
}

/* Best times of room, half of it, … for `count` sizes; 0, or -1 with the error set. */
static int
time_sizes(struct device_stream *copy, char *to, const char *from, size_t room, uint32_t count,
	   uint64_t *times)
{
	uint64_t start = clock_now();
	/* Pages that are touched for the first time are no part of the link. */
	if (time_pass(copy, to, from, room, room) == 0)
		return -1;
	for (int pass = 0; pass == 0 || (pass < PASSES && clock_now() - start < longest_ns);
	     pass++) {
		for (uint32_t i = 0; i < count; i++) {
			uint64_t ns = time_pass(copy, to, from, room, room >> i);
			if (ns == 0)
				return -1;
			times[i] = pass == 0 || ns < times[i] ? ns : times[i];
		}
	}
	return 0;
}

uint64_t
elbow_measure(struct device *device, struct device_stream *copy, void *device_to, size_t room,
	      size_t smallest)
{
	uint64_t times[SIZES_MAX], best = UINT64_MAX;
	uint32_t count = 1;
	while (count < SIZES_MAX && room >> count >= smallest)
		count++;
	void *from = device_host_alloc(device, room);
	if (from == NULL)
		return 0;
	memset(from, 0, room);
	int result = time_sizes(copy, device_to, from, room, count, times);
	device_host_free(device, from);
	if (result != 0)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		best = times[i] < best ? times[i] : best;
	while ((double)times[count - 1] * good_enough > (double)best)
		count--;
	return room >> (count - 1);
}
