/*
 * A worker host on a loop of its own, driven by specs: it records what the host tells, and runs batches in the simplest way
 * that has results: every output of a model or operator is a copy of an input.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "script/worker.h"

struct rig;

struct rig_options {
	uint64_t idle_ms;
	bool tracebacks;
	/* Most workers; 0: as the host has it. */
	uint32_t processes;
	/* Batches wait for rig_release_batches. */
	bool hold_batches;
	/* Batches fail with INVALID_ARGUMENT "batch refused". */
	bool fail_batches;
};

/* NULL with the error set. Starts the zygote when none runs. */
struct rig *
rig_new(const struct rig_options *options);
/* Runs the loop until everything is closed; aborts when a handle was left behind. */
void
rig_delete(struct rig *rig);

struct worker_host *
rig_host(struct rig *rig);

/* Requests are numbered from 0. -1 with the error set. */
int
rig_invoke(struct rig *rig, struct worker_script *script, const void *payload, size_t bytes);
void
rig_cancel(struct rig *rig, int request);

/* Run the loop until `count` requests have ended, or so many ms have passed. True: they have. */
bool
rig_run(struct rig *rig, uint32_t count, uint64_t ms);
/* Run the loop for that long. */
void
rig_wait(struct rig *rig, uint64_t ms);

/* What became of a request: 0 running, 1 reply, 2 error. */
int
rig_outcome(struct rig *rig, int request);
const char *
rig_reply(struct rig *rig, int request, size_t *bytes);
const struct error *
rig_error(struct rig *rig, int request);
/* ns from its invocation to its end. */
uint64_t
rig_time(struct rig *rig, int request);

/* The calls that came, one a line: "1 tensor FP32-ish type 1 [2] 8", "3 Softmax 1 axis=-1"; and the log's lines. */
const char *
rig_calls(struct rig *rig);
const char *
rig_logs(struct rig *rig);
uint32_t
rig_batches(struct rig *rig);
/* Let those batches that wait run. */
void
rig_release_batches(struct rig *rig);

/*
 * Play a worker that was taken over: put a record of these bytes (sequence filled in) on the ring of the script's first
 * worker, or publish a position `ahead` bytes on, and wake the core.
 */
void
rig_forge(struct rig *rig, struct worker_script *script, const void *record, size_t bytes);
void
rig_forge_position(struct rig *rig, struct worker_script *script, uint32_t ahead);
/* Number that records name that request by. */
uint32_t
rig_number(struct rig *rig, int request);
/* The zygote's process: the child of this process's child, its keeper. */
int
rig_zygote_pid(void);
/* Its number, of the script's only worker; 0: not known. */
int
rig_worker_pid(struct worker_script *script);
/* Bytes of the core's heap that are given out in the script's first worker. */
size_t
rig_heap_used(struct rig *rig, struct worker_script *script);

/* The manifest of a script, or NULL with the error set; runs the loop until it is there. */
struct worker_manifest *
rig_manifest(struct rig *rig, const char *chunk, const char *source, size_t bytes);

/* Invoke `total` times with `in_flight` at once, and run until all have ended. Returns ns, 0 when one has failed. */
uint64_t
rig_bench(struct rig *rig, struct worker_script *script, const void *payload, size_t bytes,
	  uint32_t total, uint32_t in_flight);
