/*
 * What the worker's Lua library calls in C, inside the worker. Also the FFI's declaration there (embedded as text after
 * call.h), so it holds plain declarations only. Whatever goes to the core is seen by it at the latest when the worker has
 * nothing else to do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* A tensor that a batch brought back, as the runtime gets it. */
struct child_tensor {
	uint32_t handle;
	/* data lies in the core's heap and wants child_release; else it is gone when the runtime returns. */
	uint32_t borrowed;
	uint32_t data_type;
	uint32_t rank;
	int64_t dims[8];
	void *data;
	uint64_t bytes;
};

/* Memory that a tensor's bytes can be sent from without a copy. NULL: the heap has no run that long. */
void *
child_alloc(size_t bytes);
void
child_free(void *data);

/* No more use for a borrowed tensor's data. */
void
child_release(const void *data);

/*
 * One more call of that request's batch. Data of a CALL_TENSOR that is larger than CHILD_INLINE bytes must be from
 * child_alloc and stay until the batch has come back. False: the call does not fit a record.
 */
enum {
	CHILD_INLINE = 1024,
	/* Bytes of parts that a request may send before credit comes. */
	CHILD_WINDOW = 262144,
};
bool
child_call(uint32_t request, const struct call *call);

/* The request waits: its calls so far are its batch. */
void
child_batch(uint32_t request);

/* Its calls so far are a batch that the core may begin with; the request goes on, and waits with child_batch later. */
void
child_flush(uint32_t request);

/* The request is done; data is one MessagePack value. False: it is too long, and nothing was sent. */
bool
child_reply(uint32_t request, const void *data, size_t bytes);

/* The script is loaded: requests may come. */
void
child_ready(void);

/* What the script declares. */
bool
child_manifest(const void *data, size_t bytes);

/* The request has failed, or, as request 0, the script could not be loaded. spent: this worker should be replaced. */
void
child_failed(uint32_t request, uint32_t code, const char *text, size_t bytes, bool spent);

/* Call another function: data is MessagePack of [name, value, ms or nil]. False: it is too long, and nothing was sent. */
bool
child_ask(uint32_t request, uint32_t call, const void *data, size_t bytes);

/* A part of the request's stream, one MessagePack value. False: it is too long, and nothing was sent. */
bool
child_part(uint32_t request, const void *data, size_t bytes);

void
child_log(const char *text, size_t bytes);

/* Which request's code runs from now on; 0: none. */
void
child_running(uint32_t request);

/* Bytes that Lua may have in use. */
size_t
child_memory_limit(void);
