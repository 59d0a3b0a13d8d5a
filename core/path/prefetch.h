/*
 * Look-ahead: while a device runs a job, its copy stream brings what the policy says will be wanted next. One model at a time
 * and device, behind the running job's copies. A job that is dispatched meanwhile finds the groups resident or on their way
 * and waits for them as for its own. Main loop, but for the issuing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "device/device.h"
#include "path/submit.h"

struct engine;
struct engine_device;
struct engine_model;
struct residency_load;

/* A device's prefetch. */
struct prefetch {
	struct errand errand;
	struct engine_device *device;
	/* What is being brought, counted; NULL: nothing is under way. */
	struct engine_model *model;
	struct residency_load *load;
	struct stream_join join;
	uint64_t bytes;
	bool from_disk;
	/* The model's name in traces. */
	uint32_t label;
	/* When it was begun, ns of clock_now; 0 when other copies were under way then, so that its time says nothing. */
	uint64_t began_at;
	uint64_t issued_at;
	/* Of the copy stream; code ERR_OK when all went well. */
	struct error outcome;
};

void
prefetch_create(struct prefetch *prefetch, struct engine_device *device);

bool
prefetch_is_under_way(const struct prefetch *prefetch);

/* Ask the policy what to bring to each device that is busy and has no prefetch under way, and begin it. */
void
prefetch_look_ahead(struct engine *engine);
