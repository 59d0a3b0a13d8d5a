#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/worker_host.h"

enum {
	/* Requests kept for reuse, and the most calls that one of them keeps room for. */
	SPARE_MAX = 256,
	SPARE_CALLS_MAX = 16,
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
	free(request->payload);
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
	free(request->payload);
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

/* --- into a worker -------------------------------------------------------------------------------------------------- */

/* Put the payload where the record says: behind it, or into the heap. -1 with RESOURCE_EXHAUSTED. */
static int
place_payload(struct worker_process *process, const void *payload, size_t bytes,
	      struct record_payload *place)
{
	size_t offset;
	*place = (struct record_payload){ RECORD_HERE, bytes };
	if (bytes <= WORKER_INLINE_MAX)
		return 0;
	if (pages_alloc(&process->heap, bytes, &offset) != 0)
		return -1;
	memcpy(process->shared + process->layout.core_heap + offset, payload, bytes);
	place->offset = offset;
	return 0;
}

static uint32_t
free_slot(const struct worker_process *process)
{
	uint32_t slot = 0;
	while (process->slots[slot] != NULL)
		slot++;
	return slot;
}

/* Make it one of the process's requests. */
static void
settle_in(struct worker_request *request, struct worker_process *process)
{
	uint32_t slot = free_slot(process);
	process->generation = (process->generation + 1) & 0xffffff;
	request->number = process->generation << 8 | (slot + 1);
	request->process = process;
	request->state = REQUEST_RUNNING;
	request->expires_at = clock_now() + process->script->timeout_ns;
	process->slots[slot] = request;
	process->request_count++;
	process->script->running_count++;
	list_push_back(&process->requests, &request->link);
	worker_process_count_busy(process);
}

/* Give a request that is in no list to a worker with a place. -1 with the error set: its payload does not fit now. */
static int
give(struct worker_request *request, struct worker_process *process, const void *payload,
     size_t bytes)
{
	struct record_payload place;
	if (place_payload(process, payload, bytes, &place) != 0)
		return -1;
	bool here = place.offset == RECORD_HERE;
	settle_in(request, process);
	struct record_invoke *invoke = worker_process_reserve(
		process, RECORD_INVOKE, request->number, sizeof(*invoke) + (here ? bytes : 0));
	/* Without room the worker was killed, and the request shares its fate. */
	if (invoke == NULL)
		return 0;
	invoke->deadline = request->deadline;
	invoke->payload = place;
	if (here)
		memcpy(invoke + 1, payload, bytes);
	worker_process_send(process);
	return 0;
}

/* It takes requests: it is not about to be killed for a handler that does not stop. */
static bool
takes_requests(const struct worker_process *process)
{
	return process->state <= PROCESS_READY && process->kill_at == 0;
}

/* A worker of the script with a place for one more; NULL: none. */
static struct worker_process *
find_place(struct worker_script *script)
{
	list_each(link, &script->processes) {
		struct worker_process *process =
			list_entry(link, struct worker_process, script_link);
		if (takes_requests(process) && process->request_count < script->concurrency)
			return process;
	}
	return NULL;
}

/* Workers that take requests or will. */
static bool
has_worker(const struct worker_script *script)
{
	list_each(link, &script->processes)
		if (takes_requests(list_entry(link, struct worker_process, script_link)))
			return true;
	return false;
}

/* --- the queue ------------------------------------------------------------------------------------------------------ */

static int
enqueue(struct worker_request *request, const void *payload, size_t bytes)
{
	struct worker_script *script = request->script;
	if (script->queue_count >= WORKER_QUEUE_MAX)
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "function \"%s\": %u requests are waiting for its worker",
				 script->name, script->queue_count);
	request->payload = malloc(bytes + 1);
	if (request->payload == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a request of %zu bytes",
				 bytes);
	memcpy(request->payload, payload, bytes);
	request->payload_bytes = bytes;
	request->state = REQUEST_QUEUED;
	list_push_back(&script->queue, &request->link);
	script->queue_count++;
	return 0;
}

static void
leave_queue(struct worker_request *request)
{
	list_remove(&request->link);
	request->script->queue_count--;
}

void
worker_queue_fail(struct worker_script *script, const struct error *error)
{
	while (!list_is_empty(&script->queue)) {
		struct worker_request *request =
			list_entry(script->queue.next, struct worker_request, link);
		worker_request_fail(request, error);
		worker_request_end(request);
	}
}

/* A worker with a place, started if the script has none. NULL: all are full; or with *failed set, none can be had. */
static struct worker_process *
obtain_place(struct worker_script *script, bool *failed)
{
	struct worker_process *process = find_place(script);
	if (process == NULL && !has_worker(script)) {
		process = worker_process_start(script);
		*failed = process == NULL;
	}
	return process;
}

void
worker_queue_run(struct worker_script *script)
{
	bool failed = false;
	while (!list_is_empty(&script->queue) && !script->host->deleted) {
		struct worker_process *process = obtain_place(script, &failed);
		struct worker_request *request =
			list_entry(script->queue.next, struct worker_request, link);
		if (failed) {
			struct error error = *error_last();
			worker_queue_fail(script, &error);
			return;
		}
		if (process == NULL)
			return;
		leave_queue(request);
		if (give(request, process, request->payload, request->payload_bytes) == 0)
			continue;
		/* Whoever holds the heap will give it back; when nobody does, it never fits. */
		list_push_front(&script->queue, &request->link);
		script->queue_count++;
		if (process->request_count > 0)
			return;
		struct error error = *error_last();
		worker_request_fail(request, &error);
		worker_request_end(request);
	}
}

/* --- from the path -------------------------------------------------------------------------------------------------- */

/* Into a worker, or into the queue. */
static int
admit(struct worker_request *request, const void *payload, size_t bytes)
{
	struct worker_script *script = request->script;
	bool failed = false;
	if (!list_is_empty(&script->queue))
		return enqueue(request, payload, bytes);
	struct worker_process *process = obtain_place(script, &failed);
	if (failed)
		return -1;
	if (process == NULL)
		return enqueue(request, payload, bytes);
	if (give(request, process, payload, bytes) == 0)
		return 0;
	return process->request_count > 0 ? enqueue(request, payload, bytes) : -1;
}

struct worker_request *
worker_invoke(struct worker_script *script, const void *payload, size_t bytes, uint64_t deadline,
	      void *owner)
{
	assert(!script->retired);
	struct worker_request *request = new_request(script->host);
	if (request == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a request");
		return NULL;
	}
	request->script = worker_script_ref(script);
	request->owner = owner;
	request->deadline = deadline;
	if (admit(request, payload, bytes) == 0)
		return request;
	worker_request_free(request);
	return NULL;
}

/* Tell the handler to stop. */
static void
send_cancel(struct worker_request *request)
{
	struct worker_process *process = request->process;
	if (process->state >= PROCESS_KILLED)
		return;
	if (worker_process_reserve(process, RECORD_CANCEL, request->number,
				   sizeof(struct ring_record)) != NULL)
		worker_process_send(process);
}

void
worker_cancel(struct worker_request *request)
{
	assert(request->state == REQUEST_QUEUED || request->state == REQUEST_RUNNING);
	bool queued = request->state == REQUEST_QUEUED;
	request->state = queued ? REQUEST_QUEUED : REQUEST_DROPPED;
	if (queued)
		worker_request_end(request);
	else
		send_cancel(request);
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
		leave_queue(request);
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
	process->slots[(request->number & 0xff) - 1] = NULL;
	process->request_count--;
	request->script->running_count--;
	list_remove(&request->link);
	worker_process_count_busy(process);
}

void
worker_request_end(struct worker_request *request)
{
	struct worker_script *script = worker_script_ref(request->script);
	if (request->state == REQUEST_QUEUED)
		leave_queue(request);
	else if (request->process != NULL)
		move_out(request);
	request->state = REQUEST_ENDED;
	if (!request->batch_out)
		worker_request_free(request);
	worker_script_settle(script);
	worker_script_unref(script);
}
