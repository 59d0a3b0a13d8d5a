/*
 * Inside the worker host: its structs and what its files ask of one another. worker.c has the host and its scripts,
 * worker_request.c requests, worker_queue.c which worker gets them, worker_process.c the life of a worker, worker_outbox.c what
 * it is told, worker_lane.c whose turn it is, worker_carry.c large payloads, worker_turn.c when it is heard, worker_records.c what it says, worker_batch.c calls and their results,
 * worker_sweep.c limits of time, worker_load.c how many workers there are, worker_share.c what a script takes of the machine,
 * worker_manifest.c declarations. Loop thread only.
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
	/* A handler whose request was cancelled has this long to end, ms. */
	WORKER_CANCEL_MS = 500,
	/* Between looks for requests that take too long, ms. */
	WORKER_SWEEP_MS = 10,
	/* Payloads to the worker that lie in the record. So short that the ring holds all that can be under way: a place has at
	 * most an invocation, a result and two cancellations unread. */
	WORKER_INLINE_MAX = 512,
	/* Buckets of the table of processes. */
	WORKER_BUCKETS = 256,
	/* Workers that a request is given to, each ended before it began, until it fails. */
	WORKER_ATTEMPTS_MAX = 3,
	/* Payloads of more bytes are carried in and out turn by turn. */
	WORKER_CARRY_MIN = 64 << 10,
	/* Containers around the innermost value that a worker may send. */
	VALUE_DEPTH_MAX = 128,
	/* Most tensors that one request may define. */
	WORKER_HANDLES_MAX = 1 << 20,
	/* What one worker says is listened to for so long, ns, before others have their turn. */
	WORKER_TURN_NS = 20 * 1000,
	/* Work a request, ns, from which on it counts as long: a worker of its own is worth its switches, others come first. */
	WORKER_LONG_NS = 100 * 1000,
	/* Wakes in a second without a record behind them that are taken for an attack. */
	WORKER_EMPTY_WAKES_MAX = 20000,
};

enum zygote_state {
	ZYGOTE_RUNS,
	/* Its workers, which died with it, are being taken leave of. */
	ZYGOTE_DIES,
	/* Another will be asked for: requests wait. */
	ZYGOTE_GONE,
};

struct worker_host {
	struct worker_options options;
	/* Every worker_script and worker_process by their host_link, and processes by id. */
	struct list scripts;
	struct list processes;
	struct list by_id[WORKER_BUCKETS];
	uint32_t process_count;
	/* Processes with records that they were not woken for, by wake_link. */
	struct list to_wake;
	/* Processes that have more to say than fitted into their last turn, by turn_link; while there are any, `turn` runs. */
	struct list turns;
	/* Scripts whose requests wait until the script may have another worker, by held_link. */
	struct list held;
	/* Finished requests, kept for the next ones, by link. */
	struct list spare_requests;
	uint32_t spare_count;
	/* Processes that have a request or are loading: while there are any, `sweep` runs. */
	uint32_t busy_count;
	uv_poll_t zygote_poll;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t turn;
	uv_timer_t sweep;
	uv_timer_t idle;
	/* A large reply is copied here to be checked; grows, is dropped when it was huge. */
	void *scratch;
	size_t scratch_bytes;
	/* The maker's, one a uv handle, one a process and one a script. */
	uint32_t refs;
	/* Whether workers can be had, and when a zygote was last asked for in place of one that died. */
	enum zygote_state zygote;
	uint64_t zygote_lost_at;
	/* Workers whose priority was lowered can have it back: the zygote is root's. */
	bool can_restore;
	bool deleted;
	struct worker_totals totals;
};

/* What a script takes of the machine (worker_share.c). */
struct worker_share {
	/* Processor time of its requests that take long, ns, halved every SHARE_HALF_LIFE_MS; as of when. */
	double recent_ns;
	uint64_t as_of;
	/* It takes so much that its workers run behind all others; since when it would not have to. */
	bool is_heavy;
	uint64_t light_since;
	/* The moment up to which workers that it lost are paid for, ns of clock_now. */
	uint64_t paid_until;
};

/* Requests of a script that come from one side (worker_lane.c). */
struct worker_lane {
	struct list link;
	/* The script that calls; NULL: clients. Never looked into: it may be gone. */
	const struct worker_script *origin;
	/* Those that wait for a worker, by link. */
	struct list queue;
	/* All of them, and those of them that were given to a worker which has not begun them as far as we know. */
	uint32_t members;
	uint32_t unbegun;
};

struct worker_script {
	struct list host_link;
	struct list held_link;
	struct worker_host *host;
	char *name;
	/* MessagePack that a worker starts from: source, models, files. */
	void *start;
	size_t start_bytes;
	uint32_t model_count;
	uint32_t *model_outputs;
	/* None is 0, but for workers_min. */
	struct limits limits;
	size_t heap_bytes;
	/* Its processes by script_link. */
	struct list processes;
	/* Its lanes by link, the one whose turn is next first; that of its clients is always there. */
	struct list lanes;
	struct worker_lane clients;
	uint32_t process_count;
	uint32_t queue_count;
	uint32_t running_count;
	uint64_t started;
	uint64_t crashed;
	uint64_t refused;
	struct worker_share share;
	bool retired;
	/* worker_script_options.owner; NULL once it was retired. */
	void *owner;
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

/* What the sweep saw of a process (worker_load.c). */
struct worker_load {
	/* CPU time, ns, when it was looked at, and what was read from its ring and finished by then. */
	uint64_t cpu_ns;
	uint64_t seen_at;
	uint32_t consumed;
	uint64_t finished_seen;
	/* Requests that it has ended. */
	uint64_t finished;
	/* Looks one after the other that found it busy throughout. */
	uint32_t busy_looks;
	/* And that found it with records to read, and reading none. */
	uint32_t still_looks;
	/* It has records that it does not get round to: no more requests for it. */
	bool stuck;
	/* It runs only where nobody else wants the processor; since when it would not have to. */
	bool demoted;
	uint64_t light_since;
};

/* A look through a MessagePack value, some of it at a time (value.c). */
struct value_check {
	const unsigned char *at;
	size_t bytes;
	size_t left;
	/* Values that each open container still lacks; the outermost lacks the one value that is looked for. */
	uint64_t lacks[VALUE_DEPTH_MAX + 1];
	uint32_t depth;
};

/* A payload of a worker's on its way out of its heap (worker_carry.c). */
struct worker_carry {
	/* Its record. */
	struct record_text text;
	/* From malloc; NULL once somebody has taken it. */
	unsigned char *data;
	size_t bytes;
	size_t copied;
	struct value_check check;
};

struct worker_process {
	struct list host_link;
	struct list script_link;
	struct list wake_link;
	struct list turn_link;
	/* In host->by_id. */
	struct list id_link;
	struct worker_host *host;
	struct worker_script *script;
	uint32_t id;
	/* As this process knows it; 0: not yet, or never. */
	int32_t pid;
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
	/* The payload that is being carried out; NULL: none is. No record behind it is read before. */
	struct worker_carry *carry;
	/* Values that are being carried in, the oldest first. */
	struct list deliveries;
	/* Requests in it by link, the oldest first, and by slot. */
	struct list requests;
	struct worker_request **slots;
	uint32_t slot_room;
	uint32_t request_count;
	/* Of these, those that wait for another function. */
	uint32_t waiting_count;
	/* Records that found no room on the ring, the oldest first. */
	struct list outbox;
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
	/* It had loaded its script. */
	bool was_ready;
	struct worker_load load;
	/* Bytes logged while no request ran. */
	uint64_t logged;
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
	/* Its payload is being carried in: the worker does not know of it yet. NULL: it is not. */
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

/* --- worker.c ------------------------------------------------------------------------------------------------------- */

struct worker_host *
worker_host_ref(struct worker_host *host);
void
worker_host_unref(struct worker_host *host);
/* The process of that id; NULL: it is none of this host. */
struct worker_process *
worker_host_find(struct worker_host *host, uint32_t id);
/* Count it, and tell the path. */
void
worker_script_violated(struct worker_script *script, enum worker_violation violation);
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

/* --- worker_queue.c ------------------------------------------------------------------------------------------------- */

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

/* --- worker_outbox.c ------------------------------------------------------------------------------------------------ */

/* Send a record of that many bytes (kind, request, flags and what follows the header are looked at), now or later. */
void
worker_outbox_send(struct worker_process *process, const struct ring_record *record, size_t bytes);
/* Send what there is room for. */
void
worker_outbox_flush(struct worker_process *process);
void
worker_outbox_drop(struct worker_process *process);

/* --- worker_call.c -------------------------------------------------------------------------------------------------- */

/* A RECORD_ASK, a RECORD_PART of that request: data is one MessagePack value. -1 with the error set: a breach. */
int
worker_call_ask(struct worker_request *request, uint32_t number, const void *data, size_t bytes);
int
worker_call_part(struct worker_request *request, const void *data, size_t bytes);

/* --- worker_lane.c -------------------------------------------------------------------------------------------------- */

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

/* --- worker_carry.c ------------------------------------------------------------------------------------------------- */

/* Carry that record's payload, which lies in the worker's heap, out of it. -1 with the error set. */
int
worker_carry_begin(struct worker_process *process, const struct record_text *text);
/* Go on until then, ns of clock_now. 1: it is here, one well-formed value; 0: not yet; -1 with the error set: it is no value. */
int
worker_carry_go_on(struct worker_process *process, uint64_t until);
/* It was dealt with: free what nobody has taken. */
void
worker_carry_end(struct worker_process *process);
/* Carry data (from malloc, the carrier's unless -1 comes back) to where answer->payload says, then send the answer. */
int
worker_carry_answer(struct worker_process *process, const struct record_answer *answer, void *data);
/*
 * Carry the request's payload to that place in the core's heap, then offer the request to the worker by the record that comes
 * back, to be filled in now. NULL with the error set.
 */
struct record_invoke *
worker_carry_invoke(struct worker_request *request, struct worker_process *process,
		    const struct record_payload *payload);
/* No longer: the worker is not to have the request. False: it is not being carried in. */
bool
worker_carry_abandon(struct worker_request *request);
/* Carry in until then, ns of clock_now. True: there is more. */
bool
worker_carry_deliver(struct worker_process *process, uint64_t until);
/* Forget what is being carried in. */
void
worker_carry_drop(struct worker_process *process);

/* --- worker_turn.c -------------------------------------------------------------------------------------------------- */

/* It said something: listen for a turn's time, and again when others had theirs if there is more. */
void
worker_turn_take(struct worker_process *process);
/* There is something for it to be carried in. */
void
worker_turn_want(struct worker_process *process);
/* host->turn: one turn of whoever waits longest. */
void
worker_turn_next(uv_idle_t *turn);

/* --- worker_share.c ------------------------------------------------------------------------------------------------- */

/* Its requests took that much of the processor, each of them long. */
void
worker_share_charge(struct worker_script *script, uint64_t cpu_ns, uint64_t now);
/* It takes so much that its workers run where nobody else wants the processor. */
bool
worker_share_is_heavy(struct worker_script *script, uint64_t now);
/* A worker of it was ended for what it did. */
void
worker_share_lost(struct worker_script *script, uint64_t now);
/* It may have a worker in place of one that it lost; when not, it is held, and worker_share_release looks again. */
bool
worker_share_may_start(struct worker_script *script, uint64_t now);
/* Let the held scripts go on that may have a worker by now. */
void
worker_share_release(struct worker_host *host, uint64_t now);

/* --- worker_sweep.c ------------------------------------------------------------------------------------------------- */

/* Some process is busy: look after it. */
void
worker_sweep_start(struct worker_host *host);

/* --- worker_load.c -------------------------------------------------------------------------------------------------- */

/* Look at a busy process: charge CPU time, lower its priority, start another worker when it is the bottleneck. */
void
worker_load_look(struct worker_process *process, uint64_t now);
/* Have it run behind all others from now on. */
void
worker_load_demote(struct worker_process *process);
/* It has ended, after that much CPU time, ns: charge its script what has not been. */
void
worker_load_end(struct worker_process *process, uint64_t cpu_ns);
/* End workers that have been idle for long, start those that are to be there always. */
void
worker_load_trim(struct worker_host *host, uint64_t now);
/* One more worker for the script, at the cost of an idle one of another script when there are too many. */
struct worker_process *
worker_load_start(struct worker_script *script);
/* It takes requests: it is not about to be killed for a handler that does not stop. */
bool
worker_load_takes(const struct worker_process *process);
/* Bytes of records that it has not read. */
uint32_t
worker_load_unread(const struct worker_process *process);

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

/* Read what it has said, until then (ns of clock_now); a breach kills it. True: there is more. */
bool
worker_records_read(struct worker_process *process, uint64_t until);

/* --- worker_batch.c ------------------------------------------------------------------------------------------------- */

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
/* The same bit by bit: bytes must stay in place. */
void
value_check_create(struct value_check *check, const void *data, size_t bytes);
/* Look at so many values more. 1: all is well, 0: there is more to look at, -1 with INVALID_ARGUMENT. */
int
value_check_some(struct value_check *check, uint32_t values);
