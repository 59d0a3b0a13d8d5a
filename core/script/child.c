#include "script/child.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "script/child_calls.h"
#include "script/pages.h"
#include "script/rank.h"
#include "script/record.h"
#include "script/zygote.h"

enum {
	/* Where a worker's two wakes are, whatever the zygote had open. */
	FD_WAKE_SELF = 10,
	FD_WAKE_CORE = 11,
	/* Payloads in the heap that the core may not have read yet. */
	LENT_MAX = 64,
	/* Records handled before the core is woken though there is more to do. */
	WAKE_EVERY = 8,
	REHEARSAL_HEAP_BYTES = 1 << 20,
};

_Static_assert(CHILD_INLINE == (int)RECORD_TENSOR_MAX && CHILD_WINDOW == (int)RECORD_WINDOW,
	       "the runtime knows what goes into records");

/* A payload in the heap, to be freed when the core has read the ring up to `position`. */
struct lent {
	uint32_t position;
	size_t offset;
};

static struct {
	unsigned char *shared;
	struct record_layout layout;
	struct record_controls *controls;
	struct ring_reader in;
	struct ring_writer out;
	struct pages heap;
	struct lent lent[LENT_MAX];
	uint32_t lent_first;
	uint32_t lent_count;
	/* Published but the core not looked at. */
	uint32_t unwoken;
	/* The record that is being handled. */
	_Alignas(16) unsigned char record[RING_RECORD_MAX];
	/* Page-aligned, so that all of it but the end of long records is one page. */
} self __attribute__((aligned(4096)));

/* --- sleeping and waking -------------------------------------------------------------------------------------------- */

/*
 * Without spinning first: the scheduler puts client, node and worker that call each other in turn on one core, where a wake
 * takes 3 µs; a worker that spins for 10 or 20 µs drives them apart (25–34 µs a call became 29–62 on two cores).
 */
static void
sleep_until_woken(void)
{
	uint64_t count;
	if (read(FD_WAKE_SELF, &count, sizeof(count)) < 0)
		_exit(CHILD_EXIT_RING);
}

static void
publish_and_wake(void)
{
	static const uint64_t one = 1;
	ring_publish(&self.out);
	self.unwoken = 0;
	if (ring_must_wake(&self.out) && write(FD_WAKE_CORE, &one, sizeof(one)) < 0)
		_exit(CHILD_EXIT_RING);
}

/* Room for a record, waiting for the core to read if need be. */
static void *
reserve(uint16_t kind, uint32_t request, size_t bytes)
{
	void *record;
	while ((record = ring_reserve(&self.out, kind, request, bytes)) == NULL) {
		publish_and_wake();
		if (!ring_ask_room(&self.out, bytes))
			sleep_until_woken();
	}
	return record;
}

/* --- the worker's heap ---------------------------------------------------------------------------------------------- */

static unsigned char *
own_heap(void)
{
	return self.shared + self.layout.worker_heap;
}

/* Free what the core has read. */
static void
reclaim(void)
{
	uint32_t consumed = atomic_load_explicit(&self.out.control->consumed, memory_order_acquire);
	while (self.lent_count > 0) {
		struct lent *lent = &self.lent[self.lent_first];
		if ((int32_t)(consumed - lent->position) < 0)
			return;
		pages_free(&self.heap, lent->offset);
		self.lent_first = (self.lent_first + 1) % LENT_MAX;
		self.lent_count--;
	}
}

void *
child_alloc(size_t bytes)
{
	size_t offset;
	reclaim();
	if (pages_alloc(&self.heap, bytes, &offset) != 0)
		return NULL;
	return own_heap() + offset;
}

void
child_free(void *data)
{
	pages_free(&self.heap, (size_t)((unsigned char *)data - own_heap()));
}

void
child_release(const void *data)
{
	struct record_release *record = reserve(RECORD_RELEASE, 0, sizeof(*record));
	record->offset =
		(uint64_t)((const unsigned char *)data - (self.shared + self.layout.core_heap));
}

/* --- what goes to the core ------------------------------------------------------------------------------------------ */

/* Put data into the heap for the core to read; 0: no room. */
static size_t
lend(const void *data, size_t bytes)
{
	if (self.lent_count == LENT_MAX)
		reclaim();
	void *copy = self.lent_count < LENT_MAX ? child_alloc(bytes) : NULL;
	if (copy == NULL)
		return SIZE_MAX;
	memcpy(copy, data, bytes);
	return (size_t)((unsigned char *)copy - own_heap());
}

static bool
send_text(uint16_t kind, uint32_t request, uint32_t code, const void *data, size_t bytes,
	  uint16_t flags)
{
	bool here = bytes <= RECORD_INLINE_MAX;
	size_t offset = here ? RECORD_HERE : lend(data, bytes);
	if (offset == SIZE_MAX)
		return false;
	struct record_text *record = reserve(kind, request, sizeof(*record) + (here ? bytes : 0));
	record->record.flags = flags;
	record->code = code;
	record->reserved = 0;
	record->payload = (struct record_payload){ offset, bytes };
	if (here && bytes > 0)
		memcpy(record + 1, data, bytes);
	if (!here)
		self.lent[(self.lent_first + self.lent_count++) % LENT_MAX] =
			(struct lent){ self.out.written, offset };
	return true;
}

bool
child_call(uint32_t request, const struct call *call)
{
	bool here = call->kind == CALL_TENSOR && call->bytes <= RECORD_TENSOR_MAX;
	size_t inline_bytes = here ? call->bytes : 0;
	size_t offset = RECORD_HERE;
	if (call->kind == CALL_TENSOR && !here)
		offset = (size_t)((const unsigned char *)call->data - own_heap());
	size_t bytes = record_call_bytes(call, inline_bytes);
	if (bytes > RING_RECORD_MAX)
		return false;
	record_write_call(reserve(RECORD_CALL, request, bytes), call, inline_bytes, offset);
	return true;
}

void
child_batch(uint32_t request)
{
	reserve(RECORD_BATCH, request, sizeof(struct ring_record));
}

void
child_flush(uint32_t request)
{
	struct ring_record *record = reserve(RECORD_BATCH, request, sizeof(*record));
	record->flags = RECORD_EARLY;
	publish_and_wake();
}

void
child_ready(void)
{
	reserve(RECORD_READY, 0, sizeof(struct ring_record));
}

bool
child_reply(uint32_t request, const void *data, size_t bytes)
{
	return send_text(RECORD_REPLY, request, 0, data, bytes, 0);
}

bool
child_manifest(const void *data, size_t bytes)
{
	return send_text(RECORD_MANIFEST, 0, 0, data, bytes, 0);
}

void
child_failed(uint32_t request, uint32_t code, const char *text, size_t bytes, bool spent)
{
	if (bytes > RECORD_INLINE_MAX)
		bytes = RECORD_INLINE_MAX;
	send_text(RECORD_FAILED, request, code, text, bytes, spent ? RECORD_SPENT : 0);
}

bool
child_ask(uint32_t request, uint32_t call, const void *data, size_t bytes)
{
	bool sent = send_text(RECORD_ASK, request, call, data, bytes, 0);
	publish_and_wake();
	return sent;
}

bool
child_part(uint32_t request, const void *data, size_t bytes)
{
	bool sent = send_text(RECORD_PART, request, 0, data, bytes, 0);
	publish_and_wake();
	return sent;
}

void
child_log(const char *text, size_t bytes)
{
	uint32_t request = atomic_load_explicit(&self.controls->running, memory_order_relaxed);
	send_text(RECORD_LOG, request, 0, text, bytes < RECORD_LOG_MAX ? bytes : RECORD_LOG_MAX, 0);
	/* A handler that goes on for long is heard meanwhile. */
	publish_and_wake();
}

void
child_running(uint32_t request)
{
	atomic_store_explicit(&self.controls->running, request, memory_order_relaxed);
}

/* --- what comes from the core --------------------------------------------------------------------------------------- */

static unsigned char *
core_heap(size_t offset)
{
	return self.shared + self.layout.core_heap + offset;
}

/* Where a payload is whose record's fixed part ends at `behind`. */
static const unsigned char *
payload_data(const struct record_payload *payload, const void *behind)
{
	return payload->offset == RECORD_HERE ? behind : core_heap(payload->offset);
}

/* The payload was used up. */
static void
drop_payload(const struct record_payload *payload)
{
	if (payload->offset != RECORD_HERE)
		child_release(core_heap(payload->offset));
}

static void
on_invoke(const struct record_invoke *invoke)
{
	const void *data = payload_data(&invoke->payload, invoke + 1);
	/* The core may have taken it back. */
	if (!record_claim(self.controls, invoke->record.request)) {
		drop_payload(&invoke->payload);
		return;
	}
	child_lua_invoke(invoke->record.request, invoke->deadline, invoke->record.flags, data,
			 invoke->payload.bytes);
	drop_payload(&invoke->payload);
}

/* The tensors of a result, as the runtime wants them. Returns what follows the last one. */
static void
collect(const unsigned char *at, struct child_tensor *tensors, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct record_tensor source;
		memcpy(&source, at, sizeof(source));
		at += sizeof(source);
		tensors[i] = (struct child_tensor){
			.handle = source.handle,
			.borrowed = source.data.offset != RECORD_HERE,
			.data_type = source.type.data_type,
			.rank = source.type.rank,
			.bytes = source.data.bytes,
		};
		memcpy(tensors[i].dims, source.type.dims, sizeof(tensors[i].dims));
		tensors[i].data = (void *)payload_data(&source.data, at);
		if (!tensors[i].borrowed)
			at += (source.data.bytes + RING_UNIT - 1) & ~(size_t)(RING_UNIT - 1);
	}
}

static void
on_result(const struct record_result *result)
{
	const unsigned char *data = payload_data(&result->payload, result + 1);
	uint32_t request = result->record.request;
	if (result->code != 0) {
		child_lua_error(request, result->code, (const char *)data, result->payload.bytes);
	} else {
		struct child_tensor few[8] = { 0 };
		struct child_tensor *tensors =
			result->count <= 8 ? few : malloc(result->count * sizeof(*tensors));
		if (tensors == NULL)
			_exit(CHILD_EXIT_LUA);
		collect(data, tensors, result->count);
		child_lua_result(request, tensors, result->count,
				 (result->record.flags & RECORD_COLLECT) != 0);
		if (tensors != few)
			free(tensors);
	}
	drop_payload(&result->payload);
}

static void
on_answer(const struct record_answer *answer)
{
	const void *data = payload_data(&answer->payload, answer + 1);
	child_lua_answer(answer->record.request, answer->call, answer->code, data,
			 answer->payload.bytes);
	drop_payload(&answer->payload);
}

static void
handle(const void *record)
{
	const struct ring_record *header = record;
	switch (header->kind) {
	case RECORD_INVOKE:
		on_invoke(record);
		break;
	case RECORD_RESULT:
		on_result(record);
		break;
	case RECORD_CANCEL:
		child_lua_cancel(header->request);
		break;
	case RECORD_ANSWER:
		on_answer(record);
		break;
	case RECORD_CREDIT:
		child_lua_credit(header->request, ((const struct record_credit *)record)->bytes);
		break;
	default:
		_exit(CHILD_EXIT_RING);
	}
}

static _Noreturn void
serve(void)
{
	for (;;) {
		int got = ring_read(&self.in, self.record);
		if (got < 0)
			_exit(CHILD_EXIT_RING);
		if (got > 0) {
			ring_release(&self.in);
			handle(self.record);
			ring_publish(&self.out);
			if (++self.unwoken >= WAKE_EVERY)
				publish_and_wake();
			continue;
		}
		publish_and_wake();
		if (!ring_ask_wake(&self.in))
			sleep_until_woken();
		ring_stay_awake(&self.in);
	}
}

/* --- starting ------------------------------------------------------------------------------------------------------- */

/* memory: -1 for some that is nobody else's. */
static int
map_shared(size_t heap_bytes, int memory)
{
	self.layout = record_layout(heap_bytes);
	int flags = memory < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *shared = mmap(NULL, self.layout.total, PROT_READ | PROT_WRITE, flags, memory, 0);
	if (shared == MAP_FAILED)
		return error_set_errno("a worker's memory");
	self.shared = shared;
	self.controls = shared;
	ring_reader_create(&self.in, &self.controls->to_worker,
			   self.shared + self.layout.to_worker);
	ring_writer_create(&self.out, &self.controls->to_core, self.shared + self.layout.to_core);
	pages_create(&self.heap, heap_bytes);
	return 0;
}

/* Live through a worker's first request on a ring that nobody reads. */
static int
rehearse(void)
{
	if (map_shared(REHEARSAL_HEAP_BYTES, -1) != 0)
		return -1;
	child_lua_rehearse();
	munmap(self.shared, self.layout.total);
	pages_destroy(&self.heap);
	memset(&self, 0, sizeof(self));
	return 0;
}

int
child_prepare(void)
{
	if (child_lua_prepare() != 0 || child_sandbox_prepare() != 0)
		return -1;
	return rehearse();
}

/* Nothing of the zygote's stays open, and our wakes are where we look for them. */
static int
keep_files(const int *fds)
{
	if (dup2(fds[1], FD_WAKE_SELF) < 0 || dup2(fds[2], FD_WAKE_CORE) < 0)
		return -1;
	/* Sanitizers report on standard error. */
	for (int fd = CHILD_IS_CONFINED ? 0 : STDERR_FILENO + 1; fd < FD_WAKE_SELF; fd++)
		close(fd);
	return close_range(FD_WAKE_CORE + 1, ~0u, 0);
}

void
child_main(const struct zygote_spawn *spawn, const int *fds)
{
	prctl(PR_SET_NAME, "tidepool-worker");
	rank_give(0, spawn->rank);
	if (map_shared(spawn->heap_bytes, fds[0]) != 0 || keep_files(fds) != 0)
		_exit(CHILD_EXIT_SETUP);
	if (child_lua_limit(spawn->memory_bytes) != 0 ||
	    child_confine(spawn->id, spawn->memory_bytes + self.layout.total) != 0)
		_exit(CHILD_EXIT_SETUP);
	child_lua_start(core_heap(0), spawn->start_bytes);
	publish_and_wake();
	serve();
}
