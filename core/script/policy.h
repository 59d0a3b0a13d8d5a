/*
 * The policy host: runs one policy script in a Lua state of its own on the main loop's thread, checks what it says, and
 * replaces it by the last good one when it raises, says nonsense, exceeds its memory or does not return in time
 * (core/script/guard.h tells how a compiled endless loop is left). Everything here is called on the thread that made the
 * host. policies/README.md is the contract that scripts see.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "script/view.h"

struct policy_host;

enum {
	/* A callback that uses more processor time is taken for one that does not return. */
	POLICY_TIMEOUT_MS = 40,
	/* What one policy's Lua state may hold. */
	POLICY_MEMORY_BYTES = 256 << 20,
	POLICY_SOURCE_BYTES_MAX = 1 << 20,
	POLICY_EVICTIONS_MAX = 64,
};

/* What dispatch said: run this job there. */
struct policy_verdict {
	const struct view_job *job;
	uint32_t device;
	enum view_source source;
	/* For VIEW_SOURCE_PEER, VIEW_SOURCE_BOTH and VIEW_SOURCE_RELAY. */
	uint32_t peer;
};

/* Trim that model on the device asked about until `keep` groups are left. */
struct policy_eviction {
	const struct view_model *model;
	uint32_t keep;
};

struct policy_options {
	/* The node that the policy sees; outlives the host. Its rows may change between calls, and `generation` with them. */
	const struct view_node *node;
	/* For the built-in policy: text of a Lua table for new(node, config), copied; NULL: {}. */
	const char *builtin_config;
	/* Folder that `require` looks in before the built-in policies; NULL: only those. Copied. */
	const char *folder;
	/*
	 * The policy was replaced, by name, and why (NULL: it was asked for). Called inside the call that found the fault;
	 * may not call the host. NULL: nobody wants to know.
	 */
	void (*replaced)(void *context, const char *from, const char *to, const struct error *why);
	void *context;
};

/*
 * A host that runs policies/fifo.lua, which is built in, and starts its watchdog thread. NULL with the error set.
 * The last deleted host of a process gives the signal handlers back.
 */
struct policy_host *
policy_host_new(const struct policy_options *options);
void
policy_host_delete(struct policy_host *host);

/*
 * Load source, check its contract, hand over the state and jobs, switch. name: what messages call it, a file's path
 * ("policies/edf.lua"). config: text of a Lua table for new(node, config), NULL: {}. Source and config are copied. On
 * failure the old policy stays and the error says why: INVALID_ARGUMENT with file:line.
 */
int
policy_load(struct policy_host *host, const char *name, const char *source, size_t length,
	    const char *config);

/* The source of a built-in policy ("edf"), for policy_load; NULL when there is none of that name. */
const char *
policy_builtin(const char *name, size_t *length);

/* Name of the policy in force, its source, and how often one was replaced for a fault. */
const char *
policy_name(const struct policy_host *host);
const char *
policy_source(const struct policy_host *host, size_t *length);
uint64_t
policy_faults(const struct policy_host *host);
/* Why the last faulty policy was replaced; code ERR_OK when none was. */
const struct error *
policy_last_fault(const struct policy_host *host);

struct policy_usage {
	/* Bytes of its memory that the policy in force has ever taken, of POLICY_MEMORY_BYTES. */
	uint64_t memory_bytes;
	/* How often its Lua state has asked for a block so far; a policy in its steady state does not. */
	uint64_t allocations;
};
void
policy_usage(const struct policy_host *host, struct policy_usage *usage);

/*
 * The callbacks. They never fail: a fault replaces the policy and the call is made again on its successor. A job is known
 * to the host from policy_submit to policy_done; in between it is queued or dispatched.
 */

/* 1 to take the job, 0 to refuse it at once; *retry_after_ms is then the policy's advice, 0 for none. Before policy_submit. */
int
policy_admit(struct policy_host *host, const struct view_job *job, double *retry_after_ms);
/* Sets job->slot. -1 with RESOURCE_EXHAUSTED when there is no memory to note the job: it is then not submitted. */
int
policy_submit(struct policy_host *host, struct view_job *job);
/* 1 with *verdict filled and legal (job queued, device exists and is idle, …): the job is dispatched. 0 for none now. */
int
policy_dispatch(struct policy_host *host, struct policy_verdict *verdict);
/* Fills up to POLICY_EVICTIONS_MAX legal evictions for at least `bytes` on the device; returns how many. */
uint32_t
policy_evict(struct policy_host *host, uint32_t device, uint64_t bytes,
	     struct policy_eviction *evictions);
/* Whether the policy in force has a prefetch callback. */
bool
policy_has_prefetch(const struct policy_host *host);
/* The model whose missing groups are to be copied to the device, which runs a job meanwhile; NULL: none. */
const struct view_model *
policy_prefetch(struct policy_host *host, uint32_t device);
/* The job, queued or dispatched, has ended; no policy will name it again. */
void
policy_done(struct policy_host *host, const struct view_job *job, enum view_outcome outcome);
/* For policies that want it: call about every 10 ms while there are jobs. */
void
policy_tick(struct policy_host *host);
/* The dispatched job went back to the queue (its device was lost, or memory could not be had). */
void
policy_requeue(struct policy_host *host, const struct view_job *job);
