/*
 * What core and worker write on their rings, and where things lie in the memory that they share:
 *
 *     control page | ring to the worker | ring to the core | worker's heap | core's heap
 *
 * Each heap is written by its owner and read by the other. Offsets count from the start of the heap concerned. All records
 * start with a struct ring_record and are padded to RING_UNIT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "script/call.h"
#include "script/ring.h"

enum record_kind {
	/* To the worker. */
	RECORD_INVOKE = 1,
	RECORD_RESULT = 2,
	RECORD_CANCEL = 3,
	RECORD_ANSWER = 4,
	RECORD_CREDIT = 5,
	/* To the core. */
	RECORD_READY = 16,
	RECORD_MANIFEST = 17,
	RECORD_CALL = 18,
	RECORD_BATCH = 19,
	RECORD_REPLY = 20,
	RECORD_FAILED = 21,
	RECORD_LOG = 22,
	RECORD_RELEASE = 23,
	RECORD_ASK = 24,
	RECORD_PART = 25,
};

enum {
	/* Flag of RECORD_FAILED: the worker has hit its memory limit and wants to be replaced. */
	RECORD_SPENT = 1,
	/* Flag of RECORD_BATCH: the handler goes on; the batch is answered only through the next one without the flag. */
	RECORD_EARLY = 1,
	/*
	 * Flag of RECORD_RESULT: the request's tensors hold much of the device's memory; collect
	 * the handles that are garbage.
	 */
	RECORD_COLLECT = 1,
	/* Flag of RECORD_INVOKE: whoever asked takes parts of a stream. */
	RECORD_STREAMS = 1,
	/* Bytes of parts that may be on their way to the client; the part that crosses the line is the last. */
	RECORD_WINDOW = 256 << 10,
	/* Most calls of other functions that a request has under way. */
	RECORD_ASKS_MAX = 256,
	/* Longest payload that lies in the record itself. */
	RECORD_INLINE_MAX = 4096,
	/* Longest tensor that lies in a record. */
	RECORD_TENSOR_MAX = 1024,
	/* Longest line of RECORD_LOG. */
	RECORD_LOG_MAX = 4096,
	/* payload.offset of a payload that follows in the record. */
	RECORD_HERE = 1,
	/* Places of a worker's requests, and one that stands for none; a power of two. */
	RECORD_PLACES = 1024,
};

/* Bytes in the sender's heap at `offset`, a multiple of PAGES_UNIT; RECORD_HERE: right behind the record's fixed part. */
struct record_payload {
	uint64_t offset;
	uint64_t bytes;
};

/* RECORD_INVOKE: payload is one MessagePack value. */
struct record_invoke {
	struct ring_record record;
	/* ns of clock_now; 0: none. */
	uint64_t deadline;
	struct record_payload payload;
};

/* RECORD_RESULT: the batch ran. code 0: payload is `count` of struct record_tensor, each with its bytes behind it in 16-byte
 * steps or in the core's heap; else payload is the error's text. */
struct record_result {
	struct ring_record record;
	uint32_t code;
	uint32_t count;
	struct record_payload payload;
};

/* RECORD_ANSWER: call `call` of the request came back. code 0: payload is one MessagePack value, else the error's text. */
struct record_answer {
	struct ring_record record;
	uint32_t call;
	uint32_t code;
	struct record_payload payload;
};

/* RECORD_CREDIT: so many bytes of parts have been taken. */
struct record_credit {
	struct ring_record record;
	uint64_t bytes;
};

/* A tensor that came back. */
struct record_tensor {
	uint32_t handle;
	uint32_t reserved;
	struct call_tensor type;
	struct record_payload data;
};

/*
 * RECORD_REPLY, RECORD_PART and RECORD_MANIFEST (one MessagePack value), RECORD_FAILED (code and text), RECORD_LOG (text),
 * RECORD_ASK (MessagePack of [function, value, ms that it may take or nil], and as code the call's number, from 1).
 */
struct record_text {
	struct ring_record record;
	uint32_t code;
	uint32_t reserved;
	struct record_payload payload;
};

/* RECORD_RELEASE: the worker has no more use for what lies at that offset of the core's heap. */
struct record_release {
	struct ring_record record;
	uint64_t offset;
};

/*
 * RECORD_CALL. Behind it: inputs and outputs (uint32_t each, padded to 8 bytes); then for CALL_TENSOR a struct call_tensor and
 * a struct record_payload; for CALL_OPERATION the name (CALL_NAME_BYTES) and the attributes, each a name, kind, count, and
 * 8-byte integers, floats padded to 8 bytes, or a string of CALL_NAME_BYTES.
 */
struct record_call {
	struct ring_record record;
	uint8_t kind;
	uint8_t input_count;
	uint8_t output_count;
	uint8_t attribute_count;
	/* Handle, or index of the model. */
	uint32_t handle;
};

/* Sizes of the shared memory's parts. */
struct record_layout {
	size_t heap_bytes;
	size_t to_worker;
	size_t to_core;
	size_t worker_heap;
	size_t core_heap;
	size_t total;
};

/* Where things lie when each heap has heap_bytes, a multiple of the page size. */
struct record_layout
record_layout(size_t heap_bytes);

/* The controls of both rings, at the start of the shared memory. */
struct record_controls {
	struct ring_control to_worker;
	struct ring_control to_core;
	/* The request that the worker runs now, as it says; to put blame, nothing else. */
	_Atomic uint32_t running;
	/*
	 * By place, the request that was given to it and not begun: whoever changes that to 0 has it, the worker to run it or
	 * the core to take it back.
	 */
	_Alignas(64) _Atomic uint32_t claims[RECORD_PLACES];
};

/* A request's number: its place, from 1, and above that a count that tells it from those before it there. */
uint32_t
record_place(uint32_t number);

/* It is ours to run, or to take back. False: the other side was first. */
bool
record_claim(struct record_controls *controls, uint32_t number);

/*
 * Bytes that the record of a call needs; `inline_bytes`: of a tensor's data that lies in it. record_write_call fills a record
 * of that size. offset: of the data in the worker's heap, or RECORD_HERE.
 */
size_t
record_call_bytes(const struct call *call, size_t inline_bytes);
void
record_write_call(struct record_call *record, const struct call *call, size_t inline_bytes,
		  size_t offset);

/*
 * Read a call from a private copy of its record, checking all that the record alone tells: enums, counts, lengths, names
 * that end. *payload is the tensor's, not checked against the heap; RECORD_HERE data is at call->data then. -1 with
 * INVALID_ARGUMENT naming the field.
 */
int
record_read_call(const struct record_call *record, struct call *call,
		 struct record_payload *payload) __attribute__((warn_unused_result));
