/*
 * The simulator: nodes in virtual time. A node is the engine with its request path, scheduler, swapping, residency, pool and
 * policy host as they are, on simulated devices; it has no sockets, workers or state folder, its models are synthetic, and
 * requests are made here. All nodes live on the calling thread. The same calls give the same results.
 *
 * One simulation a process at a time. This file is also the FFI's declaration (embedded as text), so it holds plain
 * declarations only.
 */
#pragma once

#include <stdint.h>

struct histogram;
struct simulation;

struct simulation_options {
	uint32_t nodes;
	/* Of one node. */
	uint32_t devices;
	/* Devices of a node that share a switch, those of neighbouring numbers; 0 or 1: none do. */
	uint32_t devices_per_switch;
	/* Of each device, bytes. */
	uint64_t memory_bytes;
	/* Bytes/s: of a device's link to host memory, and what the devices of a switch share, 0: link_rate. */
	uint64_t link_rate;
	uint64_t switch_rate;
	uint64_t copy_latency_ns;
	/* peer_rates[to * devices + from], bytes/s, 0 where there is no link; NULL: none. */
	const double *peer_rates;
	/* Policy: what errors call it, its source, and the text of the table for new(node, config) or NULL. */
	const char *policy_name;
	const char *policy_source;
	uint64_t policy_source_bytes;
	const char *policy_config;
	/* Where the policy's helpers are looked for before the built-in ones; NULL: nowhere. */
	const char *policy_folder;
	/* Keep what ran where, for simulation_spans: this many. */
	uint64_t span_room;
};

/* A model that functions are instances of: each function has parameters of its own. */
struct simulation_model {
	const char *name;
	uint64_t bytes;
	uint64_t group_bytes;
	uint64_t workspace_bytes;
	uint64_t run_ns;
	/* The same for 2 … batch_count + 1 requests at once; 0 and NULL: runs are of one each. Copied. */
	uint32_t batch_count;
	const uint64_t *batch_ns;
};

struct simulation_function {
	uint32_t node;
	/* By the order of simulation_add_model. */
	uint32_t model;
	double slo_percentile;
	double slo_ns;
	/* Most requests that run as one, 0: each alone; and how long the first waits for others. */
	uint32_t batch_max;
	uint64_t batch_window_ns;
};

/* What a function has had so far. Times in ns. */
struct simulation_counts {
	double requests;
	double in_time;
	/* Not taken on; they count as requests. */
	double refused;
	double errors;
	/* Requests that ran together with others, and those runs. */
	double batched;
	double batches;
	double mean_ns;
	double max_ns;
};

struct simulation_device {
	double busy_ns;
	double jobs;
	/* Of these, jobs that had something to bring, from the host or a peer. */
	double loads;
};

/* A job's time on a device. */
struct simulation_span {
	uint32_t node;
	uint32_t device;
	uint32_t function;
	/* enum view_source. */
	uint32_t source;
	/* When its request came, and when it began and ended to run. */
	double arrived_ns;
	double from_ns;
	double to_ns;
};

/* Switches the process to virtual time, and the log to warnings. NULL with the error set (simulation_error). */
struct simulation *
simulation_new(const struct simulation_options *options);
/* Back to real time. */
void
simulation_delete(struct simulation *simulation);

/* "CODE: message" of the last failure. */
const char *
simulation_error(void);

/* Its number, or -1. */
int
simulation_add_model(struct simulation *simulation, const struct simulation_model *model);
int
simulation_add_function(struct simulation *simulation, const struct simulation_function *function);

/*
 * Make a request of functions[i] at times[i] ns, times ascending and none before now, and go on until `until` (no less than
 * the last of them). 0 or -1.
 */
int
simulation_run(struct simulation *simulation, const double *times, const uint32_t *functions,
	       uint64_t count, double until);

/* Go on until nothing is under way, at most until then; how many jobs are left. */
uint32_t
simulation_settle(struct simulation *simulation, double until);

/* Replace the policy on all nodes, jobs and all. 0 or -1. */
int
simulation_policy(struct simulation *simulation, const char *name, const char *source,
		  uint64_t bytes, const char *config);

/* Count anew from here on: what was counted of functions, devices and spans is forgotten. What the devices hold stays. */
void
simulation_forget(struct simulation *simulation);

void
simulation_counts(const struct simulation *simulation, uint32_t function,
		  struct simulation_counts *counts);
/* The share q (0 … 1) of the function's latencies was no longer than this, ns. */
double
simulation_quantile(const struct simulation *simulation, uint32_t function, double q);
/* The latencies of all functions, added to `onto`, or to a new one when that is NULL: the caller's, to free. NULL without
 * memory. */
struct histogram *
simulation_add_latencies(const struct simulation *simulation, struct histogram *onto);
double
simulation_quantile_of(const struct histogram *latencies, double q);
void
simulation_device(const struct simulation *simulation, uint32_t node, uint32_t device,
		  struct simulation_device *counts);
/* What ran where, in order of its end: how many, and the first. */
uint64_t
simulation_spans(const struct simulation *simulation, const struct simulation_span **spans);
/* How often a node's policy was replaced for a fault, and why the last time (NULL when it never was). */
uint64_t
simulation_faults(const struct simulation *simulation, const char **why);
