/*
 * What a policy said, read from its Lua stack and checked: only what the node can carry out comes through. Every function
 * returns -1 with INVALID_ARGUMENT, naming what was wrong, for nonsense. Nothing here can raise in Lua.
 */
#pragma once

#include <stdint.h>

struct policy_eviction;
struct policy_job;
struct policy_jobs;
struct policy_state;
struct policy_verdict;
struct view_model;
struct view_node;

/* The results of POLICY_DISPATCH. 1 with *verdict and the job's row, 0 when it wants nothing dispatched. */
int
verdict_read(const struct policy_state *state, const struct view_node *node,
	     const struct policy_jobs *jobs, struct policy_verdict *verdict,
	     struct policy_job **row);

/* The results of POLICY_EVICT for that device; returns how many, at most POLICY_EVICTIONS_MAX: more are left out. */
int
evictions_read(const struct policy_state *state, const struct view_node *node, uint32_t device,
	       struct policy_eviction *evictions);

/* The result of POLICY_PREFETCH for that device. 1 with *model, of which the device lacks something, 0 for none. */
int
prefetch_read(const struct policy_state *state, const struct view_node *node, uint32_t device,
	      const struct view_model **model);

/* The results of POLICY_ADMIT: 1 or 0. */
int
admission_read(const struct policy_state *state, double *retry_after_ms);
