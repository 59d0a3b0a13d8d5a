/*
 * How long the parts of a run take on a compute stream, by events on it: what the host sees is only how long it takes to
 * put them. One run is watched at a time, and nobody waits for it: its times are read when something is put after it is
 * over. All of it is the putting thread's.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

struct cuda_device;

enum {
	/* What was put since the mark before belongs to no part: a beginning, or a wait. */
	CUDA_WATCH_NO_PART = UINT32_MAX,
};

/* Gets ns of each part, 0 of those that were not marked; NULL when the run's end was not seen. */
typedef void
cuda_watch_f(void *context, const uint64_t *ns);

enum cuda_watch_state {
	CUDA_WATCH_IDLE,
	/* Marks are being put. */
	CUDA_WATCH_OPEN,
	/* All are put, and not read yet. */
	CUDA_WATCH_PUT,
};

struct cuda_watch {
	struct cuda_device *device;
	cudaStream_t stream;
	enum cuda_watch_state state;
	/* An event a mark, `event_count` of them made so far, and what part each ends; room for `room`. */
	cudaEvent_t *events;
	uint32_t *ends;
	uint32_t event_count;
	uint32_t room;
	uint32_t marks;
	/* Of the run, and what they took. */
	uint32_t parts;
	uint64_t *ns;
	cuda_watch_f *done;
	void *context;
};

void
cuda_watch_create(struct cuda_watch *watch, struct cuda_device *device, cudaStream_t stream);

/* Whoever waits for a run's times is told that there are none. */
void
cuda_watch_destroy(struct cuda_watch *watch);

/*
 * Watch the run that is put next, of that many parts. done is called once, with context: in a later call on this watch.
 * False, and done never is: the run before is not over, or there is no memory. One that was never put to its end makes way.
 */
bool
cuda_watch_begin(struct cuda_watch *watch, uint32_t parts, cuda_watch_f *done, void *context);

/* What was put since the last mark is that part of the run, CUDA_WATCH_NO_PART: of none; the last part is its end. */
void
cuda_watch_mark(struct cuda_watch *watch, uint32_t part);

/* Give the times of a run that is over by now to whom they are for. */
void
cuda_watch_read(struct cuda_watch *watch);
