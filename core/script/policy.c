#include "script/policy.h"

#include <assert.h>
#include <lua.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/log.h"
#include "script/guard.h"
#include "script/policy_jobs.h"
#include "script/policy_state.h"
#include "script/policy_verdict.h"

enum {
	/* The policy in force, the last good one, the built-in one, and the built-in one once more. */
	ATTEMPTS = 4,
};

static const char builtin_file[] = "policies/fifo.lua";

struct policy_host {
	const struct view_node *node;
	struct policy_options options;
	char *folder;
	struct guard *guard;
	/* NULL only while not even the built-in policy can be started (no memory): tried again at each call. */
	struct policy_state *state;
	/* What state runs, what ran before it without a fault (NULL: the built-in one), and the built-in one. */
	struct policy_script *script;
	struct policy_script *good;
	struct policy_script *builtin;
	struct policy_jobs jobs;
	uint64_t faults;
	struct error last_fault;
};

static double
now(const struct policy_host *host)
{
	return host->node->now;
}

static double
address(const void *pointer)
{
	return (double)(uintptr_t)pointer;
}

static void
drop_script(struct policy_host *host, struct policy_script **script)
{
	if (*script != host->builtin)
		policy_script_delete(*script);
	*script = NULL;
}

/* Submit every queued job to a state that takes over. */
static int
hand_over_jobs(struct policy_host *host, struct policy_state *state)
{
	size_t count;
	struct policy_job *queued = policy_jobs_queued(&host->jobs, &count);
	if (queued == NULL)
		return -1;
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		struct policy_call call = {
			POLICY_SUBMIT, 3, 0, { now(host), queued[i].slot, address(queued[i].job) }
		};
		result = policy_state_call(state, &call);
	}
	free(queued);
	return result;
}

/* A state that runs script and has the queued jobs. NULL with the error set. */
static struct policy_state *
start(struct policy_host *host, const struct policy_script *script)
{
	struct policy_state *state =
		policy_state_new(host->guard, script, host->folder, host->node);
	if (state == NULL || hand_over_jobs(host, state) == 0)
		return state;
	policy_state_delete(state);
	return NULL;
}

/* Start the last good policy, or else the built-in one. */
static void
start_successor(struct policy_host *host)
{
	if (host->good != NULL && host->good != host->builtin) {
		host->script = host->good;
		host->good = NULL;
		host->state = start(host, host->script);
		if (host->state != NULL)
			return;
		log_error("policy %s, the last good one, failed too: %s", host->script->name,
			  error_last()->message);
		drop_script(host, &host->script);
	}
	host->good = NULL;
	host->script = host->builtin;
	host->state = start(host, host->builtin);
	if (host->state == NULL)
		log_error("policy %s, the built-in one, cannot start: %s", host->builtin->name,
			  error_last()->message);
}

/* The policy in force did what the calling thread's error says: another takes its place. */
static void
replace(struct policy_host *host)
{
	struct policy_state *bad = host->state;
	struct policy_script *bad_script = host->script;
	char from[POLICY_NAME_BYTES];
	memcpy(from, bad->name, sizeof(from));
	host->last_fault = *error_last();
	host->faults++;
	host->state = NULL;
	start_successor(host);
	policy_state_delete(bad);
	drop_script(host, &bad_script);
	log_warn("policy %s replaced by %s: %s", from, policy_name(host), host->last_fault.message);
	if (host->options.replaced != NULL)
		host->options.replaced(host->options.context, from, policy_name(host),
				       &host->last_fault);
}

/* True when there is a policy to call. */
static bool
is_ready(struct policy_host *host)
{
	if (host->state == NULL)
		start_successor(host);
	return host->state != NULL;
}

struct policy_host *
policy_host_new(const struct policy_options *options)
{
	const struct embedded *builtin = embedded_find(builtin_file);
	struct policy_host *host = calloc(1, sizeof(*host));
	assert(builtin != NULL);
	if (host == NULL) {
		error_set_errno("policy host");
		return NULL;
	}
	host->options = *options;
	host->node = options->node;
	policy_jobs_create(&host->jobs);
	host->guard = guard_new((uint64_t)POLICY_TIMEOUT_MS * 1000000u);
	host->builtin = policy_script_new(builtin_file, builtin->text, builtin->length,
					  options->builtin_config);
	if (options->folder != NULL)
		host->folder = strdup(options->folder);
	if (host->guard == NULL || host->builtin == NULL ||
	    (options->folder != NULL && host->folder == NULL))
		goto failed;
	host->script = host->builtin;
	host->state = start(host, host->builtin);
	if (host->state != NULL)
		return host;
failed:
	policy_host_delete(host);
	return NULL;
}

void
policy_host_delete(struct policy_host *host)
{
	if (host == NULL)
		return;
	policy_state_delete(host->state);
	drop_script(host, &host->script);
	drop_script(host, &host->good);
	policy_script_delete(host->builtin);
	policy_jobs_destroy(&host->jobs);
	if (host->guard != NULL)
		guard_delete(host->guard);
	free(host->folder);
	free(host);
}

const char *
policy_builtin(const char *name, size_t *length)
{
	char path[POLICY_NAME_BYTES + sizeof("policies/.lua")];
	snprintf(path, sizeof(path), "policies/%.*s.lua", POLICY_NAME_BYTES, name);
	const struct embedded *file = embedded_find(path);
	if (file == NULL)
		return NULL;
	*length = file->length;
	return file->text;
}

const char *
policy_name(const struct policy_host *host)
{
	return host->state == NULL ? "none" : host->state->name;
}

const char *
policy_source(const struct policy_host *host, size_t *length)
{
	*length = host->script->length;
	return host->script->source;
}

uint64_t
policy_faults(const struct policy_host *host)
{
	return host->faults;
}

const struct error *
policy_last_fault(const struct policy_host *host)
{
	return &host->last_fault;
}

void
policy_usage(const struct policy_host *host, struct policy_usage *usage)
{
	*usage = (struct policy_usage){ 0 };
	if (host->state == NULL)
		return;
	usage->memory_bytes = host->state->heap.used;
	usage->allocations = host->state->heap.allocations;
}

/*
 * Give next what the policy in force would hand over. A snapshot that fails is a fault of the old policy, and a restore
 * that fails is one of the new.
 */
static int
hand_over_state(struct policy_host *host, struct policy_state *next)
{
	if (!next->has_restore || host->state == NULL || !host->state->has_snapshot)
		return 0;
	struct policy_call call = { POLICY_SNAPSHOT, 1, 1, { now(host) } };
	if (policy_state_call(host->state, &call) != 0) {
		replace(host);
		return 0;
	}
	size_t length;
	const char *text =
		lua_tolstring(host->state->L, policy_state_result(host->state, 0), &length);
	int result = policy_state_restore(next, text, length);
	policy_state_drop(host->state);
	return result;
}

/* Put next, which has everything, in force. */
static void
switch_to(struct policy_host *host, struct policy_state *next, struct policy_script *script)
{
	struct policy_state *old = host->state;
	char from[POLICY_NAME_BYTES];
	snprintf(from, sizeof(from), "%s", policy_name(host));
	drop_script(host, &host->good);
	host->good = host->script;
	host->script = script;
	host->state = next;
	policy_state_delete(old);
	if (host->options.replaced != NULL)
		host->options.replaced(host->options.context, from, next->name, NULL);
}

int
policy_load(struct policy_host *host, const char *name, const char *source, size_t length,
	    const char *config)
{
	struct policy_script *script = policy_script_new(name, source, length, config);
	if (script == NULL)
		return -1;
	struct policy_state *next = policy_state_new(host->guard, script, host->folder, host->node);
	if (next != NULL && hand_over_state(host, next) == 0 && hand_over_jobs(host, next) == 0) {
		switch_to(host, next, script);
		return 0;
	}
	policy_state_delete(next);
	policy_script_delete(script);
	return -1;
}

int
policy_admit(struct policy_host *host, const struct view_job *job, double *retry_after_ms)
{
	*retry_after_ms = 0;
	for (int attempt = 0; attempt < ATTEMPTS && is_ready(host); attempt++) {
		if (!host->state->has_admit)
			return 1;
		struct policy_call call = { POLICY_ADMIT, 2, 2, { now(host), address(job) } };
		int result = -1;
		if (policy_state_call(host->state, &call) == 0) {
			result = admission_read(host->state, retry_after_ms);
			policy_state_drop(host->state);
		}
		if (result >= 0)
			return result;
		replace(host);
	}
	return 1;
}

/* A call whose effect the successor has from the hand-over, so that it need not be made again. */
static void
tell(struct policy_host *host, const struct policy_call *call)
{
	if (is_ready(host) && policy_state_call(host->state, call) != 0)
		replace(host);
}

int
policy_submit(struct policy_host *host, struct view_job *job)
{
	bool was_ready = is_ready(host);
	const struct policy_job *row = policy_jobs_add(&host->jobs, job);
	if (row == NULL)
		return -1;
	job->slot = row->slot;
	struct policy_call call = { POLICY_SUBMIT, 3, 0, { now(host), row->slot, address(job) } };
	if (was_ready)
		tell(host, &call);
	return 0;
}

int
policy_dispatch(struct policy_host *host, struct policy_verdict *verdict)
{
	const struct policy_call call = { POLICY_DISPATCH, 1, 4, { now(host) } };
	for (int attempt = 0; attempt < ATTEMPTS && is_ready(host); attempt++) {
		struct policy_job *row;
		int result = -1;
		if (policy_state_call(host->state, &call) == 0) {
			result = verdict_read(host->state, host->node, &host->jobs, verdict, &row);
			policy_state_drop(host->state);
		}
		if (result == 1)
			row->state = POLICY_JOB_DISPATCHED;
		if (result >= 0)
			return result;
		replace(host);
	}
	return 0;
}

uint32_t
policy_evict(struct policy_host *host, uint32_t device, uint64_t bytes,
	     struct policy_eviction *evictions)
{
	const struct policy_call call = {
		POLICY_EVICT, 3, 2, { now(host), device, (double)bytes }
	};
	for (int attempt = 0; attempt < ATTEMPTS && is_ready(host); attempt++) {
		int result = -1;
		if (policy_state_call(host->state, &call) == 0) {
			result = evictions_read(host->state, host->node, device, evictions);
			policy_state_drop(host->state);
		}
		if (result >= 0)
			return (uint32_t)result;
		replace(host);
	}
	return 0;
}

bool
policy_has_prefetch(const struct policy_host *host)
{
	return host->state != NULL && host->state->has_prefetch;
}

const struct view_model *
policy_prefetch(struct policy_host *host, uint32_t device)
{
	const struct policy_call call = { POLICY_PREFETCH, 2, 1, { now(host), device } };
	const struct view_model *model = NULL;
	int result = -1;
	if (!policy_has_prefetch(host))
		return NULL;
	if (policy_state_call(host->state, &call) == 0) {
		result = prefetch_read(host->state, host->node, device, &model);
		policy_state_drop(host->state);
	}
	/* The successor is asked at the next dispatch: nobody waits for a prefetch. */
	if (result < 0)
		replace(host);
	return result == 1 ? model : NULL;
}

void
policy_done(struct policy_host *host, const struct view_job *job, enum view_outcome outcome)
{
	bool was_ready = is_ready(host);
	struct policy_job *row = policy_jobs_find(&host->jobs, job);
	assert(row != NULL);
	struct policy_call call = {
		POLICY_DONE, 4, 0, { now(host), row->slot, address(job), outcome }
	};
	policy_jobs_remove(&host->jobs, row);
	if (was_ready)
		tell(host, &call);
}

void
policy_tick(struct policy_host *host)
{
	const struct policy_call call = { POLICY_TICK, 1, 0, { now(host) } };
	if (is_ready(host) && host->state->has_tick)
		tell(host, &call);
}

void
policy_requeue(struct policy_host *host, const struct view_job *job)
{
	bool was_ready = is_ready(host);
	struct policy_job *row = policy_jobs_find(&host->jobs, job);
	assert(row != NULL && row->state == POLICY_JOB_DISPATCHED);
	row->state = POLICY_JOB_QUEUED;
	struct policy_call call = { POLICY_REQUEUE, 3, 0, { now(host), row->slot, address(job) } };
	if (was_ready)
		tell(host, &call);
}
