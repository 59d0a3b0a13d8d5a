#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum {
	/* Requests kept for reuse, and the most calls that one of them keeps room for. */
	SPARE_MAX = 256,
	SPARE_CALLS_MAX = 16,
	NS_PER_MS = 1000000,
};

/* --- making and freeing --------------------------------------------------------------------------------------------- */

static struct worker_request *
new_request(struct worker_host *host)
{
	struct list *spare = list_pop_front(&host->spare_requests);
	if (spare != NULL) {
		host->spare_count--;
		return list_entry(spare, struct worker_request, link);
	}
	struct worker_request *request = calloc(1, sizeof(*request));
	if (request == NULL)
		return NULL;
	arena_create(&request->arena, 0);
	list_create(&request->link);
	list_create(&request->queued);
	return request;
}

void
worker_request_delete(struct worker_request *request)
{
	worker_batch_drop_queued(request);
	arena_destroy(&request->arena);
	free(request->calls);
	free(request->sent);
	free(request->live);
	free(request);
}

/* What the next request may find: small buffers stay, everything else is as new. */
static void
wipe(struct worker_request *request)
{
	struct worker_request clean = { .calls = request->calls,
					.call_room = request->call_room,
					.sent = request->sent,
					.sent_room = request->sent_room,
					.arena = request->arena,
					.live = request->live,
					.live_room = request->live_room };
	worker_batch_drop_queued(request);
	*request = clean;
	if (request->arena.used > 0)
		arena_reset(&request->arena);
	list_create(&request->link);
	list_create(&request->queued);
}

void
worker_request_free(struct worker_request *request)
{
	struct worker_script *script = request->script;
	struct worker_host *host = script->host;
	worker_lane_leave(request);
	if (host->spare_count >= SPARE_MAX || request->call_room > SPARE_CALLS_MAX ||
	    request->sent_room > SPARE_CALLS_MAX || request->live_room > SPARE_CALLS_MAX) {
		worker_request_delete(request);
	} else {
		wipe(request);
		list_push_front(&host->spare_requests, &request->link);
		host->spare_count++;
	}
	worker_script_unref(script);
}

/* --- from the path -------------------------------------------------------------------------------------------------- */

struct worker_request *
worker_invoke(struct worker_script *script, const struct worker_job *job)
{
	assert(!script->retired);
	struct worker_request *request = new_request(script->host);
	if (request == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a request");
		return NULL;
	}
	request->script = worker_script_ref(script);
	request->owner = job->owner;
	request->deadline = job->deadline;
	request->payload = job->payload;
	request->payload_bytes = job->bytes;
	request->streams = job->streams;
	if (worker_lane_enter(request, job->origin) == 0 && worker_queue_admit(request) == 0)
		return request;
	worker_request_free(request);
	return NULL;
}

/* Tell the handler to stop. */
static void
send_cancel(struct worker_request *request)
{
	struct ring_record cancel = { .kind = RECORD_CANCEL, .request = request->number };
	worker_outbox_send(request->process, &cancel, sizeof(cancel));
}

/* A handler that was told to end has a while to do so, whatever time it had left. */
static void
shorten(struct worker_request *request)
{
	uint64_t until = clock_now() + (uint64_t)WORKER_CANCEL_MS * NS_PER_MS;
	if (request->expires_at > until)
		request->expires_at = until;
}

void
worker_cancel(struct worker_request *request)
{
	struct worker_script *script = worker_script_ref(request->script);
	assert(request->state == REQUEST_QUEUED || request->state == REQUEST_RUNNING);
	if (request->state == REQUEST_QUEUED) {
		worker_request_end(request);
	} else if (worker_request_reclaim(request)) {
		request->state = REQUEST_DROPPED;
		worker_request_end(request);
		worker_queue_run(script);
	} else {
		worker_carry_abandon(request);
		request->state = REQUEST_DROPPED;
		shorten(request);
		send_cancel(request);
	}
	worker_script_unref(script);
}

/* --- its end -------------------------------------------------------------------------------------------------------- */

void
worker_request_fail(struct worker_request *request, const struct error *error)
{
	struct worker_host *host = request->script->host;
	bool queued = request->state == REQUEST_QUEUED;
	if (request->state == REQUEST_DROPPED || host->deleted)
		return;
	if (queued)
		worker_queue_leave(request);
	worker_carry_abandon(request);
	request->state = REQUEST_DROPPED;
	if (!queued && request->process->state < PROCESS_KILLED)
		send_cancel(request);
	host->options.events.failed(host->options.context, request->owner, error);
}

/* Give up its place. */
static void
move_out(struct worker_request *request)
{
	struct worker_process *process = request->process;
	worker_carry_abandon(request);
	process->slots[record_place(request->number) - 1] = NULL;
	process->request_count--;
	process->waiting_count -= request->unanswered > 0;
	worker_lane_begun(request);
	request->script->running_count--;
	list_remove(&request->link);
	worker_process_count_busy(process);
}

void
worker_request_offer(struct worker_request *request)
{
	struct record_controls *controls = (struct record_controls *)request->process->shared;
	atomic_store_explicit(&controls->claims[record_place(request->number)], request->number,
			      memory_order_release);
}

bool
worker_request_reclaim(struct worker_request *request)
{
	struct worker_process *process = request->process;
	struct record_controls *controls = (struct record_controls *)process->shared;
	if (request->state != REQUEST_RUNNING || request->begun)
		return false;
	if (!worker_carry_abandon(request) && !record_claim(controls, request->number))
		return false;
	move_out(request);
	request->begun = false;
	request->process = NULL;
	request->state = REQUEST_QUEUED;
	return true;
}

/* Its worker has begun no other request. */
static bool
is_alone(const struct worker_request *request)
{
	const struct worker_process *process = request->process;
	const struct record_controls *controls = (const struct record_controls *)process->shared;
	list_each(link, &process->requests) {
		const struct worker_request *other = list_entry(link, struct worker_request, link);
		uint32_t claim = atomic_load_explicit(
			&controls->claims[record_place(other->number)], memory_order_relaxed);
		bool is_offered = other->delivery != NULL || claim == other->number;
		if (other != request && (other->begun || !is_offered))
			return false;
	}
	return true;
}

void
worker_request_violate(struct worker_request *request, enum worker_violation violation)
{
	struct worker_process *process = request->process;
	struct error why = *error_last();
	uint64_t now = clock_now();
	bool waits = worker_batch_is_awaited(request) || request->unanswered > 0;
	worker_script_violated(request->script, violation);
	worker_request_fail(request, &why);
	if (waits)
		return;
	if (is_alone(request)) {
		worker_process_kill(process, &why);
		return;
	}
	if (process->state == PROCESS_READY)
		process->state = PROCESS_DRAINING;
	worker_load_demote(process);
	request->expires_at = now;
	if (process->kill_at == 0)
		process->kill_at = now + (uint64_t)WORKER_GRACE_MS * NS_PER_MS;
}

void
worker_request_end(struct worker_request *request)
{
	struct worker_script *script = worker_script_ref(request->script);
	if (request->process != NULL) {
		request->process->load.finished++;
		if (request->process->load.rank == RANK_PROMPT) {
			script->host->prompt.finished++;
			script->host->prompt.was_served = true;
		}
		move_out(request);
	} else if (request->state == REQUEST_QUEUED) {
		worker_queue_leave(request);
	}
	request->state = REQUEST_ENDED;
	if (!request->batch_out)
		worker_request_free(request);
	worker_script_settle(script);
	worker_script_unref(script);
}
