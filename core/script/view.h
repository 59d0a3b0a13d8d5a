/*
 * What a policy sees: read-only structs that the core keeps up to date and Lua reads through the FFI, without copying.
 * This file is also the FFI's declaration (embedded as text), so it holds plain declarations only.
 *
 * Numbers that Lua reckons with are doubles, exact up to 2^53: 64-bit integers would be boxed objects in Lua, with an
 * allocation each, unusable as table keys, and wrapping round below zero. Times are ns of the node's clock, durations ns,
 * memory bytes. Pointers stay valid until the object is gone; the policy is told.
 */
#pragma once

#include <stdint.h>

/* Where the parts of a job's models that the device lacks come from. */
enum view_source {
	/* Nothing to bring: the models are on the device. */
	VIEW_SOURCE_RESIDENT = 0,
	VIEW_SOURCE_HOST = 1,
	/* From another device that holds one of them; what it does not hold comes from the host. */
	VIEW_SOURCE_PEER = 2,
	/* From that device and from the host at once, each giving as much as its way carries. */
	VIEW_SOURCE_BOTH = 3,
	/* As BOTH, and what that device does not hold comes over its link to the host too, and on from there. */
	VIEW_SOURCE_RELAY = 4,
};

enum view_outcome {
	VIEW_OUTCOME_OK = 0,
	VIEW_OUTCOME_ERROR = 1,
	VIEW_OUTCOME_CANCELLED = 2,
};

struct view_model {
	uint32_t id;
	/* Another number, of no other model, whenever times below or what devices have of it have changed. */
	uint32_t version;
	/* Groups and bytes of the packed image. */
	uint32_t group_count;
	double bytes;
	/* Measured, exponentially averaged; 0 until measured. A load is of the whole model from the host. */
	double run_ns;
	double load_ns;
	/* The same of a load beside other devices of its switch that load too; 0 until measured. */
	double shared_load_ns;
	/* What each row after the first adds to a run, where requests are batched; 0 until measured. */
	double row_ns;
	/*
	 * The fewest groups, and their bytes, that must stay on a device for the copy of the others
	 * to hide behind the run: with that prefix there and the link free the model answers as if
	 * it were all there. From measured times; all groups until a run was measured.
	 */
	uint32_t prefix_groups;
	double prefix_bytes;
	/* Last time a job used it. */
	double used_at;
	/* Jobs waiting or running that need it. */
	uint32_t jobs;
	const char *name;
};

struct view_function {
	uint32_t id;
	/* Objective: percentile (0 … 1, say 0.98) of requests within slo_ns; slo_ns 0: none. */
	double slo_percentile;
	double slo_ns;
	/* Requests finished, and of these in time; their mean latency. */
	double requests;
	double in_time;
	double mean_ns;
	/* Half, 98 and 99 of 100 of their latencies are no longer; at most sixteen requests old. 0 before the first. */
	double p50_ns;
	double p98_ns;
	double p99_ns;
	/* Of these: not taken on, by the policy or for want of room (RESOURCE_EXHAUSTED). They are not in the times above. */
	double refused;
	const char *name;
};

struct view_device {
	uint32_t id;
	/* The node's switch that its link hangs on; -1: none shared. */
	int32_t switch_id;
	/* 1 while no job runs on it, 1 while a copy to it is under way. */
	uint32_t idle;
	uint32_t loading;
	/* Id of the model that is being prefetched to it; -1: none. */
	int32_t prefetching;
	double capacity;
	double free_bytes;
	/* Bytes/s from the host and from a peer device; 0: not known, no peers. */
	double link_rate;
	double peer_rate;
	/* Bytes/s that copies from the host were seen to make; link_rate until measured. */
	double load_rate;
	/* When the running job is expected to end; 0 when idle or not known. */
	double busy_until;
	/*
	 * Time so far with a job, with a copy to it under way (both may be at once), and with neither; up to when the last of
	 * them began or ended.
	 */
	double busy_ns;
	double copying_ns;
	double idle_ns;
};

struct view_job {
	/* Rises with every job: the order of arrival. */
	double id;
	const struct view_function *function;
	/* The models that it runs, model_count of them; none for operators on tensors alone. */
	const struct view_model *const *models;
	uint32_t model_count;
	/*
	 * The policy host's: a small number from 1, its own until the job is done, then used again. A policy's tables are
	 * better indexed by it than by id: they stay arrays.
	 */
	uint32_t slot;
	/* Device that it must run on since its tensors are there; -1: any. */
	int32_t bound_device;
	int32_t priority;
	uint32_t attempt;
	/*
	 * Requests that it serves, and rows of its inputs, where the function's requests are
	 * batched; else 1. Both rise while it waits and others join; arrived_at and deadline are
	 * the first one's.
	 */
	uint32_t requests;
	uint32_t rows;
	double arrived_at;
	/* 0: none. */
	double deadline;
};

/* How much of a model is on a device. Read by policies through node.residency(model, device). */
struct view_residency {
	/* Groups on the device or on their way: a prefix of the model. */
	uint32_t groups;
	/* Of these, how many cannot be trimmed now: a prefix too. */
	uint32_t pinned;
	/* Of these, how many have arrived, and so can be copied on to another device. */
	uint32_t arrived;
	double bytes;
};

/* The node's tables. */
struct view_node {
	double now;
	/* Raised whenever a row of devices, models or functions comes, goes or moves; the policy host looks no further. */
	uint32_t generation;
	uint32_t device_count;
	uint32_t model_count;
	uint32_t function_count;
	/* Jobs submitted and not yet done. */
	uint32_t job_count;
	/* By id, without holes. */
	const struct view_device *const *devices;
	/* By id; NULL where an id is free. */
	const struct view_model *const *models;
	const struct view_function *const *functions;
	/* residency[model id * device_stride + device id]. */
	uint32_t device_stride;
	const struct view_residency *residency;
	/* peer_rates[to's id * device_stride + from's id]: bytes/s of copies between peers; 0 where there are none or it is not
	 * known. NULL: none anywhere. */
	const double *peer_rates;
};
