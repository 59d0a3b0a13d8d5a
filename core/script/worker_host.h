/*
 * Inside the worker host: its structs and what its files ask of one another. worker.c has the host and its scripts,
 * worker_request.c requests, worker_process.c the life of a worker, worker_records.c what workers say, worker_batch.c calls
 * and their results, worker_manifest.c declarations. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/arena.h"
#include "base/list.h"
#include "script/pages.h"
#include "script/record.h"
#include "script/worker.h"

enum {
	/* A script that has not loaded by then is taken for one that never will, ms. */
	WORKER_LOAD_MS = 5000,
	/* A handler that was told to end has this long, ms; then its worker is killed. */
	WORKER_GRACE_MS = 50,
	/* Between looks for requests that take too long, ms. */
	WORKER_SWEEP_MS = 10,
	/* Payloads to the worker that lie in the record. So short that the ring holds all that can be under way: a place has at
	 * most an invocation, a result and two cancellations unread. */
	WORKER_INLINE_MAX = 512,
	/* Most bytes of one reply. */
	WORKER_REPLY_MAX = 64 << 20,
	/* Most tensors that one request may define. */
	WORKER_HANDLES_MAX = 1 << 20,
	/* Records of one worker that are read before others have their turn. */
	WORKER_RECORDS_A_TURN = 512,
	/* Wakes in a second without a record behind them that are taken for an attack. */
	WORKER_EMPTY_WAKES_MAX = 20000,
};

_Static_assert(WORKER_CONCURRENCY_MAX * 2 *
				       (WORKER_INLINE_MAX + sizeof(struct record_invoke) + 16) +
			       2 * WORKER_INLINE_MAX <=
		       RING_BYTES,
	       "all that can be under way fits the ring");

struct worker_host {
	struct worker_options options;
	/* Every worker_script and worker_process by their host_link. */
	struct list scripts;
	struct list processes;
	/* Processes with records that they were not woken for, by wake_link. */
	struct list to_wake;
	/* Finished requests, kept for the next ones, by link. */
	struct list spare_requests;
	uint32_t spare_count;
	/* Processes that have a request or are loading: while there are any, `sweep` runs. */
	uint32_t busy_count;
	uv_poll_t zygote;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t sweep;
	uv_timer_t idle;
	/* A large reply is copied here to be checked; grows, is dropped when it was huge. */
	void *scratch;
	size_t scratch_bytes;
	/* The maker's, one a uv handle, one a process and one a script. */
	uint32_t refs;
	bool zygote_gone;
	bool deleted;
};

struct worker_script {
	struct list host_link;
	struct worker_host *host;
	char *name;
	/* MessagePack that a worker starts from: source, models, files. */
	void *start;
	size_t start_bytes;
	uint32_t model_count;
	uint32_t *model_outputs;
	uint64_t timeout_ns;
	uint64_t memory_bytes;
	size_t heap_bytes;
	uint32_t concurrency;
	/* Its processes by script_link, and requests that wait for one by link. */
	struct list processes;
	struct list queue;
	uint32_t process_count;
	uint32_t queue_count;
	uint32_t running_count;
	uint64_t started;
	uint64_t crashed;
	bool retired;
	/* The owner's, one a process and one a request. */
	uint32_t refs;
	/* Set for a script that is only to be read (worker_read_manifest). */
	worker_manifest_f *manifest_done;
	void *manifest_context;
};

enum process_state {
	/* Its script is being loaded; requests may be on its ring already. */
	PROCESS_LOADING,
	PROCESS_READY,
	/* Takes no more requests and is killed when it has none. */
	PROCESS_DRAINING,
	/* Killed by us, its end not yet reported. */
	PROCESS_KILLED,
	/* It has ended; only batches that are out keep its memory. */
	PROCESS_ENDED,
};

struct worker_process {
	struct list host_link;
	struct list script_link;
	struct list wake_link;
	struct worker_host *host;
	struct worker_script *script;
	uint32_t id;
	enum process_state state;
	/* Why it was killed, for its requests; ERR_OK: it was idle. */
	struct error reason;
	int wake_worker;
	int wake_core;
	uv_poll_t poll;
	unsigned char *shared;
	struct record_layout layout;
	struct ring_writer writer;
	struct ring_reader reader;
	/* Books of the core's heap. */
	struct pages heap;
	/* Requests in it by link, the oldest first, and by slot. */
	struct list requests;
	struct worker_request *slots[WORKER_CONCURRENCY_MAX];
	uint32_t request_count;
	/* Counts requests, so that an old number does not name a new request. */
	uint32_t generation;
	/* Batches of it that are out. */
	uint32_t batches_out;
	/* It counts among host->busy_count. */
	bool busy;
	uint64_t started_at;
	uint64_t idle_since;
	/* Kill it then, unless the request that overran has ended; 0: none has. */
	uint64_t kill_at;
	uint64_t wakes_since;
	uint32_t empty_wakes;
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
	enum request_state state;
	/* As records name it: generation * 256 + slot + 1. */
	uint32_t number;
	void *owner;
	uint64_t deadline;
	uint64_t expires_at;
	/* While queued. */
	void *payload;
	size_t payload_bytes;
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

/* --- worker.c ------------------------------------------------------------------------------------------------------- */

struct worker_host *
worker_host_ref(struct worker_host *host);
void
worker_host_unref(struct worker_host *host);
/* Some process is busy: look after it. */
void
worker_host_sweep(struct worker_host *host);
struct worker_script *
worker_script_ref(struct worker_script *script);
void
worker_script_unref(struct worker_script *script);
/* A retired script has no request any more: end its workers. */
void
worker_script_settle(struct worker_script *script);

/* --- worker_start.c ------------------------------------------------------------------------------------------------- */

/* Fill script->start from options; options->models and files are looked at. */
int
worker_start_encode(struct worker_script *script, const struct worker_script_options *options,
		    bool tracebacks);

/* --- worker_request.c ----------------------------------------------------------------------------------------------- */

/* The worker is done with it: free its place, and itself unless a batch is out. Tells nobody. */
void
worker_request_end(struct worker_request *request);
/* Tell the owner that it failed, unless it was dropped; it is DROPPED then. */
void
worker_request_fail(struct worker_request *request, const struct error *error);
/* Free it, or keep it for the next one. */
void
worker_request_free(struct worker_request *request);
/* Give waiting requests to workers that have a place. */
void
worker_queue_run(struct worker_script *script);
/* Fail all that wait. */
void
worker_queue_fail(struct worker_script *script, const struct error *error);
void
worker_request_delete(struct worker_request *request);

/* --- worker_process.c ----------------------------------------------------------------------------------------------- */

/* Start a worker for the script. NULL with the error set. */
struct worker_process *
worker_process_start(struct worker_script *script);
/* Kill it; reason is what its requests are told, NULL: it has none. */
void
worker_process_kill(struct worker_process *process, const struct error *reason);
/* It has ended, with that status of waitpid: fail its requests. */
void
worker_process_ended(struct worker_process *process, int status);
/* Free it when it has ended and nothing needs its memory. */
void
worker_process_settle(struct worker_process *process);
/* It has requests or is loading, or no longer: keep the host's count. */
void
worker_process_count_busy(struct worker_process *process);
/* Room for a record on its ring; NULL when it does not read: it was killed then. */
void *
worker_process_reserve(struct worker_process *process, uint16_t kind, uint32_t request,
		       size_t bytes);
/* Records were written: it is woken once this turn of the loop ends. */
void
worker_process_send(struct worker_process *process);
/* Wake it: it waits for room on its ring. */
void
worker_process_wake(struct worker_process *process);
/* Wake it if it sleeps for want of records. */
void
worker_process_wake_sleeping(struct worker_process *process);

/* --- worker_records.c ----------------------------------------------------------------------------------------------- */

/* Read what it has said, at most WORKER_RECORDS_A_TURN records; a breach kills it. True: there is more. */
bool
worker_records_read(struct worker_process *process);

/* --- worker_batch.c ------------------------------------------------------------------------------------------------- */

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

/* --- worker_manifest.c ---------------------------------------------------------------------------------------------- */

/* The manifest of that MessagePack value, which is not trusted. NULL with the error set. */
struct worker_manifest *
worker_manifest_decode(const void *data, size_t bytes);
/* Tell who asked, once. */
void
worker_manifest_finish(struct worker_script *script, struct worker_manifest *manifest,
		       const struct error *error);

/* --- value.c -------------------------------------------------------------------------------------------------------- */

/* Exactly one MessagePack value, well formed and not too deep. -1 with INVALID_ARGUMENT. */
int
value_check(const void *data, size_t bytes);
