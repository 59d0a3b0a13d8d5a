#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum { NS_PER_MS = 1000000 };

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

static int
grow_slots(struct worker_process *process, uint32_t slot)
{
	uint32_t room = process->slot_room == 0 ? 16 : process->slot_room * 2;
	if (slot < process->slot_room)
		return 0;
	struct worker_request **slots =
		realloc(process->slots, room * sizeof(struct worker_request *));
	if (slots == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for places in a worker");
	for (uint32_t i = process->slot_room; i < room; i++)
		slots[i] = NULL;
	process->slots = slots;
	process->slot_room = room;
	return 0;
}

/* The first place without a request. */
static uint32_t
free_slot(const struct worker_process *process)
{
	uint32_t slot = 0;
	while (slot < process->slot_room && process->slots[slot] != NULL)
		slot++;
	return slot;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Make it one of the process's requests, in that slot. */
static void
settle_in(struct worker_request *request, struct worker_process *process, uint32_t slot)
{
	uint64_t timeout = process->script->limits.timeout_ms * NS_PER_MS;
	process->generation = (process->generation + 1) % (UINT32_MAX / RECORD_PLACES);
	request->number = process->generation * RECORD_PLACES + slot + 1;
	request->process = process;
	request->state = REQUEST_RUNNING;
	worker_lane_given(request);
	request->attempts++;
	request->expires_at = clock_now() + timeout;
	process->slots[slot] = request;
	process->request_count++;
	process->script->running_count++;
	list_push_back(&process->requests, &request->link);
	worker_process_count_busy(process);
}

static void
write_invoke(struct worker_request *request, struct record_invoke *invoke,
	     const struct record_payload *place)
{
	invoke->record.request = request->number;
	invoke->deadline = request->deadline == 0 ? request->expires_at
						  : least(request->deadline, request->expires_at);
	invoke->record.flags = request->streams ? RECORD_STREAMS : 0;
	invoke->payload = *place;
	if (place->offset == RECORD_HERE)
		memcpy(invoke + 1, request->payload, request->payload_bytes);
}

/* Give it once its large payload is there. */
static int
give_large(struct worker_request *request, struct worker_process *process, uint32_t slot)
{
	struct record_payload place = { .bytes = request->payload_bytes };
	size_t offset;
	if (pages_alloc(&process->heap, place.bytes, &offset) != 0)
		return -1;
	place.offset = offset;
	const struct record_invoke blank = { .record.kind = RECORD_INVOKE };
	const struct carry_part part = { offset, request->payload_bytes, request->payload };
	const struct worker_cargo cargo = { .record = &blank,
					    .record_bytes = sizeof(blank),
					    .parts = &part,
					    .part_count = 1,
					    .request = request };
	struct ring_record *invoke = worker_carry_in(process, &cargo);
	if (invoke == NULL) {
		pages_free(&process->heap, offset);
		return -1;
	}
	settle_in(request, process, slot);
	write_invoke(request, (struct record_invoke *)invoke, &place);
	return 0;
}

/*
 * Give a request that is in no list to a worker with a place. -1 with the error set: its payload does not fit now.
 */
static int
give(struct worker_request *request, struct worker_process *process)
{
	struct record_payload place;
	uint32_t slot = free_slot(process);
	if (grow_slots(process, slot) != 0)
		return -1;
	if (request->payload_bytes > WORKER_CARRY_MIN)
		return give_large(request, process, slot);
	if (place_payload(process, request->payload, request->payload_bytes, &place) != 0)
		return -1;
	size_t here = place.offset == RECORD_HERE ? request->payload_bytes : 0;
	struct record_invoke *invoke =
		ring_reserve(&process->writer, RECORD_INVOKE, 0, sizeof(*invoke) + here);
	if (invoke == NULL) {
		if (here == 0)
			pages_free(&process->heap, place.offset);
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "function \"%s\": its worker has much to read",
				 process->script->name);
	}
	settle_in(request, process, slot);
	write_invoke(request, invoke, &place);
	worker_request_offer(request);
	worker_process_send(process);
	return 0;
}

/* Requests that hold one of the places that limits.concurrency grants. */
static uint32_t
active_count(const struct worker_process *process)
{
	return process->request_count - process->waiting_count;
}

static bool
has_place(const struct worker_process *process)
{
	return worker_load_takes(process) && !process->load.stuck &&
	       active_count(process) < process->script->limits.concurrency &&
	       process->request_count < RECORD_PLACES - 1;
}

/*
 * A worker of the script with a place for one more; NULL: none. The first that has time, so that those behind it become
 * idle when there is little to do; else the one with the fewest requests.
 */
static struct worker_process *
find_place(struct worker_script *script)
{
	struct worker_process *best = NULL;
	list_each(link, &script->processes) {
		struct worker_process *process =
			list_entry(link, struct worker_process, script_link);
		if (!has_place(process))
			continue;
		if (process->load.busy_looks == 0 || process->request_count == 0)
			return process;
		if (best == NULL || active_count(process) < active_count(best))
			best = process;
	}
	return best;
}

/* Workers that take requests or will. */
static bool
has_worker(const struct worker_script *script)
{
	list_each(link, &script->processes)
		if (worker_load_takes(list_entry(link, struct worker_process, script_link)))
			return true;
	return false;
}

/* A worker with a place, started if the script has none. NULL: all are full; or with *failed set, none can be had. */
static struct worker_process *
obtain_place(struct worker_script *script, bool *failed)
{
	struct worker_process *process = find_place(script);
	bool waits = script->host->zygote == ZYGOTE_DIES || script->host->zygote == ZYGOTE_GONE;
	if (process == NULL && !waits && !has_worker(script) &&
	    worker_share_may_start(script, clock_now())) {
		process = worker_load_start(script);
		*failed = process == NULL;
	}
	return process;
}

/*
 * A worker that took nothing though it holds no request, because it has not read what was taken back from it: it ends, so
 * that a fresh one takes its place. False: it has read all, so what did not fit never will.
 */
static bool
end_unreading(struct worker_process *process)
{
	if (worker_load_unread(process) == 0)
		return false;
	worker_process_kill(process, NULL);
	return true;
}

/* --- the queue ------------------------------------------------------------------------------------------------------ */

static int
enqueue(struct worker_request *request)
{
	struct worker_script *script = request->script;
	if (script->queue_count >= script->limits.queue) {
		script->refused++;
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "function \"%s\": %u requests are waiting for its worker",
				 script->name, script->queue_count);
	}
	request->state = REQUEST_QUEUED;
	list_push_back(&request->lane->queue, &request->link);
	script->queue_count++;
	return 0;
}

void
worker_queue_return(struct worker_request *request)
{
	request->state = REQUEST_QUEUED;
	list_push_front(&request->lane->queue, &request->link);
	request->script->queue_count++;
}

void
worker_queue_leave(struct worker_request *request)
{
	list_remove(&request->link);
	request->script->queue_count--;
}

/* Of any lane; NULL: none waits. */
static struct worker_request *
first_waiting(const struct worker_script *script)
{
	list_each(link, &script->lanes) {
		const struct worker_lane *lane = list_entry(link, struct worker_lane, link);
		if (!list_is_empty(&lane->queue))
			return list_entry(lane->queue.next, struct worker_request, link);
	}
	return NULL;
}

void
worker_queue_fail(struct worker_script *script, const struct error *error)
{
	struct worker_request *request;
	while ((request = first_waiting(script)) != NULL) {
		worker_request_fail(request, error);
		worker_request_end(request);
	}
}

void
worker_queue_forget(struct worker_script *script)
{
	struct worker_request *request;
	while ((request = first_waiting(script)) != NULL)
		worker_request_end(request);
}

void
worker_queue_run(struct worker_script *script)
{
	bool failed = false;
	while (script->queue_count > 0 && !script->host->deleted) {
		struct worker_process *process = obtain_place(script, &failed);
		struct worker_request *request;
		if (failed) {
			struct error error = *error_last();
			worker_queue_fail(script, &error);
			return;
		}
		if (process == NULL || (request = worker_lane_next(script)) == NULL)
			return;
		worker_queue_leave(request);
		if (give(request, process) == 0)
			continue;
		/* Whoever holds the heap will give it back; when nobody does, it never fits. */
		worker_queue_return(request);
		if (process->request_count > 0)
			return;
		struct error error = *error_last();
		if (end_unreading(process))
			continue;
		worker_request_fail(request, &error);
		worker_request_end(request);
	}
}

int
worker_queue_admit(struct worker_request *request)
{
	struct worker_script *script = request->script;
	bool failed = false;
	struct worker_process *process;
	if (!list_is_empty(&request->lane->queue) || !worker_lane_is_open(request->lane))
		return enqueue(request);
	while ((process = obtain_place(script, &failed)) != NULL) {
		if (give(request, process) == 0)
			return 0;
		if (process->request_count > 0)
			return enqueue(request);
		if (!end_unreading(process))
			return -1;
	}
	return failed ? -1 : enqueue(request);
}
