/*
 * What a policy sees: read-only structs that the core keeps up to date and Lua reads through the FFI, without copying.
 * This file is also the FFI's declaration (embedded as text), so it holds plain declarations only. Times in ns of the
 * node's clock, durations in ns, memory in bytes. Pointers stay valid until the object is gone; the policy is told.
 */
#pragma once

#include <stdint.h>

enum view_source {
	/* Nothing to bring: the model is on the device. */
	VIEW_SOURCE_RESIDENT = 0,
	VIEW_SOURCE_HOST = 1,
	/* From the device in view_verdict.peer. */
	VIEW_SOURCE_PEER = 2,
};

enum view_outcome {
	VIEW_OUTCOME_OK = 0,
	VIEW_OUTCOME_ERROR = 1,
	VIEW_OUTCOME_CANCELLED = 2,
};

struct view_model {
	uint32_t id;
	/* Bytes and groups of the packed image. */
	uint32_t group_count;
	uint64_t bytes;
	/* Measured, exponentially averaged; 0 until measured. A load is of the whole model from the host. */
	uint64_t run_ns;
	uint64_t load_ns;
	/* Last time a job used it. */
	uint64_t used_at;
	/* Jobs waiting or running that need it. */
	uint32_t jobs;
	const char *name;
};

struct view_function {
	uint32_t id;
	/* Objective: percentile (0 … 1, say 0.98) of requests within slo_ns; slo_ns 0: none. */
	double slo_percentile;
	uint64_t slo_ns;
	/* Requests finished, and of these in time. */
	uint64_t requests;
	uint64_t in_time;
	uint64_t mean_ns;
	const char *name;
};

struct view_device {
	uint32_t id;
	/* The node's switch that its link hangs on; -1: none shared. */
	int32_t switch_id;
	/* 1 while no job runs on it, 1 while a copy to it is under way. */
	uint32_t idle;
	uint32_t loading;
	uint64_t capacity;
	uint64_t free_bytes;
	uint64_t link_rate;
	uint64_t peer_rate;
	/* When the running job is expected to end; 0 when idle or not known. */
	uint64_t busy_until;
};

struct view_job {
	uint64_t id;
	const struct view_function *function;
	/* The models that it runs, model_count of them. */
	const struct view_model *const *models;
	uint32_t model_count;
	/* Device that it must run on since its tensors are there; -1: any. */
	int32_t bound_device;
	int32_t priority;
	uint32_t attempt;
	uint64_t arrived_at;
	/* 0: none. */
	uint64_t deadline;
};

/* How much of a model is on a device. Read by policies through node.residency(model, device). */
struct view_residency {
	/* Groups and bytes on the device or on their way. */
	uint32_t groups;
	/* Groups that cannot be trimmed now. */
	uint32_t pinned;
	uint64_t bytes;
};

/* One row of the node's tables. */
struct view_node {
	uint64_t now;
	uint32_t device_count;
	uint32_t model_count;
	uint32_t function_count;
	/* Jobs submitted and not yet done. */
	uint32_t job_count;
	const struct view_device *const *devices;
	/* By id; NULL where an id is free. */
	const struct view_model *const *models;
	const struct view_function *const *functions;
	/* residency[model id * device_stride + device id]. */
	uint32_t device_stride;
	const struct view_residency *residency;
};
