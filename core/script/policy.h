/*
 * The policy host: runs one policy script in a Lua state of its own on the main loop's thread, checks what it says, and
 * replaces it by the last good one when it raises, says nonsense, exceeds its memory or does not return in time
 * (core/script/policy.c tells how a compiled endless loop is left). Main loop's thread only, but for the watchdog inside.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "script/view.h"

struct policy_host;

enum {
	/* A callback that takes longer is taken for one that does not return. */
	POLICY_TIMEOUT_MS = 50,
	POLICY_MEMORY_BYTES = 256 << 20,
	POLICY_EVICTIONS_MAX = 64,
};

/* What dispatch said: run this job there. */
struct policy_verdict {
	const struct view_job *job;
	uint32_t device;
	enum view_source source;
	/* For VIEW_SOURCE_PEER. */
	uint32_t peer;
};

/* Trim that model on the device asked about until `keep` groups are left. */
struct policy_eviction {
	const struct view_model *model;
	uint32_t keep;
};

struct policy_options {
	/* The node that the policy sees; outlives the host. */
	const struct view_node *node;
	/* Every job submitted and not done, to be handed to a policy that takes over: calls visit for each. */
	void (*each_job)(void *context, void (*visit)(void *host, const struct view_job *job),
			 void *host);
	/* The policy was replaced, by name, and why (NULL message: asked for). */
	void (*replaced)(void *context, const char *from, const char *to, const struct error *why);
	void *context;
};

/* A host that runs policies/fifo.lua, which is built in and never fails. */
struct policy_host *
policy_host_new(const struct policy_options *options);
void
policy_host_delete(struct policy_host *host);

/*
 * Load source (chunk name `name`), check its contract, hand over the state and jobs, switch. On failure the old policy stays
 * and the error says why: INVALID_ARGUMENT with file:line. config: text of a Lua table for new(node, config), NULL: {}.
 */
int
policy_load(struct policy_host *host, const char *name, const char *source, size_t length,
	    const char *config);

/* Name of the policy in force, its source, and how often it was replaced for a fault. */
const char *
policy_name(const struct policy_host *host);
const char *
policy_source(const struct policy_host *host, size_t *length);
uint64_t
policy_faults(const struct policy_host *host);

/* The callbacks. They never fail: a fault replaces the policy and the call is made again on its successor. */
void
policy_submit(struct policy_host *host, const struct view_job *job);
/* 1 with *verdict filled and legal (job submitted and not dispatched, device exists and is idle, …), 0 for none now. */
int
policy_dispatch(struct policy_host *host, struct policy_verdict *verdict);
/* Fills up to POLICY_EVICTIONS_MAX legal evictions for at least `bytes` on the device; returns how many. */
uint32_t
policy_evict(struct policy_host *host, uint32_t device, uint64_t bytes,
	     struct policy_eviction *evictions);
void
policy_done(struct policy_host *host, const struct view_job *job, enum view_outcome outcome);
void
policy_tick(struct policy_host *host, uint64_t now);
/* The job went back to the queue (its device was lost, or memory could not be had): it may be dispatched again. */
void
policy_requeue(struct policy_host *host, const struct view_job *job);
