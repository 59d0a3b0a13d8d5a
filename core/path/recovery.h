/*
 * Recovery: a device that was lost is opened again while the node runs. Once nothing refers to it
 * any more, what models had there is forgotten; then its own submit thread, which has nothing else
 * to do, takes its streams and memory down, has its context made anew, and takes them again. Where
 * that fails it is tried again after twice the time, up to a minute. Main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "path/submit.h"

struct engine;
struct engine_device;

/* A device's recovery. */
struct recovery {
	struct errand errand;
	/* On the submit thread now. */
	bool is_under_way;
	/* When it is tried next, ns of clock_now, and how long after that again if it fails. */
	uint64_t next_at;
	uint64_t delay_ns;
	/* Times that it came back. */
	uint64_t count;
	/* Of the last try. */
	struct error outcome;
};

/* The device was lost: when will it be tried? */
void
recovery_plan(struct engine_device *device);

/* Begin where it is time and nothing is in the way. */
void
recovery_look(struct engine *engine);
