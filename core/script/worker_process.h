/*
 * Inside the worker host: a worker, which is a process. worker_process.c has its life,
 * worker_outbox.c what it is told, worker_carry.c large payloads, worker_turn.c when it is heard,
 * worker_records.c what it says, worker_load.c how busy it is and how many there are,
 * worker_sweep.c limits of time. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "base/list.h"
#include "script/pages.h"
#include "script/rank.h"
#include "script/record.h"
#include "script/value.h"

struct worker_host;
struct worker_request;
struct worker_script;

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
	/* Payloads of more bytes are carried in and out turn by turn. */
	WORKER_CARRY_MIN = 64 << 10,
	/* What one worker says is listened to for so long, ns, before others have their turn. */
	WORKER_TURN_NS = 20 * 1000,
	/* Work a request, ns, from which on it counts as long: a worker of its own is worth its switches, others come first. */
	WORKER_LONG_NS = 100 * 1000,
	/* Wakes in a second without a record behind them that are taken for an attack. */
	WORKER_EMPTY_WAKES_MAX = 20000,
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
	/* How it gives way to others; since when it would not have to. */
	enum rank rank;
	uint64_t light_since;
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

/* A payload that is to be carried into the core's heap, to a place that was allocated there. */
struct carry_part {
	size_t offset;
	size_t bytes;
	const void *from;
};

/* What a worker is told by one record, with large payloads (worker_carry.c). */
struct worker_cargo {
	/* A whole record, copied. */
	const void *record;
	size_t record_bytes;
	/* At least one, copied. */
	const struct carry_part *parts;
	uint32_t part_count;
	/* It can be called back as long as this request is in the worker; NULL: it cannot. */
	struct worker_request *request;
	/* Called once the parts are needed no more, in any case; may be NULL. */
	void (*release)(void *context);
	void *context;
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

/* --- worker_process.c --------------------------------------------------------------------------------------------- */

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

/* --- worker_outbox.c ---------------------------------------------------------------------------------------------- */

/* Send a record of that many bytes (kind, request, flags and what follows the header are looked at), now or later. */
void
worker_outbox_send(struct worker_process *process, const struct ring_record *record, size_t bytes);
/* Send what there is room for. */
void
worker_outbox_flush(struct worker_process *process);
void
worker_outbox_drop(struct worker_process *process);

/* --- worker_carry.c ----------------------------------------------------------------------------------------------- */

/* Carry that record's payload, which lies in the worker's heap, out of it. -1 with the error set. */
int
worker_carry_begin(struct worker_process *process, const struct record_text *text);
/*
 * Go on until then, ns of clock_now. 1: it is here, one well-formed value; 0: not yet; -1 with the
 * error set: it is no value.
 */
int
worker_carry_go_on(struct worker_process *process, uint64_t until);
/* It was dealt with: free what nobody has taken. */
void
worker_carry_end(struct worker_process *process);
/*
 * Carry the cargo in, then send its record; one of kind RECORD_INVOKE offers its request first. Returns the record that will be
 * sent, which may still be changed. NULL with the error set: nothing is released, then.
 */
struct ring_record *
worker_carry_in(struct worker_process *process, const struct worker_cargo *cargo);
/* What is being carried in for the request is not to be had by the worker any more. False: nothing is. */
bool
worker_carry_abandon(struct worker_request *request);
/* Carry in until then, ns of clock_now. True: there is more. */
bool
worker_carry_deliver(struct worker_process *process, uint64_t until);
/* Forget what is being carried in. */
void
worker_carry_drop(struct worker_process *process);

/* --- worker_turn.c ------------------------------------------------------------------------------------------------ */

/* It said something: listen for a turn's time, and again when others had theirs if there is more. */
void
worker_turn_take(struct worker_process *process);
/* There is something for it to be carried in. */
void
worker_turn_want(struct worker_process *process);
/* host->turn: one turn of whoever waits longest. */
void
worker_turn_next(uv_idle_t *turn);

/* --- worker_records.c --------------------------------------------------------------------------------------------- */

/* Read what it has said, until then (ns of clock_now); a breach kills it. True: there is more. */
bool
worker_records_read(struct worker_process *process, uint64_t until);

/* --- worker_load.c ------------------------------------------------------------------------------------------------ */

/* Look at a busy process: charge CPU time, have it give way to others, start another worker when it is the bottleneck. */
void
worker_load_look(struct worker_process *process, uint64_t now);
/* Have it run behind all others from now on. */
void
worker_load_demote(struct worker_process *process);
/* There are so many processes that are not prompt: have them leave a processor to those that are, while these are used. */
void
worker_load_part(struct worker_host *host, uint32_t long_count, uint64_t now);
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

/* --- worker_sweep.c ----------------------------------------------------------------------------------------------- */

/* Some process is busy: look after it. */
void
worker_sweep_start(struct worker_host *host);
