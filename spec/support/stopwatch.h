/*
 * What spec/bench measures of devices, timed in C: Lua between two clock readings would be part of the figure. Times are
 * ns; `times` has room for count of them.
 */
#pragma once

#include "device/device.h"
#include "device/pool.h"

/* From putting a launch and a notify to the notify's arrival, seen by a caller that looks all the time; pause_us before. */
int
stopwatch_round_trips(struct device_stream *stream, uint32_t count, uint32_t pause_us,
		      uint64_t *times);

/* The same work by stream_run_now. */
int
stopwatch_run_now(struct device_stream *stream, uint32_t count, uint64_t *times);

/* From the end of a launch on first to the start of one on second that waits for it by an event; work_us is what the first
 * launch takes. */
int
stopwatch_hand_overs(struct device_stream *first, struct device_stream *second,
		     struct device_event *event, uint32_t count, uint32_t work_us, uint64_t *times);

/* Mean ns of putting one launch while the stream is busy (*put), and of carrying one out (*run). */
int
stopwatch_puts(struct device_stream *stream, uint32_t count, double *put, double *run);

/* Mean ns of one record on a stream and one wait for it there: the cost of an event that is never waited for long. */
int
stopwatch_marks(struct device_stream *stream, struct device_event *event, uint32_t count,
		double *mean);

/* ns of: a plain memcpy; a copy with non-temporal stores on this thread; stream_copy_in and a notify. */
uint64_t
stopwatch_memcpy(void *to, const void *from, size_t bytes);
uint64_t
stopwatch_host_copy(void *to, const void *from, size_t bytes);
int
stopwatch_copy_in(struct device_stream *stream, void *to, const void *from, size_t bytes,
		  uint64_t *ns);

/* ns from putting `groups` copies of group_bytes each with an event behind it, until all are done; from is used again. */
int
stopwatch_groups(struct device_stream *stream, struct device_event *event, void *to,
		 const void *from, size_t group_bytes, uint32_t groups, uint64_t *ns);

/* pool_alloc and pool_free with the ns that they took. */
struct extent *
stopwatch_pool_alloc(struct pool *pool, size_t bytes, const void *owner, uint64_t *ns);
void
stopwatch_pool_free(struct pool *pool, struct extent *extent, uint64_t *ns);
