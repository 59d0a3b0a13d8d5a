#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/value.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum {
	/* Scratch memory larger than this is not kept. */
	SCRATCH_KEPT = 1 << 20,
	/* Records that are read between looks at the clock. */
	RECORDS_A_LOOK = 4,
};

/* A record, copied out of the ring. */
union copied {
	struct ring_record header;
	struct record_text text;
	struct record_call call;
	struct record_release release;
	unsigned char bytes[RING_RECORD_MAX];
};

/* What a handler of a record returns: -1 with the error set is a breach, which ends the worker. */
typedef int
record_f(struct worker_process *process, const union copied *record);

static struct worker_request *
find_request(struct worker_process *process, uint32_t number)
{
	uint32_t slot = record_place(number) - 1;
	if (slot >= process->slot_room || process->slots[slot] == NULL ||
	    process->slots[slot]->number != number) {
		error_set(ERR_INVALID_ARGUMENT, "request %u is not in this worker", number);
		return NULL;
	}
	worker_lane_begun(process->slots[slot]);
	return process->slots[slot];
}

static int
grow_scratch(struct worker_host *host, size_t bytes)
{
	if (bytes <= host->scratch_bytes)
		return 0;
	free(host->scratch);
	host->scratch = malloc(bytes);
	host->scratch_bytes = host->scratch == NULL ? 0 : bytes;
	if (host->scratch == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %zu bytes of a reply",
				 bytes);
	return 0;
}

static void
trim_scratch(struct worker_host *host)
{
	if (host->scratch_bytes <= SCRATCH_KEPT)
		return;
	free(host->scratch);
	host->scratch = NULL;
	host->scratch_bytes = 0;
}

static int
check_place(const struct worker_process *process, const struct record_payload *payload)
{
	if (payload->bytes <= process->layout.heap_bytes &&
	    payload->offset <= process->layout.heap_bytes - payload->bytes)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "payload: lies outside the heap");
}

/* The payload of a copied record, in memory that the worker cannot change. */
static int
payload_of(struct worker_process *process, const struct record_text *text, const void **data,
	   size_t *bytes)
{
	const struct record_payload *payload = &text->payload;
	*bytes = payload->bytes;
	if (text->record.bytes < sizeof(*text))
		return error_set(ERR_INVALID_ARGUMENT, "record: shorter than its fixed part");
	if (payload->offset == RECORD_HERE) {
		*data = text + 1;
		if (payload->bytes <= text->record.bytes - sizeof(*text))
			return 0;
		return error_set(ERR_INVALID_ARGUMENT, "payload: goes beyond its record");
	}
	if (process->carry != NULL) {
		*data = process->carry->data;
		return 0;
	}
	if (check_place(process, payload) != 0)
		return -1;
	if (grow_scratch(process->host, *bytes) != 0)
		return -1;
	memcpy(process->host->scratch,
	       process->shared + process->layout.worker_heap + payload->offset, *bytes);
	*data = process->host->scratch;
	return 0;
}

/* What was carried out of the worker's heap has been looked through on the way. */
static int
check_value(const struct worker_process *process, const void *data, size_t bytes)
{
	return process->carry != NULL ? 0 : value_check(data, bytes);
}

/* A request has ended: give its place to the next, or end a worker that drains. */
static void
after_request(struct worker_process *process)
{
	if (process->state == PROCESS_DRAINING && process->request_count == 0)
		worker_process_kill(process, NULL);
	if (process->script->queue_count > 0)
		worker_queue_run(process->script);
}

/* --- records -------------------------------------------------------------------------------------------------------- */

static int
on_ready(struct worker_process *process, const union copied *record)
{
	if (process->state != PROCESS_LOADING)
		return error_set(ERR_INVALID_ARGUMENT, "ready twice");
	process->state = PROCESS_READY;
	process->was_ready = true;
	worker_process_count_busy(process);
	return 0;
}

static int
on_manifest(struct worker_process *process, const union copied *record)
{
	const void *data = NULL;
	size_t bytes;
	if (payload_of(process, &record->text, &data, &bytes) != 0)
		return -1;
	struct worker_manifest *manifest = worker_manifest_decode(data, bytes);
	worker_manifest_finish(process->script, manifest, error_last());
	return 0;
}

static int
on_call(struct worker_process *process, const union copied *record)
{
	struct worker_request *request = find_request(process, record->header.request);
	if (request == NULL)
		return -1;
	return request->state == REQUEST_DROPPED ? 0 : worker_batch_add(request, &record->call);
}

static int
on_batch(struct worker_process *process, const union copied *record)
{
	struct worker_request *request = find_request(process, record->header.request);
	if (request == NULL)
		return -1;
	bool is_early = (record->header.flags & RECORD_EARLY) != 0;
	if (request->state != REQUEST_DROPPED)
		return worker_batch_send(request, is_early);
	if (is_early)
		return 0;
	struct error gone = { .code = ERR_CANCELLED, .message = "the request was cancelled" };
	worker_batch_refuse(request, &gone);
	return 0;
}

static void
refuse_reply(struct worker_request *request, size_t bytes)
{
	const struct worker_script *script = request->script;
	error_set(ERR_RESOURCE_EXHAUSTED,
		  "function \"%s\": the reply has %zu bytes, its limit is %llu", script->name,
		  bytes, (unsigned long long)script->limits.reply_bytes);
	worker_request_violate(request, WORKER_OVER_REPLY);
}

static int
on_reply(struct worker_process *process, const union copied *record)
{
	const struct worker_options *options = &process->host->options;
	struct worker_request *request = find_request(process, record->header.request);
	const void *data = NULL;
	size_t bytes;
	if (request == NULL || payload_of(process, &record->text, &data, &bytes) != 0 ||
	    check_value(process, data, bytes) != 0)
		return -1;
	bool is_early = request->batch_out || request->delivery != NULL;
	if (is_early && request->state != REQUEST_DROPPED)
		return error_set(ERR_INVALID_ARGUMENT, "a reply while a batch is out");
	if (request->state != REQUEST_DROPPED && bytes > request->script->limits.reply_bytes)
		refuse_reply(request, bytes);
	if (request->state != REQUEST_DROPPED)
		options->events.reply(options->context, request->owner, data, bytes);
	trim_scratch(process->host);
	worker_request_end(request);
	after_request(process);
	return 0;
}

/* The worker's error as ours; a code that is none is UNKNOWN. */
static struct error
read_error(const struct record_text *text, const char *message, size_t bytes)
{
	struct error error = { .code = ERR_UNKNOWN, .file = __FILE__, .line = __LINE__ };
	if (text->code != ERR_OK && text->code <= ERR_UNAUTHENTICATED)
		error.code = (enum error_code)text->code;
	if (bytes == 0)
		snprintf(error.message, sizeof(error.message), "an error without text");
	if (bytes >= sizeof(error.message))
		bytes = sizeof(error.message) - 1;
	memcpy(error.message, message, bytes);
	/* What a client gets is text, whatever bytes a handler raised. */
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)error.message[i] < ' ' && error.message[i] != '\n' &&
		    error.message[i] != '\t')
			error.message[i] = '?';
	return error;
}

/* The script could not be loaded: nothing that was given to this worker, or waits for one, can run. */
static void
fail_script(struct worker_process *process, const struct error *error)
{
	struct worker_script *script = worker_script_ref(process->script);
	worker_manifest_finish(script, NULL, error);
	worker_process_kill(process, error);
	worker_queue_fail(script, error);
	worker_script_unref(script);
}

static int
on_failed(struct worker_process *process, const union copied *record)
{
	const void *data = NULL;
	size_t bytes;
	if (payload_of(process, &record->text, &data, &bytes) != 0)
		return -1;
	struct error error = read_error(&record->text, data, bytes);
	if (record->header.request == 0) {
		fail_script(process, &error);
		return 0;
	}
	struct worker_request *request = find_request(process, record->header.request);
	if (request == NULL)
		return -1;
	if ((record->header.flags & RECORD_SPENT) != 0 && process->state == PROCESS_READY) {
		process->state = PROCESS_DRAINING;
		process->script->crashed++;
		worker_script_violated(process->script, WORKER_OVER_MEMORY);
	}
	if (request->state != REQUEST_DROPPED) {
		const struct worker_options *options = &process->host->options;
		worker_carry_abandon(request);
		request->state = REQUEST_DROPPED;
		options->events.failed(options->context, request->owner, &error);
	}
	worker_request_end(request);
	after_request(process);
	return 0;
}

/* The request of a record, and its payload, which is one well-formed value. */
static int
value_of(struct worker_process *process, const union copied *record,
	 struct worker_request **request, const void **data, size_t *bytes)
{
	*request = find_request(process, record->header.request);
	if (*request == NULL || payload_of(process, &record->text, data, bytes) != 0)
		return -1;
	return check_value(process, *data, *bytes);
}

static int
on_ask(struct worker_process *process, const union copied *record)
{
	struct worker_request *request;
	const void *data = NULL;
	size_t bytes;
	if (value_of(process, record, &request, &data, &bytes) != 0)
		return -1;
	/* Nobody will answer: the handler was told to end. */
	if (request->state == REQUEST_DROPPED)
		return 0;
	int status = worker_call_ask(request, record->text.code, data, bytes);
	trim_scratch(process->host);
	return status;
}

static int
on_part(struct worker_process *process, const union copied *record)
{
	struct worker_request *request;
	const void *data = NULL;
	size_t bytes;
	if (value_of(process, record, &request, &data, &bytes) != 0)
		return -1;
	if (request->state == REQUEST_DROPPED)
		return 0;
	int status = worker_call_part(request, data, bytes);
	trim_scratch(process->host);
	return status;
}

/* Count what a request, or the script outside of any, has logged: false when that is over the limit. */
static bool
count_log(struct worker_process *process, struct worker_request *request, size_t bytes)
{
	const struct worker_script *script = process->script;
	uint64_t *logged = request != NULL ? &request->logged : &process->logged;
	bool was_over = *logged > script->limits.log_bytes;
	*logged += bytes + 1;
	if (*logged <= script->limits.log_bytes || was_over)
		return !was_over;
	error_set(ERR_RESOURCE_EXHAUSTED,
		  "function \"%s\": logged more than its limit of %llu bytes", script->name,
		  (unsigned long long)script->limits.log_bytes);
	if (request != NULL) {
		worker_request_violate(request, WORKER_OVER_LOG);
	} else {
		worker_script_violated(process->script, WORKER_OVER_LOG);
		worker_process_kill(process, error_last());
	}
	return false;
}

static int
on_log(struct worker_process *process, const union copied *record)
{
	const struct worker_options *options = &process->host->options;
	struct worker_request *request = NULL;
	const void *data = NULL;
	size_t bytes;
	if (record->header.request != 0 &&
	    (request = find_request(process, record->header.request)) == NULL)
		return -1;
	if (payload_of(process, &record->text, &data, &bytes) != 0)
		return -1;
	/* A handler that was cancelled may say so; for what is too much there is nobody left to fail. */
	if (request != NULL && request->state == REQUEST_DROPPED &&
	    request->logged + bytes >= process->script->limits.log_bytes)
		return 0;
	if (count_log(process, request, bytes) && options->events.log != NULL &&
	    process->script->owner != NULL)
		options->events.log(options->context, process->script->owner, data, bytes);
	return 0;
}

static int
on_release(struct worker_process *process, const union copied *record)
{
	if (record->header.bytes < sizeof(record->release))
		return error_set(ERR_INVALID_ARGUMENT, "record: shorter than its fixed part");
	/* The start block stays; the worker reads files from it. */
	if (record->release.offset == 0)
		return error_set(ERR_INVALID_ARGUMENT, "release: offset 0");
	return pages_free(&process->heap, record->release.offset);
}

static record_f *const handlers[] = {
	[RECORD_READY] = on_ready,     [RECORD_MANIFEST] = on_manifest, [RECORD_CALL] = on_call,
	[RECORD_BATCH] = on_batch,     [RECORD_REPLY] = on_reply,       [RECORD_FAILED] = on_failed,
	[RECORD_ASK] = on_ask,         [RECORD_PART] = on_part,         [RECORD_LOG] = on_log,
	[RECORD_RELEASE] = on_release,
};

/* Values alone may be large: errors and lines are as long as a worker makes them. */
static bool
is_large(const union copied *record)
{
	uint16_t kind = record->header.kind;
	bool is_value = kind == RECORD_REPLY || kind == RECORD_ASK || kind == RECORD_PART ||
			kind == RECORD_MANIFEST;
	return is_value && record->header.bytes >= sizeof(record->text) &&
	       record->text.payload.offset != RECORD_HERE &&
	       record->text.payload.bytes > WORKER_CARRY_MIN;
}

/* 1, 0: its payload must be carried out before; -1 with the error set. */
static int
handle(struct worker_process *process, const union copied *record)
{
	uint16_t kind = record->header.kind;
	if (kind >= sizeof(handlers) / sizeof(*handlers) || handlers[kind] == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "record: kind %u", kind);
	if (!is_large(record))
		return handlers[kind](process, record) == 0 ? 1 : -1;
	if (check_place(process, &record->text.payload) != 0)
		return -1;
	return worker_carry_begin(process, &record->text);
}

/* What was being carried is here, or not yet (0). -1 with the error set. */
static int
handle_carried(struct worker_process *process, uint64_t until)
{
	union copied record;
	int status = worker_carry_go_on(process, until);
	if (status <= 0)
		return status;
	record.text = process->carry->text;
	status = handlers[record.header.kind](process, &record);
	worker_carry_end(process);
	return status == 0 ? 1 : -1;
}

/* What it says makes no sense: it is broken or hostile, and is ended. */
static void
breach(struct worker_process *process)
{
	struct error why = *error_last();
	worker_script_violated(process->script, WORKER_BROKE_PROTOCOL);
	error_set(ERR_UNAVAILABLE,
		  "function \"%s\": its worker broke the protocol and was ended: %s",
		  process->script->name, why.message);
	worker_process_kill(process, error_last());
}

bool
worker_records_read(struct worker_process *process, uint64_t until)
{
	_Alignas(16) union copied record;
	int got = process->carry == NULL ? 1 : handle_carried(process, until);
	for (int i = 1; got > 0 && process->state < PROCESS_KILLED; i++) {
		if (i % RECORDS_A_LOOK == 0 && clock_now() >= until)
			break;
		got = ring_read(&process->reader, &record);
		if (got > 0)
			got = handle(process, &record);
	}
	if (got < 0)
		breach(process);
	if (process->state >= PROCESS_KILLED)
		return false;
	/* The worker may do with its memory what it likes once its record counts as read. */
	if (process->carry != NULL)
		return true;
	if (ring_release(&process->reader))
		worker_process_wake(process);
	return got > 0;
}
