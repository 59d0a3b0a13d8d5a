#include "spec/support/stopwatch.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "device/host_copy.h"

static void
sleep_us(uint32_t us)
{
	struct timespec time = { .tv_nsec = us * 1000L };
	if (us > 0)
		nanosleep(&time, NULL);
}

static int
run_nothing(const struct device_launch *launch, void *native)
{
	return 0;
}

static const struct device_launch nothing = { .run = run_nothing };

/* A stream_done_f: *context is the time of arrival. */
static void
note_arrival(void *context, const struct error *error)
{
	atomic_store((_Atomic uint64_t *)context, clock_now());
}

int
stopwatch_round_trips(struct device_stream *stream, uint32_t count, uint32_t pause_us,
		      uint64_t *times)
{
	for (uint32_t i = 0; i < count; i++) {
		_Atomic uint64_t arrival = 0;
		sleep_us(pause_us);
		uint64_t start = clock_now();
		if (stream_launch(stream, &nothing) != 0 ||
		    stream_notify(stream, note_arrival, &arrival) != 0)
			return -1;
		while (atomic_load(&arrival) == 0)
			;
		times[i] = clock_now() - start;
	}
	return 0;
}

int
stopwatch_run_now(struct device_stream *stream, uint32_t count, uint64_t *times)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = clock_now();
		if (stream_run_now(stream, &nothing) != 0)
			return -1;
		times[i] = clock_now() - start;
	}
	return 0;
}

/* What the two sides of a hand-over note. */
struct hand_over {
	uint32_t work_us;
	uint64_t ended;
	uint64_t began;
};

static int
run_first(const struct device_launch *launch, void *native)
{
	struct hand_over *over = (struct hand_over *)launch->work;
	uint64_t end = clock_now() + over->work_us * UINT64_C(1000);
	while (clock_now() < end)
		;
	over->ended = clock_now();
	return 0;
}

static int
run_second(const struct device_launch *launch, void *native)
{
	((struct hand_over *)launch->work)->began = clock_now();
	return 0;
}

static int
hand_over(struct device_stream *first, struct device_stream *second, struct device_event *event,
	  struct hand_over *over)
{
	const struct device_launch one = { .run = run_first, .work = over };
	const struct device_launch two = { .run = run_second, .work = over };
	if (stream_launch(first, &one) != 0 || stream_record(first, event) != 0 ||
	    stream_wait(second, event) != 0 || stream_launch(second, &two) != 0)
		return -1;
	return stream_synchronize(second);
}

int
stopwatch_hand_overs(struct device_stream *first, struct device_stream *second,
		     struct device_event *event, uint32_t count, uint32_t work_us, uint64_t *times)
{
	for (uint32_t i = 0; i < count; i++) {
		struct hand_over over = { .work_us = work_us };
		if (hand_over(first, second, event, &over) != 0)
			return -1;
		times[i] = over.began - over.ended;
	}
	return 0;
}

static int
run_until_open(const struct device_launch *launch, void *native)
{
	while (atomic_load((const atomic_bool *)launch->work))
		;
	return 0;
}

int
stopwatch_puts(struct device_stream *stream, uint32_t count, double *put, double *run)
{
	atomic_bool closed = true;
	const struct device_launch gate = { .run = run_until_open, .work = &closed };
	int result = stream_launch(stream, &gate);
	uint64_t start = clock_now();
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = stream_launch(stream, &nothing);
	uint64_t all_put = clock_now();
	atomic_store(&closed, false);
	if (stream_synchronize(stream) != 0 || result != 0)
		return -1;
	*put = (double)(all_put - start) / count;
	*run = (double)(clock_now() - all_put) / count;
	return 0;
}

int
stopwatch_marks(struct device_stream *stream, struct device_event *event, uint32_t count,
		double *mean)
{
	uint64_t start = clock_now();
	for (uint32_t i = 0; i < count; i++) {
		if (stream_record(stream, event) != 0 || stream_wait(stream, event) != 0)
			return -1;
	}
	if (stream_synchronize(stream) != 0)
		return -1;
	*mean = (double)(clock_now() - start) / count;
	return 0;
}

uint64_t
stopwatch_memcpy(void *to, const void *from, size_t bytes)
{
	uint64_t start = clock_now();
	memcpy(to, from, bytes);
	return clock_now() - start;
}

uint64_t
stopwatch_host_copy(void *to, const void *from, size_t bytes)
{
	uint64_t start = clock_now();
	host_copy(to, from, bytes);
	return clock_now() - start;
}

int
stopwatch_copy_in(struct device_stream *stream, void *to, const void *from, size_t bytes,
		  uint64_t *ns)
{
	uint64_t start = clock_now();
	if (stream_copy_in(stream, to, from, bytes) != 0 || stream_synchronize(stream) != 0)
		return -1;
	*ns = clock_now() - start;
	return 0;
}

int
stopwatch_groups(struct device_stream *stream, struct device_event *event, void *to,
		 const void *from, size_t group_bytes, uint32_t groups, uint64_t *ns)
{
	uint64_t start = clock_now();
	for (uint32_t i = 0; i < groups; i++) {
		char *target = (char *)to + i * group_bytes;
		if (stream_copy_in(stream, target, from, group_bytes) != 0 ||
		    stream_record(stream, event) != 0)
			return -1;
	}
	if (stream_synchronize(stream) != 0)
		return -1;
	*ns = clock_now() - start;
	return 0;
}

struct extent *
stopwatch_pool_alloc(struct pool *pool, size_t bytes, const void *owner, uint64_t *ns)
{
	uint64_t start = clock_now();
	struct extent *extent = pool_alloc(pool, bytes, owner);
	*ns = clock_now() - start;
	return extent;
}

void
stopwatch_pool_free(struct pool *pool, struct extent *extent, uint64_t *ns)
{
	uint64_t start = clock_now();
	pool_free(pool, extent);
	*ns = clock_now() - start;
}
