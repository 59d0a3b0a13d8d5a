/*
 * Inside the worker host: a request of a script's, from the queue to its end. worker_request.c has
 * its life, worker_queue.c which worker gets it, worker_lane.c whose turn it is, worker_call.c its
 * calls of other functions and its stream, worker_batch.c its calls on tensors and their results.
 * Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "script/worker.h"

struct delivery;
struct record_call;
struct worker_process;

enum {
	/* A handler whose request was cancelled has this long to end, ms. */
	WORKER_CANCEL_MS = 500,
	/* Workers that a request is given to, each ended before it began, until it fails. */
	WORKER_ATTEMPTS_MAX = 3,
	/* Most tensors that one request may define. */
	WORKER_HANDLES_MAX = 1 << 20,
};

enum request_state {
	REQUEST_QUEUED,
	REQUEST_RUNNING,
	/* Cancelled or failed: the worker has not ended it yet, and nobody waits for it. */
	REQUEST_DROPPED,
	/* The worker is done with it; only a batch that is out keeps it. */
	REQUEST_ENDED,
};

struct worker_request {
	struct list link;
	struct worker_script *script;
	struct worker_process *process;
	struct worker_lane *lane;
	/*
	 * Its payload is being carried in: the worker does not know of it yet; or it has begun, and
	 * results are. NULL: neither.
	 */
	struct delivery *delivery;
	enum request_state state;
	/* As records name it (record_place). */
	uint32_t number;
	void *owner;
	/* ns of clock_now: the client's (0: none), and when the handler has had its time. */
	uint64_t deadline;
	uint64_t expires_at;
	/* The owner's, for as long as the request is one. */
	const void *payload;
	size_t payload_bytes;
	/* Workers that it was given to. */
	uint32_t attempts;
	/* The worker has said something about it, so it has begun. */
	bool begun;
	/* Its calls of other functions so far, and those of them that are not answered. */
	uint32_t asked;
	uint32_t unanswered;
	/* Its client takes parts; bytes of those that are under way to it, and credit not yet sent. */
	bool streams;
	size_t streamed;
	size_t credit;
	/* CPU time charged to it, ns; bytes that it logged. */
	uint64_t cpu_ns;
	uint64_t logged;
	/* Calls since the last batch. */
	struct call *calls;
	uint32_t call_count;
	uint32_t call_room;
	/* The batch that is out, and its calls. */
	struct call_batch batch;
	struct call *sent;
	uint32_t sent_room;
	bool batch_out;
	/* The handler does not wait for the batch that is out. */
	bool batch_early;
	/* Batches have gone early since the handler last waited. */
	bool has_early;
	/* worker_batch.c is sending what is queued. */
	bool is_sending;
	/* Batches that wait for the one that is out (struct queued_batch), and the calls in them. */
	struct list queued;
	uint32_t queued_calls;
	/* Why an early batch failed, until the handler waits; ERR_OK: none has. */
	struct error early_error;
	/* Data of small tensors of these calls. */
	struct arena arena;
	/* Handles defined so far, and for each of them a bit: it is live. */
	uint32_t handle_count;
	uint64_t *live;
	uint32_t live_room;
};

/* --- worker_request.c --------------------------------------------------------------------------------------------- */

/* The worker is done with it: free its place, and itself unless a batch is out. Tells nobody. */
void
worker_request_end(struct worker_request *request);
/* Tell the owner that it failed, unless it was dropped; it is DROPPED then. */
void
worker_request_fail(struct worker_request *request, const struct error *error);
/* Free it, or keep it for the next one. */
void
worker_request_free(struct worker_request *request);
void
worker_request_delete(struct worker_request *request);
/* Let the worker begin it, once its record is on the ring. */
void
worker_request_offer(struct worker_request *request);
/* Take a request back that its worker has not begun; it is in no list then, and QUEUED. False: it has. */
bool
worker_request_reclaim(struct worker_request *request);
/* It went over a limit: fail it with the error set, and have its worker replaced: at once, or soon when others are in it. */
void
worker_request_violate(struct worker_request *request, enum worker_violation violation);

/* --- worker_queue.c ----------------------------------------------------------------------------------------------- */

/* Into a worker, or into the queue. -1 with the error set. */
int
worker_queue_admit(struct worker_request *request) __attribute__((warn_unused_result));
/* At the queue's front, whatever its length. */
void
worker_queue_return(struct worker_request *request);
void
worker_queue_leave(struct worker_request *request);
/* Give waiting requests to workers that have a place. */
void
worker_queue_run(struct worker_script *script);
/* End all that wait, and tell nobody. */
void
worker_queue_forget(struct worker_script *script);
/* Fail all that wait. */
void
worker_queue_fail(struct worker_script *script, const struct error *error);

/* --- worker_lane.c ------------------------------------------------------------------------------------------------ */

/* That of clients. */
void
worker_lane_create(struct worker_lane *lane);
/* The request is one of origin's (NULL: a client's) until worker_lane_leave. -1 with the error set. */
int
worker_lane_enter(struct worker_request *request, const struct worker_script *origin);
void
worker_lane_leave(struct worker_request *request);
/* One more of it may be given to a worker. */
bool
worker_lane_is_open(const struct worker_lane *lane);
/* The request was given to a worker; the worker has begun it, or has lost it. */
void
worker_lane_given(struct worker_request *request);
void
worker_lane_begun(struct worker_request *request);
/* The waiting request whose turn it is; the lanes behind its own come before it next time. NULL: there is none. */
struct worker_request *
worker_lane_next(struct worker_script *script);

/* --- worker_call.c ------------------------------------------------------------------------------------------------ */

/* A RECORD_ASK, a RECORD_PART of that request: data is one MessagePack value. -1 with the error set: a breach. */
int
worker_call_ask(struct worker_request *request, uint32_t number, const void *data, size_t bytes);
int
worker_call_part(struct worker_request *request, const void *data, size_t bytes);

/* --- worker_batch.c ----------------------------------------------------------------------------------------------- */

/* The handler waits: for the batch that is out, or for one behind it. */
bool
worker_batch_is_awaited(const struct worker_request *request);
/* A RECORD_CALL, a RECORD_BATCH of that request. -1 with the error set: a breach. */
int
worker_batch_add(struct worker_request *request, const struct record_call *record);
int
worker_batch_send(struct worker_request *request, bool is_early);
/* Forget the batches that wait. */
void
worker_batch_drop_queued(struct worker_request *request);
/* Send a result that is an error. */
void
worker_batch_refuse(struct worker_request *request, const struct error *error);
