#include "device/elbow.h"

#include <string.h>

#include "base/clock.h"
#include "device/device.h"

enum {
	SMALLEST = 256 << 10,
	/* Of each size; the best counts. */
	PASSES = 2,
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

static uint64_t
time_size(struct device_stream *copy, char *to, const char *from, size_t room, size_t size)
{
	uint64_t best = 0;
	for (int i = 0; i < PASSES; i++) {
		uint64_t ns = time_pass(copy, to, from, room, size);
		if (ns == 0)
			return 0;
		best = best == 0 || ns < best ? ns : best;
	}
	return best;
}

/* Times of the whole room, half of it, and so on, as far as there is time for; how many, 0 with the error set. */
static uint32_t
time_sizes(struct device_stream *copy, char *to, const char *from, size_t room, uint64_t *times)
{
	uint64_t start = clock_now();
	uint32_t count = 0;
	/* Pages that are touched for the first time are no part of the link. */
	if (time_pass(copy, to, from, room, room) == 0)
		return 0;
	for (size_t size = room; size >= SMALLEST && count < SIZES_MAX; size /= 2) {
		times[count] = time_size(copy, to, from, room, size);
		if (times[count] == 0)
			return 0;
		count++;
		if (clock_now() - start > longest_ns)
			break;
	}
	return count;
}

uint64_t
elbow_measure(struct device *device, struct device_stream *copy, void *device_to, size_t room)
{
	uint64_t times[SIZES_MAX], best = UINT64_MAX;
	void *from = device_host_alloc(device, room);
	if (from == NULL)
		return 0;
	memset(from, 0, room);
	uint32_t count = time_sizes(copy, device_to, from, room, times);
	device_host_free(device, from);
	if (count == 0)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		best = times[i] < best ? times[i] : best;
	while ((double)times[count - 1] * good_enough > (double)best)
		count--;
	return room >> (count - 1);
}
