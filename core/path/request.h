/*
 * A request: one client call on its way along the path. It is made when its frame arrives, walks the stages of route.c, and
 * is freed once its reply is written and nothing on a device refers to it. Main loop's thread, but for the device stage.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/list.h"
#include "net/message.h"
#include "net/server.h"
#include "path/route.h"

struct engine;
struct client;
struct generation;
struct job;
struct tensor_slot;
struct extent;
struct worker_request;
struct call_batch;
struct pending;

/* Where path_handle stands with a request. */
enum handle_state {
	/* Not begun. */
	HANDLE_NEW,
	/* In a worker. */
	HANDLE_RUNNING,
	/* The worker sent calls, which make the next job. */
	HANDLE_BATCH,
	/* The job is done; its results go back. */
	HANDLE_RESULTS,
	/* The worker replied or failed; it knows the request no longer. */
	HANDLE_DONE,
	/* A joint's request (joint.h), whose job is done. */
	HANDLE_JOINT,
};

struct request {
	struct engine *engine;
	/* Who asked; NULL once the connection is gone (the reply is dropped). */
	struct client *client;
	/* In client->requests. */
	struct list of_client;
	/* In engine->deadlines while there is one. */
	struct list of_deadlines;
	struct arena arena;

	/* The frame, held in the connection's buffer until the reply is written. */
	void *frame_token;
	struct slice frame;
	struct message message;
	/* Notifications get no reply. */
	bool wants_reply;

	/* invoke: the function's generation (counted) and the value for its handler. */
	struct generation *generation;
	struct slice value;
	/* ns of clock_now; 0 for none. */
	uint64_t deadline;
	int32_t priority;

	enum handle_state handle;
	struct worker_request *worker;
	const struct call_batch *batch;
	/* Tensors that live on a device or wait to go there, by handle; and the device that holds them, -1: none. */
	struct tensor_slot *slots;
	uint32_t slot_count;
	uint32_t slot_room;
	int32_t device;
	/* Bytes of tensors in its arena, tensors_keep_sent. */
	size_t kept_bytes;
	/* Extents of finished jobs whose tensors are still named. */
	struct extent **extents;
	uint32_t extent_count;
	uint32_t extent_room;
	/* Its worker is told to collect garbage when the extents have more bytes than this; 0: not known yet. */
	size_t heavy_bytes;
	/* How to make tensors that fused batches did not write, struct recipe. */
	struct list recipes;
	/* Tensors that no handle names; theirs count down from UINT32_MAX. */
	uint32_t nameless;
	/* The handler has freed tensors since tensors_sweep. */
	bool has_freed;
	/* Bytes of the last extent that tensors take; what is behind them is free for the next job. */
	size_t extent_used;

	/* A management method that finishes later (methods.h). */
	struct pending *pending;
	/* The job under way, NULL between jobs. */
	struct job *job;

	/* A request of the node's own: told of its result or error, just before it ends. NULL for clients' requests. */
	void (*ended)(void *context, struct request *request);
	void *ended_context;

	/* A call of another function (call.h): the request whose handler called, NULL once it is gone, and its number of the call. */
	struct request *caller;
	uint32_t call;
	/* In caller->callees; requests for functions that this one's handler called; callers above this one. */
	struct list of_caller;
	struct list callees;
	uint32_t depth;
	/* The device among whose parked holders it counts while it waits for callees; NULL: none. */
	struct engine_device *waits_on;
	/* The value, where it is not in the frame; freed with the request. And bytes of such values of its callees. */
	void *owned;
	size_t callee_bytes;
	/* Bytes of its stream that the client has not taken; in client->stalled then. */
	size_t stalled_bytes;
	struct list of_stalled;

	/* The reply: one MessagePack value in a writer of its own, or the error. */
	struct writer *result;
	struct error *error;
	/* For RESOURCE_EXHAUSTED from admission: when to try again. */
	uint64_t retry_after_ms;
	/* Its reply is written, but a job of it is not over: it is deleted when that is. */
	bool answered;

	enum route_stage stage;
	/* ns of clock_now at which each stage was entered last; 0: never. */
	uint64_t stamps[ROUTE_STAGES];
};

/* A request for the frame that client has just sent; its arena is empty. NULL with RESOURCE_EXHAUSTED. */
struct request *
request_new(struct client *client, struct slice frame);

/* A request of the node's own, that no client waits for; it counts in no function's figures. NULL with RESOURCE_EXHAUSTED. */
struct request *
request_new_inside(struct engine *engine, void (*ended)(void *context, struct request *request),
		   void *context);

/* Frees everything it holds: frame, slots, extents, job, generation. */
void
request_delete(struct request *request);

/* Keep the calling thread's error as the request's outcome, unless it has one. */
void
request_fail(struct request *request);

/* The result's writer, made at the first call. */
struct writer *
request_result(struct request *request);

/* Give the request a deadline, ns of clock_now. */
void
request_set_deadline(struct request *request, uint64_t deadline);

/* Take the request back: its outcome becomes that error. Jobs on a device run to their end before it is freed. */
void
request_cancel(struct request *request, enum error_code code, const char *why);
