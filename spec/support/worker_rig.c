#include "spec/support/worker_rig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"
#include "script/zygote.h"

enum { HANDLES_MAX = 4096, TEXT_BYTES = 1 << 20, MANIFEST_MS = 120000 };

struct value {
	struct call_tensor type;
	void *data;
	size_t bytes;
};

struct text {
	char *data;
	size_t used;
};

struct entry {
	struct rig *rig;
	struct worker_request *request;
	int outcome;
	char *reply;
	size_t reply_bytes;
	struct error error;
	uint64_t started_at;
	uint64_t time;
	struct value *values;
	const struct call_batch *held;
	bool bench;
	void *payload;
};

struct rig {
	uv_loop_t loop;
	uv_timer_t timer;
	struct rig_options options;
	struct worker_host *host;
	struct entry **entries;
	uint32_t count;
	uint32_t ended;
	uint32_t batches;
	bool timed_out;
	struct text calls;
	struct text logs;
	struct worker_manifest *manifest;
	struct error manifest_error;
	bool manifest_done;
	/* rig_bench */
	struct worker_script *script;
	const void *payload;
	size_t payload_bytes;
	uint32_t bench_left;
	uint32_t bench_running;
	bool bench_failed;
};

static void
append(struct text *text, const char *line)
{
	size_t bytes = strlen(line);
	if (text->used + bytes >= TEXT_BYTES)
		return;
	memcpy(text->data + text->used, line, bytes + 1);
	text->used += bytes;
}

/* --- running batches ------------------------------------------------------------------------------------------------ */

static void
describe(struct rig *rig, const struct call *call)
{
	static const char *const names[] = { "?", "tensor", "model", "", "get", "free" };
	char line[512];
	int at = snprintf(line, sizeof(line), "%s", names[call->kind]);
	if (call->kind == CALL_OPERATION)
		at = snprintf(line, sizeof(line), "%s", call->op_type);
	else
		at += snprintf(line + at, sizeof(line) - at, " %u", call->handle);
	for (uint32_t i = 0; i < call->input_count; i++)
		at += snprintf(line + at, sizeof(line) - at, " <%u", call->inputs[i]);
	for (uint32_t i = 0; i < call->output_count; i++)
		at += snprintf(line + at, sizeof(line) - at, " >%u", call->outputs[i]);
	for (uint32_t i = 0; i < call->attribute_count && call->kind == CALL_OPERATION; i++) {
		const struct call_attribute *attribute = &call->attributes[i];
		at += snprintf(line + at, sizeof(line) - at, " %s=", attribute->name);
		if (attribute->kind == CALL_ATTRIBUTE_STRING)
			at += snprintf(line + at, sizeof(line) - at, "%s", attribute->as.string);
		else if (attribute->kind == CALL_ATTRIBUTE_FLOAT)
			at += snprintf(line + at, sizeof(line) - at, "%g", attribute->as.floats[0]);
		else
			at += snprintf(line + at, sizeof(line) - at, "%lld",
				       (long long)attribute->as.ints[0]);
	}
	snprintf(line + at, sizeof(line) - at, "\n");
	append(&rig->calls, line);
}

static void
set_value(struct value *value, const struct call_tensor *type, const void *data, size_t bytes)
{
	void *copy = malloc(bytes + 1);
	if (bytes > 0)
		memcpy(copy, data, bytes);
	free(value->data);
	*value = (struct value){ *type, copy, bytes };
}

static void
release_results(void *results)
{
	free(results);
}

static void
run_calls(struct entry *entry, const struct call_batch *batch)
{
	struct call_result *list = calloc(batch->count, sizeof(*list));
	struct error refused = { .code = ERR_INVALID_ARGUMENT, .message = "batch refused" };
	uint32_t count = 0;
	if (entry->values == NULL)
		entry->values = calloc(HANDLES_MAX, sizeof(*entry->values));
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct call *call = &batch->calls[i];
		if (!entry->bench)
			describe(entry->rig, call);
		if (call->kind == CALL_TENSOR)
			set_value(&entry->values[call->handle % HANDLES_MAX], &call->type,
				  call->data, call->bytes);
		for (uint32_t k = 0; k < call->output_count && call->input_count > 0; k++) {
			const struct value *from =
				&entry->values[call->inputs[k % call->input_count] % HANDLES_MAX];
			set_value(&entry->values[call->outputs[k] % HANDLES_MAX], &from->type,
				  from->data, from->bytes);
		}
		if (call->kind == CALL_GET) {
			const struct value *value = &entry->values[call->handle % HANDLES_MAX];
			list[count++] = (struct call_result){ call->handle, value->type,
							      value->data, value->bytes };
		}
	}
	const struct worker_results results = {
		.list = list, .count = count, .release = release_results, .context = list
	};
	worker_batch_done(batch, &results, entry->rig->options.fail_batches ? &refused : NULL);
}

static void
on_batch(void *context, void *owner, const struct call_batch *batch)
{
	struct rig *rig = context;
	struct entry *entry = owner;
	rig->batches++;
	if (rig->options.hold_batches)
		entry->held = batch;
	else
		run_calls(entry, batch);
}

void
rig_release_batches(struct rig *rig)
{
	rig->options.hold_batches = false;
	for (uint32_t i = 0; i < rig->count; i++) {
		const struct call_batch *batch = rig->entries[i]->held;
		rig->entries[i]->held = NULL;
		if (batch != NULL)
			run_calls(rig->entries[i], batch);
	}
}

/* --- events --------------------------------------------------------------------------------------------------------- */

static void
free_values(struct entry *entry)
{
	for (uint32_t i = 0; entry->values != NULL && i < HANDLES_MAX; i++)
		free(entry->values[i].data);
	free(entry->values);
	entry->values = NULL;
}

static void
bench_next(struct rig *rig, struct entry *entry);

static void
end(struct entry *entry, int outcome)
{
	struct rig *rig = entry->rig;
	entry->outcome = outcome;
	entry->time = clock_now() - entry->started_at;
	if (entry->bench) {
		rig->bench_failed |= outcome == 2;
		bench_next(rig, entry);
		return;
	}
	rig->ended++;
	uv_stop(&rig->loop);
}

static void
on_reply(void *context, void *owner, const void *payload, size_t bytes)
{
	struct entry *entry = owner;
	if (!entry->bench) {
		entry->reply = malloc(bytes + 1);
		memcpy(entry->reply, payload, bytes);
		entry->reply_bytes = bytes;
	}
	end(entry, 1);
}

static void
on_failed(void *context, void *owner, const struct error *error)
{
	struct entry *entry = owner;
	entry->error = *error;
	end(entry, 2);
}

static void
on_log(void *context, void *owner, const char *text, size_t length)
{
	struct rig *rig = context;
	char line[8192];
	snprintf(line, sizeof(line), "%.*s\n", (int)length, text);
	append(&rig->logs, line);
}

static void
on_timer(uv_timer_t *timer)
{
	struct rig *rig = timer->data;
	rig->timed_out = true;
	uv_stop(&rig->loop);
}

static void
on_manifest(void *context, struct worker_manifest *manifest, const struct error *error)
{
	struct rig *rig = context;
	rig->manifest = manifest;
	rig->manifest_done = true;
	if (error != NULL)
		rig->manifest_error = *error;
	uv_stop(&rig->loop);
}

/* --- the rig -------------------------------------------------------------------------------------------------------- */

struct rig *
rig_new(const struct rig_options *options)
{
	if (zygote_fd() < 0 && worker_zygote_start() != 0)
		return NULL;
	struct rig *rig = calloc(1, sizeof(*rig));
	rig->options = *options;
	rig->calls.data = calloc(1, TEXT_BYTES);
	rig->logs.data = calloc(1, TEXT_BYTES);
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->timer);
	rig->timer.data = rig;
	struct worker_options host = {
		.loop = &rig->loop,
		.events = { .batch = on_batch,
			    .reply = on_reply,
			    .failed = on_failed,
			    .log = on_log },
		.context = rig,
		.tracebacks = options->tracebacks,
		.idle_ms = options->idle_ms,
		.processes = options->processes,
	};
	rig->host = worker_host_new(&host);
	if (rig->host == NULL)
		abort();
	return rig;
}

void
rig_delete(struct rig *rig)
{
	for (uint32_t i = 0; i < rig->count; i++)
		if (rig->entries[i]->held != NULL)
			worker_batch_done(rig->entries[i]->held, NULL, NULL);
	worker_host_delete(rig->host);
	uv_close((uv_handle_t *)&rig->timer, NULL);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&rig->loop) != 0) {
		fprintf(stderr, "worker rig: a handle is still open\n");
		abort();
	}
	for (uint32_t i = 0; i < rig->count; i++) {
		free_values(rig->entries[i]);
		free(rig->entries[i]->reply);
		free(rig->entries[i]->payload);
		free(rig->entries[i]);
	}
	free(rig->entries);
	free(rig->calls.data);
	free(rig->logs.data);
	free(rig);
}

struct worker_host *
rig_host(struct rig *rig)
{
	return rig->host;
}

static struct entry *
add_entry(struct rig *rig)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	rig->entries = realloc(rig->entries, (rig->count + 1) * sizeof(struct entry *));
	rig->entries[rig->count++] = entry;
	entry->rig = rig;
	return entry;
}

int
rig_invoke(struct rig *rig, struct worker_script *script, const void *payload, size_t bytes)
{
	struct entry *entry = add_entry(rig);
	entry->started_at = clock_now();
	entry->payload = malloc(bytes + 1);
	memcpy(entry->payload, payload, bytes);
	struct worker_job job = {
		.payload = entry->payload, .bytes = bytes, .owner = entry, .streams = true
	};
	entry->request = worker_invoke(script, &job);
	return entry->request == NULL ? -1 : (int)rig->count - 1;
}

void
rig_cancel(struct rig *rig, int request)
{
	worker_cancel(rig->entries[request]->request);
}

bool
rig_run(struct rig *rig, uint32_t count, uint64_t ms)
{
	rig->timed_out = false;
	uv_timer_start(&rig->timer, on_timer, ms, 0);
	while (rig->ended < count && !rig->timed_out)
		uv_run(&rig->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&rig->timer);
	return rig->ended >= count;
}

void
rig_wait(struct rig *rig, uint64_t ms)
{
	rig_run(rig, UINT32_MAX, ms);
}

int
rig_outcome(struct rig *rig, int request)
{
	return rig->entries[request]->outcome;
}

const char *
rig_reply(struct rig *rig, int request, size_t *bytes)
{
	*bytes = rig->entries[request]->reply_bytes;
	return rig->entries[request]->reply;
}

const struct error *
rig_error(struct rig *rig, int request)
{
	return &rig->entries[request]->error;
}

uint64_t
rig_time(struct rig *rig, int request)
{
	return rig->entries[request]->time;
}

const char *
rig_calls(struct rig *rig)
{
	return rig->calls.data;
}

const char *
rig_logs(struct rig *rig)
{
	return rig->logs.data;
}

uint32_t
rig_batches(struct rig *rig)
{
	return rig->batches;
}

struct worker_manifest *
rig_manifest(struct rig *rig, const char *chunk, const char *source, size_t bytes)
{
	rig->manifest_done = false;
	if (worker_read_manifest(rig->host, chunk, source, bytes, on_manifest, rig) != 0)
		return NULL;
	/* The timer keeps the loop alive for a worker that was killed: its end is heard from the zygote. */
	rig->timed_out = false;
	uv_timer_start(&rig->timer, on_timer, MANIFEST_MS, 0);
	while (!rig->manifest_done && !rig->timed_out)
		uv_run(&rig->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&rig->timer);
	assert(rig->manifest_done);
	if (rig->manifest == NULL)
		error_restore(&rig->manifest_error);
	return rig->manifest;
}

uint32_t
rig_number(struct rig *rig, int request)
{
	return rig->entries[request]->request->number;
}

/* --- measuring ------------------------------------------------------------------------------------------------------ */

static void
bench_next(struct rig *rig, struct entry *entry)
{
	if (rig->bench_left == 0) {
		if (--rig->bench_running == 0)
			uv_stop(&rig->loop);
		return;
	}
	rig->bench_left--;
	entry->started_at = clock_now();
	struct worker_job job = { .payload = rig->payload,
				  .bytes = rig->payload_bytes,
				  .owner = entry };
	entry->request = worker_invoke(rig->script, &job);
	assert(entry->request != NULL);
}

uint64_t
rig_bench(struct rig *rig, struct worker_script *script, const void *payload, size_t bytes,
	  uint32_t total, uint32_t in_flight)
{
	uint64_t start = clock_now();
	rig->script = script;
	rig->payload = payload;
	rig->payload_bytes = bytes;
	rig->bench_left = total;
	rig->bench_failed = false;
	rig->bench_running = in_flight;
	for (uint32_t i = 0; i < in_flight; i++) {
		struct entry *entry = add_entry(rig);
		entry->bench = true;
		bench_next(rig, entry);
	}
	while (rig->bench_running > 0)
		uv_run(&rig->loop, UV_RUN_DEFAULT);
	return rig->bench_failed ? 0 : clock_now() - start;
}
