/*
 * Turns: a worker is listened to as soon as it says something, but not for longer than a turn.
 * Those with more to say wait in a list, of which one has a turn each time that the loop has looked
 * after everything else. So whoever says much is one short turn in the way of whoever says little,
 * however many of them there are.
 */
#include <sched.h>

#include "base/clock.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

static void
wait_in_line(struct worker_process *process)
{
	struct worker_host *host = process->host;
	if (!list_is_empty(&process->turn_link))
		return;
	list_push_back(&host->turns, &process->turn_link);
	if (!host->deleted && !uv_is_active((uv_handle_t *)&host->turn))
		uv_idle_start(&host->turn, worker_turn_next);
}

void
worker_turn_take(struct worker_process *process)
{
	struct worker_script *script = worker_script_ref(process->script);
	uint64_t until = clock_now() + WORKER_TURN_NS;
	bool more = worker_records_read(process, until);
	worker_outbox_flush(process);
	/* What was begun, released or waits for another function has made room. */
	if (script->queue_count > 0)
		worker_queue_run(script);
	worker_script_unref(script);
	if (process->state >= PROCESS_KILLED)
		return;
	more |= worker_carry_deliver(process, until);
	if (more || ring_ask_wake(&process->reader))
		wait_in_line(process);
}

void
worker_turn_want(struct worker_process *process)
{
	if (process->state < PROCESS_KILLED)
		wait_in_line(process);
}

/*
 * Before a turn for one that has more to say: whom the loop has just woken, a prompt worker or its client, may stand in line for the
 * processor that the loop is on, and would until the loop has nothing to do. Only while long workers keep off this
 * processor, since they would be next otherwise.
 */
static void
let_served_run(struct worker_host *host)
{
	if (host->prompt.apart && host->prompt.was_served)
		sched_yield();
	host->prompt.was_served = false;
}

void
worker_turn_next(uv_idle_t *turn)
{
	struct worker_host *host = turn->data;
	let_served_run(host);
	struct list *first = list_pop_front(&host->turns);
	if (first != NULL)
		worker_turn_take(list_entry(first, struct worker_process, turn_link));
	if (list_is_empty(&host->turns))
		uv_idle_stop(turn);
}
