#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

/* --- handles -------------------------------------------------------------------------------------------------------- */

static bool
is_live(const struct worker_request *request, uint32_t handle)
{
	return handle != 0 && handle <= request->handle_count &&
	       (request->live[handle / 64] >> handle % 64 & 1) != 0;
}

static int
check_live(const struct worker_request *request, uint32_t handle)
{
	if (is_live(request, handle))
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "call: handle %u is not the request's", handle);
}

static int
grow_live(struct worker_request *request, uint32_t handle)
{
	uint32_t word = handle / 64;
	if (word < request->live_room)
		return 0;
	uint32_t room = request->live_room == 0 ? 2 : request->live_room * 2;
	uint64_t *live = realloc(request->live, room * sizeof(*live));
	if (live == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for handles");
	request->live = live;
	request->live_room = room;
	return 0;
}

/* Handles are named in order, so that one number says which there are. */
static int
define(struct worker_request *request, uint32_t handle)
{
	if (handle != request->handle_count + 1)
		return error_set(ERR_INVALID_ARGUMENT, "call: handle %u where %u is due", handle,
				 request->handle_count + 1);
	if (handle > WORKER_HANDLES_MAX)
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "call: more than %d tensors in one request", WORKER_HANDLES_MAX);
	if (grow_live(request, handle) != 0)
		return -1;
	if (handle == 1 || handle % 64 == 0)
		request->live[handle / 64] = 0;
	request->live[handle / 64] |= UINT64_C(1) << handle % 64;
	request->handle_count = handle;
	return 0;
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

bool
worker_batch_is_awaited(const struct worker_request *request)
{
	if ((request->batch_out && !request->batch_early) || request->delivery != NULL)
		return true;
	return !request->has_early && !list_is_empty(&request->queued);
}

static int
grow_calls(struct worker_request *request)
{
	if (request->call_count + request->queued_calls >= CALL_BATCH_MAX)
		return error_set(ERR_RESOURCE_EXHAUSTED, "call: more than %d before a wait",
				 CALL_BATCH_MAX);
	if (request->call_count < request->call_room)
		return 0;
	uint32_t room = request->call_room == 0 ? 4 : request->call_room * 4;
	struct call *calls = realloc(request->calls, room * sizeof(*calls));
	if (calls == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %u calls", room);
	request->calls = calls;
	request->call_room = room;
	return 0;
}

/* Point the call at its data: the copy that we keep, or the worker's heap. */
static int
place_data(struct worker_request *request, struct call *call, const struct record_payload *payload)
{
	const struct worker_process *process = request->process;
	if (payload->offset == RECORD_HERE) {
		void *copy = arena_alloc(&request->arena, call->bytes + 1);
		if (copy == NULL)
			return -1;
		memcpy(copy, call->data, call->bytes);
		call->data = copy;
		return 0;
	}
	if (payload->bytes > process->layout.heap_bytes ||
	    payload->offset > process->layout.heap_bytes - payload->bytes)
		return error_set(ERR_INVALID_ARGUMENT, "call: data lies outside the heap");
	call->data = process->shared + process->layout.worker_heap + payload->offset;
	return 0;
}

static int
check_model(const struct worker_request *request, const struct call *call)
{
	const struct worker_script *script = request->script;
	if (call->model >= script->model_count)
		return error_set(ERR_INVALID_ARGUMENT, "call: model %u of %u", call->model,
				 script->model_count);
	if (call->output_count != script->model_outputs[call->model])
		return error_set(ERR_INVALID_ARGUMENT, "call: %u outputs of a model with %u",
				 call->output_count, script->model_outputs[call->model]);
	return 0;
}

/* Everything about a call that depends on its request. */
static int
check_call(struct worker_request *request, struct call *call, const struct record_payload *payload)
{
	for (uint32_t i = 0; i < call->input_count; i++)
		if (check_live(request, call->inputs[i]) != 0)
			return -1;
	for (uint32_t i = 0; i < call->output_count; i++)
		if (define(request, call->outputs[i]) != 0)
			return -1;
	switch (call->kind) {
	case CALL_TENSOR:
		return define(request, call->handle) == 0 ? place_data(request, call, payload) : -1;
	case CALL_MODEL:
		return check_model(request, call);
	case CALL_OPERATION:
		return 0;
	case CALL_GET:
		return check_live(request, call->handle);
	case CALL_FREE:
		if (check_live(request, call->handle) != 0)
			return -1;
		request->live[call->handle / 64] &= ~(UINT64_C(1) << call->handle % 64);
		return 0;
	}
	return error_set(ERR_INVALID_ARGUMENT, "call: kind %d", call->kind);
}

int
worker_batch_add(struct worker_request *request, const struct record_call *record)
{
	struct record_payload payload;
	if (worker_batch_is_awaited(request))
		return error_set(ERR_INVALID_ARGUMENT, "a call while a batch is out");
	if (grow_calls(request) != 0)
		return -1;
	struct call *call = &request->calls[request->call_count];
	if (record_read_call(record, call, &payload) != 0 ||
	    check_call(request, call, &payload) != 0)
		return -1;
	request->call_count++;
	return 0;
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

/* Closed while another was out: it goes when that one is done. */
struct queued_batch {
	struct list link;
	struct call *calls;
	uint32_t count;
	uint32_t room;
	bool is_early;
};

/* The calls so far become a batch that waits; the next calls go to an array of their own. */
static int
queue_batch(struct worker_request *request, bool is_early)
{
	struct queued_batch *queued = malloc(sizeof(*queued));
	if (queued == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a batch");
	*queued = (struct queued_batch){ .calls = request->calls,
					 .count = request->call_count,
					 .room = request->call_room,
					 .is_early = is_early };
	list_push_back(&request->queued, &queued->link);
	request->queued_calls += queued->count;
	request->calls = NULL;
	request->call_count = request->call_room = 0;
	return 0;
}

/* The calls of a batch leave their array for that of the batch that is out. */
static void
send_out(struct worker_request *request, struct call **calls, uint32_t *room, uint32_t count,
	 bool is_early)
{
	const struct worker_options *options = &request->script->host->options;
	struct call *old = request->sent;
	uint32_t old_room = request->sent_room;
	request->sent = *calls;
	request->sent_room = *room;
	*calls = old;
	*room = old_room;
	request->batch = (struct call_batch){ request, count, request->sent };
	request->batch_out = true;
	request->batch_early = is_early;
	request->process->batches_out++;
	options->events.batch(options->context, request->owner, &request->batch);
}

static void
free_queued(struct worker_request *request, struct queued_batch *queued)
{
	list_remove(&queued->link);
	request->queued_calls -= queued->count;
	free(queued->calls);
	free(queued);
}

void
worker_batch_drop_queued(struct worker_request *request)
{
	list_each_safe(link, &request->queued) {
		free_queued(request, list_entry(link, struct queued_batch, link));
	}
}

/* Send the first that waits; after an early one that failed the others have nothing to stand on. */
static void
send_first(struct worker_request *request)
{
	struct queued_batch *first = list_entry(request->queued.next, struct queued_batch, link);
	if (request->early_error.code == ERR_OK)
		send_out(request, &first->calls, &first->room, first->count, first->is_early);
	else if (!first->is_early)
		worker_batch_refuse(request, &request->early_error);
	if (!first->is_early)
		request->early_error.code = ERR_OK;
	free_queued(request, first);
}

/* Send what waits, unless a batch is out: those that are done at once follow one another here, not down the stack. */
static void
send_queued(struct worker_request *request)
{
	if (request->is_sending)
		return;
	request->is_sending = true;
	while (!request->batch_out && request->state == REQUEST_RUNNING &&
	       !list_is_empty(&request->queued))
		send_first(request);
	request->is_sending = false;
}

int
worker_batch_send(struct worker_request *request, bool is_early)
{
	bool has_early = request->has_early;
	if (worker_batch_is_awaited(request))
		return error_set(ERR_INVALID_ARGUMENT, "a batch while one is out");
	if (request->call_count == 0 && (is_early || !has_early))
		return error_set(ERR_INVALID_ARGUMENT, "a batch without a call");
	request->has_early = is_early;
	if (has_early || is_early) {
		if (queue_batch(request, is_early) != 0)
			return -1;
		send_queued(request);
		return 0;
	}
	uint32_t count = request->call_count;
	request->call_count = 0;
	send_out(request, &request->calls, &request->call_room, count, false);
	return 0;
}

/* --- results -------------------------------------------------------------------------------------------------------- */

static void
send_error(struct worker_request *request, const struct error *error)
{
	size_t bytes = strnlen(error->message, WORKER_INLINE_MAX);
	struct record_result *record = worker_process_reserve(
		request->process, RECORD_RESULT, request->number, sizeof(*record) + bytes);
	if (record == NULL)
		return;
	record->code = error->code;
	record->count = 0;
	record->payload = (struct record_payload){ RECORD_HERE, bytes };
	memcpy(record + 1, error->message, bytes);
	worker_process_send(request->process);
}

void
worker_batch_refuse(struct worker_request *request, const struct error *error)
{
	if (request->process->state < PROCESS_KILLED)
		send_error(request, error);
}

static size_t
round_unit(size_t bytes)
{
	return (bytes + RING_UNIT - 1) & ~(size_t)(RING_UNIT - 1);
}

/* Bytes that lie with the description of a result, the rest of it being in the heap. */
static size_t
result_here(const struct call_result *result)
{
	return result->bytes <= RECORD_TENSOR_MAX ? round_unit(result->bytes) : 0;
}

/* Where the results of a batch go, and its record. */
struct placing {
	struct worker_process *process;
	const struct worker_results *results;
	/* What lies in the core's heap: the list, when it does not fit into the record, and large results. */
	struct carry_part *parts;
	uint32_t part_count;
	size_t part_bytes;
	/* The list: its bytes and its offset, or RECORD_HERE. */
	size_t list_bytes;
	size_t list_offset;
};

static int
place(struct placing *placing, const void *from, size_t bytes, size_t *offset)
{
	if (pages_alloc(&placing->process->heap, bytes, offset) != 0)
		return -1;
	placing->parts[placing->part_count++] =
		(struct carry_part){ *offset, from == NULL ? 0 : bytes, from };
	placing->part_bytes += from == NULL ? 0 : bytes;
	return 0;
}

static void
take_back(const struct placing *placing)
{
	for (uint32_t i = 0; i < placing->part_count; i++)
		pages_free(&placing->process->heap, placing->parts[i].offset);
}

/* Give the list and the large results a place in the core's heap; nothing stays there on failure. */
static int
place_results(struct placing *placing, size_t *offsets)
{
	const struct worker_results *results = placing->results;
	placing->list_offset = RECORD_HERE;
	int status = 0;
	if (placing->list_bytes > WORKER_INLINE_MAX)
		status = place(placing, NULL, placing->list_bytes, &placing->list_offset);
	for (uint32_t i = 0; i < results->count && status == 0; i++) {
		const struct call_result *result = &results->list[i];
		offsets[i] = RECORD_HERE;
		if (result->bytes > RECORD_TENSOR_MAX)
			status = place(placing, result->data, result->bytes, &offsets[i]);
	}
	if (status != 0)
		take_back(placing);
	return status;
}

static void
write_list(unsigned char *at, const struct worker_results *results, const size_t *offsets)
{
	for (uint32_t i = 0; i < results->count; i++) {
		const struct call_result *result = &results->list[i];
		struct record_tensor tensor = { .handle = result->handle,
						.type = result->type,
						.data = { offsets[i], result->bytes } };
		memcpy(at, &tensor, sizeof(tensor));
		at += sizeof(tensor);
		if (offsets[i] == RECORD_HERE && result->bytes > 0)
			memcpy(at, result->data, result->bytes);
		at += result_here(result);
	}
}

static void
release(const struct worker_results *results)
{
	if (results->release != NULL)
		results->release(results->context);
}

/* The record, and what it needs in the heap: at once when that is little. -1: nothing was sent or released. */
static int
send_placed(struct worker_request *request, const struct placing *placing,
	    const struct record_result *record, size_t record_bytes)
{
	struct worker_process *process = placing->process;
	const struct worker_results *results = placing->results;
	if (placing->part_bytes > WORKER_CARRY_MIN) {
		const struct worker_cargo cargo = { .record = record,
						    .record_bytes = record_bytes,
						    .parts = placing->parts,
						    .part_count = placing->part_count,
						    .request = request,
						    .release = results->release,
						    .context = results->context };
		return worker_carry_in(process, &cargo) == NULL ? -1 : 0;
	}
	for (uint32_t i = 0; i < placing->part_count; i++)
		if (placing->parts[i].bytes > 0)
			memcpy(process->shared + process->layout.core_heap +
				       placing->parts[i].offset,
			       placing->parts[i].from, placing->parts[i].bytes);
	worker_outbox_send(process, &record->record, record_bytes);
	release(results);
	return 0;
}

/* The list goes behind the record or into the heap. */
static int
send_list(struct worker_request *request, const struct placing *placing, const size_t *offsets)
{
	struct worker_process *process = placing->process;
	union {
		struct record_result result;
		unsigned char bytes[sizeof(struct record_result) + WORKER_INLINE_MAX];
	} record = { .result = {
			     .record = { .kind = RECORD_RESULT,
					 .request = request->number,
					 .flags = placing->results->is_heavy ? RECORD_COLLECT : 0 },
			     .code = ERR_OK,
			     .count = placing->results->count,
			     .payload = { placing->list_offset, placing->list_bytes } } };
	bool is_here = placing->list_offset == RECORD_HERE;
	write_list(is_here ? record.bytes + sizeof(record.result)
			   : process->shared + process->layout.core_heap + placing->list_offset,
		   placing->results, offsets);
	size_t bytes = sizeof(record.result) + (is_here ? placing->list_bytes : 0);
	if (send_placed(request, placing, &record.result, bytes) == 0)
		return 0;
	take_back(placing);
	return -1;
}

/* -1 with the error set: nothing was sent or released. */
static int
send_results(struct worker_request *request, const struct worker_results *results)
{
	struct placing placing = { .process = request->process, .results = results };
	size_t *offsets = arena_alloc(&request->arena, (results->count + 1) * sizeof(*offsets));
	placing.parts = arena_alloc(&request->arena, (results->count + 1) * sizeof(*placing.parts));
	for (uint32_t i = 0; i < results->count; i++)
		placing.list_bytes += sizeof(struct record_tensor) + result_here(&results->list[i]);
	if (offsets == NULL || placing.parts == NULL || place_results(&placing, offsets) != 0)
		return -1;
	return send_list(request, &placing, offsets);
}

/* Tell the handler what became of the batch, if it waits for that. True: the results are released, or will be. */
static bool
answer(struct worker_request *request, const struct worker_results *results,
       const struct error *error)
{
	static const struct worker_results none = { .release = NULL };
	bool is_taken = false;
	if (request->batch_early) {
		if (error != NULL && request->early_error.code == ERR_OK)
			request->early_error = *error;
		return false;
	}
	if (error != NULL)
		send_error(request, error);
	else if (send_results(request, results != NULL ? results : &none) == 0)
		is_taken = results != NULL;
	else
		send_error(request, error_last());
	/* Nothing is collected or queued while the handler waits. */
	if (request->arena.used > 0)
		arena_reset(&request->arena);
	return is_taken;
}

void
worker_batch_done(const struct call_batch *batch, const struct worker_results *results,
		  const struct error *error)
{
	struct worker_request *request = batch->request;
	struct worker_process *process = request->process;
	bool is_taken = false;
	assert(request->batch_out);
	request->batch_out = false;
	process->batches_out--;
	if (request->state == REQUEST_ENDED) {
		worker_request_free(request);
	} else if (request->state == REQUEST_RUNNING && process->state < PROCESS_KILLED) {
		is_taken = answer(request, results, error);
		send_queued(request);
	}
	if (results != NULL && !is_taken)
		release(results);
	worker_process_settle(process);
}
