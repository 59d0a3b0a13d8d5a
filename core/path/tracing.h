/*
 * What the path itself puts into a trace: requests and their stages, jobs, loads, evictions, memory. Main loop. Each call
 * costs one look at a flag while no trace is made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "path/route.h"

struct engine;
struct engine_device;
struct engine_model;
struct job;
struct request;

/* The main loop's row is this thread's from now on. */
void
tracing_open(void);

/* The device's rows. */
void
tracing_device(struct engine_device *device);

/* The request left the stage now, which it entered at `since`, ns of clock_now. */
void
tracing_stage(const struct request *request, enum route_stage stage, uint64_t since, uint64_t now);

/* The request was answered. */
void
tracing_request(const struct request *request);

/* The job has left its device. */
void
tracing_job(const struct job *job, uint64_t now);

/* So many bytes of the model were brought to the device since `from`, by a job or, ahead of one, by a prefetch. */
void
tracing_load(const struct engine_device *device, const struct engine_model *model, uint64_t from,
	     uint64_t bytes, bool is_ahead);

/* So many bytes of the device's memory came free at the model's cost. */
void
tracing_evict(const struct engine_device *device, const struct engine_model *model, uint64_t bytes);

/* So much of the device's memory is in use from now on. */
void
tracing_memory(const struct engine_device *device, uint64_t used);

/* The policy was asked what runs next since `from`, and named so many jobs. */
void
tracing_dispatch(uint64_t from, uint32_t jobs);
