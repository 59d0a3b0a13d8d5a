#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "script/call.h"
#include "spec/hostile/attack.h"

static void
reply_nil(void)
{
	attack_say(RECORD_REPLY, self.request, RECORD_HERE, 1, "\xc0", 1);
}

/* A call of that kind, with the counts and handles of a hostile mind. */
static struct record_call *
put_call(uint8_t kind, uint8_t inputs, uint8_t outputs, uint32_t handle)
{
	struct record_call *call = attack_put(RECORD_CALL, self.request, sizeof(*call) + 512);
	call->kind = kind;
	call->input_count = inputs;
	call->output_count = outputs;
	call->handle = handle;
	return call;
}

static void
publish_far(void)
{
	atomic_store(&self.controls->to_core.produced, 0x7fffff00);
	attack_wake();
}

static void
publish_odd(void)
{
	atomic_store(&self.controls->to_core.produced, self.out.written + 7);
	attack_wake();
}

static void
forge_header(uint32_t bytes, uint32_t sequence)
{
	struct ring_record *record = attack_put(RECORD_LOG, 0, 64);
	record->bytes = bytes;
	record->sequence = sequence;
	attack_publish();
}

static void
record_of_nothing(void)
{
	forge_header(0, self.out.sequence - 1);
}

static void
record_without_end(void)
{
	forge_header(0xfffffff0, self.out.sequence - 1);
}

static void
record_out_of_order(void)
{
	forge_header(64, 4711);
}

static void
record_of_no_kind(void)
{
	attack_put(77, self.request, 64);
	attack_publish();
}

static void
someone_elses_request(void)
{
	attack_say(RECORD_REPLY, self.request + RECORD_PLACES, RECORD_HERE, 1, "\xc0", 1);
}

static void
reply_twice(void)
{
	reply_nil();
	reply_nil();
}

static void
ready_twice(void)
{
	attack_put(RECORD_READY, 0, sizeof(struct ring_record));
	attack_publish();
}

static void
payload_outside(void)
{
	attack_say(RECORD_REPLY, self.request, UINT64_C(1) << 40, 16, "", 0);
}

static void
payload_wraps(void)
{
	attack_say(RECORD_REPLY, self.request, 4096, UINT64_MAX - 4000, "", 0);
}

static void
payload_beyond_record(void)
{
	attack_say(RECORD_REPLY, self.request, RECORD_HERE, 1 << 20, "\xc0", 1);
}

static void
reply_of_garbage(void)
{
	attack_say(RECORD_REPLY, self.request, RECORD_HERE, 5, "\xdd\xff\xff\xff\xff", 5);
}

static void
reply_too_deep(void)
{
	unsigned char nested[4000];
	memset(nested, 0x91, sizeof(nested));
	attack_say(RECORD_REPLY, self.request, RECORD_HERE, sizeof(nested), nested, sizeof(nested));
}

static void
batch_of_nothing(void)
{
	attack_put(RECORD_BATCH, self.request, sizeof(struct ring_record));
	attack_publish();
}

static void
wrong_handle(void)
{
	put_call(CALL_GET, 0, 0, 12345);
	attack_publish();
}

static void
wrong_counts(void)
{
	put_call(CALL_OPERATION, 255, 255, 0);
	attack_publish();
}

static void
wrong_model(void)
{
	struct record_call *call = put_call(CALL_MODEL, 0, 1, 999);
	((uint32_t *)(call + 1))[0] = 1;
	attack_publish();
}

static void
tensor_outside(void)
{
	struct record_call *call = put_call(CALL_TENSOR, 0, 0, 1);
	struct call_tensor type = { .data_type = 1, .rank = 1, .dims = { 1024 } };
	struct record_payload payload = { UINT64_C(1) << 41, 4096 };
	memcpy(call + 1, &type, sizeof(type));
	memcpy((unsigned char *)(call + 1) + sizeof(type), &payload, sizeof(payload));
	attack_publish();
}

static void
tensor_that_overflows(void)
{
	struct record_call *call = put_call(CALL_TENSOR, 0, 0, 1);
	struct call_tensor type = { .data_type = 1, .rank = 3 };
	for (int i = 0; i < 3; i++)
		type.dims[i] = INT64_C(1) << 42;
	memcpy(call + 1, &type, sizeof(type));
	attack_publish();
}

static void
free_the_script(void)
{
	struct record_release *release = attack_put(RECORD_RELEASE, 0, sizeof(*release));
	release->offset = 0;
	attack_publish();
}

static void
free_what_is_not(void)
{
	struct record_release *release = attack_put(RECORD_RELEASE, 0, sizeof(*release));
	release->offset = 4096 * 100;
	attack_publish();
}

static void
call_out_of_order(void)
{
	struct record_text *ask = attack_put(RECORD_ASK, self.request, sizeof(*ask) + 16);
	ask->code = 7;
	ask->payload = (struct record_payload){ RECORD_HERE, 4 };
	memcpy(ask + 1,
	       "\x93\xa1"
	       "f\xc0\xc0",
	       5);
	ask->payload.bytes = 5;
	attack_publish();
}

/* Parts without waiting for credit. */
static void
stream_flood(void)
{
	static unsigned char part[4000] = { 0xc5, 3997 >> 8, 3997 & 0xff };
	for (;;) {
		struct record_text *text =
			ring_reserve(&self.out, RECORD_PART, self.request, sizeof(*text) + 4000);
		if (text == NULL) {
			attack_publish();
			sched_yield();
			continue;
		}
		text->payload = (struct record_payload){ RECORD_HERE, sizeof(part) };
		memcpy(text + 1, part, sizeof(part));
		attack_publish();
	}
}

static void
wake_flood(void)
{
	for (;;)
		attack_wake();
}

static void
log_flood(void)
{
	for (;;) {
		struct record_text *text =
			ring_reserve(&self.out, RECORD_LOG, self.request, sizeof(*text) + 64);
		if (text == NULL) {
			attack_publish();
			sched_yield();
			continue;
		}
		text->payload = (struct record_payload){ RECORD_HERE, 64 };
		memset(text + 1, 'x', 64);
	}
}

/* Every shared word is scribbled over, for ever. */
static void
scribble(void)
{
	uint32_t word = 1;
	for (;;) {
		uint32_t *words = (uint32_t *)self.shared;
		word = word * 1664525 + 1013904223;
		words[word % (self.layout.worker_heap / sizeof(uint32_t))] = word;
		if (word % 4096 == 0)
			attack_wake();
	}
}

/* Nothing is ever read, and all places are said to be free. */
static void
deaf(void)
{
	for (;;) {
		for (uint32_t i = 0; i < RECORD_PLACES; i++)
			atomic_store(&self.controls->claims[i], 0);
		sched_yield();
	}
}

const struct attack attacks_on_ring[] = {
	ATTACK(publish_far),
	ATTACK(publish_odd),
	ATTACK(record_of_nothing),
	ATTACK(record_without_end),
	ATTACK(record_out_of_order),
	ATTACK(record_of_no_kind),
	ATTACK(someone_elses_request),
	ATTACK(reply_twice),
	ATTACK(ready_twice),
	ATTACK(payload_outside),
	ATTACK(payload_wraps),
	ATTACK(payload_beyond_record),
	ATTACK(reply_of_garbage),
	ATTACK(reply_too_deep),
	ATTACK(batch_of_nothing),
	ATTACK(wrong_handle),
	ATTACK(wrong_counts),
	ATTACK(wrong_model),
	ATTACK(tensor_outside),
	ATTACK(tensor_that_overflows),
	ATTACK(free_the_script),
	ATTACK(free_what_is_not),
	ATTACK(call_out_of_order),
	ATTACK(stream_flood),
	ATTACK(wake_flood),
	ATTACK(log_flood),
	ATTACK(scribble),
	ATTACK(deaf),
	{ 0 },
};
