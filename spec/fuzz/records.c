/*
 * What workers say: any records on a worker's ring, with any payloads in its heap, are taken, refused or end the worker,
 * and nothing outside of its memory is touched. The host is real but for the processes: there is no zygote, so a worker
 * that would be started cannot be.
 *
 * Input: pieces of kind, flags, which request, length and that many bytes; kind 0 writes the bytes over the ring's next
 * header as they are.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum { REQUESTS = 3, HEAP_BYTES = 1 << 20, MODELS = 2 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The host's world; the loop lives as long as the program. */
static struct {
	uv_loop_t loop;
	struct worker_host host;
	struct worker_script *script;
	struct worker_process *process;
	struct ring_writer out;
	/* Those that the path still knows. */
	struct worker_request *known[REQUESTS];
	const struct call_batch *batches[REQUESTS];
	bool is_ready;
} world;

static uint32_t model_outputs[MODELS] = { 1, 2 };

/* --- the path ------------------------------------------------------------------------------------------------------- */

static void
forget(void *owner)
{
	*(struct worker_request **)owner = NULL;
}

static void
on_batch(void *context, void *owner, const struct call_batch *batch)
{
	size_t i = (size_t)((struct worker_request **)owner - world.known);
	world.batches[i] = batch;
	/* Whatever a checked call points to can be read. */
	for (uint32_t k = 0; k < batch->count; k++) {
		const struct call *call = &batch->calls[k];
		volatile unsigned char byte = 0;
		if (call->kind == CALL_TENSOR && call->bytes > 0)
			byte = ((const unsigned char *)call->data)[call->bytes - 1];
		(void)byte;
	}
}

static void
on_ask(void *context, void *owner, uint32_t call, const void *payload, size_t bytes)
{
	struct worker_request *request = *(struct worker_request **)owner;
	void *value = worker_take_payload(request);
	if (value == NULL && (value = malloc(bytes + 1)) != NULL)
		memcpy(value, payload, bytes);
	if (value == NULL)
		abort();
	worker_answer(request, call, value, bytes, NULL);
}

static void
on_part(void *context, void *owner, const void *payload, size_t bytes)
{
	worker_credit(*(struct worker_request **)owner, bytes);
}

static void
on_reply(void *context, void *owner, const void *payload, size_t bytes)
{
	forget(owner);
}

static void
on_failed(void *context, void *owner, const struct error *error)
{
	if (error->code == ERR_OK || error->message[0] == '\0')
		abort();
	forget(owner);
}

static void
on_log(void *context, void *owner, const char *text, size_t length)
{
}

/* --- a worker that is only memory ----------------------------------------------------------------------------------- */

static void
make_host(void)
{
	struct worker_host *host = &world.host;
	uv_loop_init(&world.loop);
	host->options = (struct worker_options){
		.loop = &world.loop,
		.events = { .batch = on_batch,
			    .ask = on_ask,
			    .part = on_part,
			    .reply = on_reply,
			    .failed = on_failed,
			    .log = on_log },
		.processes = 4,
	};
	/* Never freed. No zygote was started: to start a worker is an error, which none waits for. */
	host->refs = 1 << 30;
	host->zygote = ZYGOTE_RUNS;
	list_create(&host->scripts);
	list_create(&host->processes);
	list_create(&host->to_wake);
	list_create(&host->turns);
	list_create(&host->held);
	list_create(&host->spare_requests);
	for (int i = 0; i < WORKER_BUCKETS; i++)
		list_create(&host->by_id[i]);
	uv_timer_init(&world.loop, &host->sweep);
	uv_idle_init(&world.loop, &host->turn);
	host->turn.data = host;
	log_set_level(LOG_OFF);
}

static void
make_script(void)
{
	struct worker_script_options options = { .owner = &world,
						 .name = "f",
						 .chunk = "f.lua",
						 .source = "",
						 .model_count = MODELS,
						 .models = (const char *const[]){ "a", "b" },
						 .model_outputs = model_outputs };
	options.limits.memory_bytes = 8 << 20;
	options.limits.log_bytes = 4096;
	world.script = worker_script_new(&world.host, &options);
	if (world.script == NULL)
		abort();
}

static void
make_process(void)
{
	struct worker_process *process = calloc(1, sizeof(*process));
	struct worker_script *script = world.script;
	process->script = worker_script_ref(script);
	process->host = worker_host_ref(&world.host);
	process->state = PROCESS_READY;
	process->layout = record_layout(HEAP_BYTES);
	process->shared = aligned_alloc(4096, process->layout.total);
	memset(process->shared, 0, process->layout.total);
	struct record_controls *controls = (struct record_controls *)process->shared;
	ring_writer_create(&process->writer, &controls->to_worker,
			   process->shared + process->layout.to_worker);
	ring_reader_create(&process->reader, &controls->to_core,
			   process->shared + process->layout.to_core);
	ring_writer_create(&world.out, &controls->to_core,
			   process->shared + process->layout.to_core);
	pages_create(&process->heap, HEAP_BYTES);
	list_create(&process->requests);
	list_create(&process->outbox);
	list_create(&process->wake_link);
	list_create(&process->turn_link);
	list_create(&process->deliveries);
	process->wake_worker = eventfd(0, EFD_NONBLOCK);
	process->wake_core = eventfd(0, EFD_NONBLOCK);
	uv_poll_init(&world.loop, &process->poll, process->wake_core);
	list_push_back(&world.host.processes, &process->host_link);
	list_push_back(&world.host.by_id[0], &process->id_link);
	list_push_back(&script->processes, &process->script_link);
	script->process_count = world.host.process_count = 1;
	world.process = process;
}

static void
make_requests(void)
{
	for (int i = 0; i < REQUESTS; i++) {
		struct worker_job job = {
			.payload = "\xc0", .bytes = 1, .owner = &world.known[i], .streams = i != 0
		};
		world.known[i] = worker_invoke(world.script, &job);
		if (world.known[i] == NULL)
			abort();
	}
}

static void
on_closed(uv_handle_t *handle)
{
	struct worker_process *process =
		(struct worker_process *)((char *)handle - offsetof(struct worker_process, poll));
	close(process->wake_worker);
	close(process->wake_core);
	worker_outbox_drop(process);
	worker_carry_drop(process);
	worker_carry_end(process);
	pages_destroy(&process->heap);
	free(process->slots);
	free(process->shared);
	free(process);
}

/* What worker_process_ended does, but for the memory, which is ours. */
static void
end_process(void)
{
	struct worker_process *process = world.process;
	process->state = PROCESS_KILLED;
	for (int i = 0; i < REQUESTS; i++) {
		/* One may bring the next. */
		const struct call_batch *batch;
		while ((batch = world.batches[i]) != NULL) {
			world.batches[i] = NULL;
			worker_batch_done(batch, NULL, NULL);
		}
	}
	while (!list_is_empty(&process->requests)) {
		struct worker_request *request =
			list_entry(process->requests.next, struct worker_request, link);
		request->state = REQUEST_DROPPED;
		worker_request_end(request);
	}
	list_remove(&process->host_link);
	list_remove(&process->id_link);
	list_remove(&process->script_link);
	list_remove(&process->wake_link);
	list_remove(&process->turn_link);
	world.script->process_count = world.host.process_count = 0;
	worker_script_unref(world.script);
	uv_close((uv_handle_t *)&process->poll, on_closed);
	uv_timer_stop(&world.host.sweep);
	uv_idle_stop(&world.host.turn);
	while (uv_loop_alive(&world.loop))
		uv_run(&world.loop, UV_RUN_NOWAIT);
}

/* --- what it says --------------------------------------------------------------------------------------------------- */

static uint32_t
request_number(uint8_t which)
{
	if (which < REQUESTS)
		return world.known[which] != NULL ? world.known[which]->number : 0;
	return which == REQUESTS ? 0 : which;
}

static void
put(uint8_t kind, uint8_t flags, uint8_t which, const uint8_t *body, size_t bytes)
{
	struct ring_record *record =
		ring_reserve(&world.out, kind, request_number(which), sizeof(*record) + bytes);
	if (record == NULL)
		return;
	record->flags = flags;
	memcpy(kind == 0 ? (void *)record : (void *)(record + 1), body, bytes);
	ring_publish(&world.out);
}

static void
say_all(const uint8_t *data, size_t size)
{
	while (size >= 4 && world.process->state < PROCESS_KILLED) {
		size_t bytes = data[3] * (size_t)8;
		if (bytes > size - 4)
			bytes = size - 4;
		put(data[0], data[1], data[2], data + 4, bytes);
		data += 4 + bytes;
		size -= 4 + bytes;
		/* The shortest turns. */
		while (worker_records_read(world.process, 0) ||
		       worker_carry_deliver(world.process, UINT64_MAX))
			continue;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!world.is_ready) {
		make_host();
		make_script();
		world.is_ready = true;
	}
	make_process();
	make_requests();
	/* Its heap holds what the input holds. */
	memcpy(world.process->shared + world.process->layout.worker_heap, data,
	       size < HEAP_BYTES ? size : HEAP_BYTES);
	say_all(data, size);
	end_process();
	return 0;
}
