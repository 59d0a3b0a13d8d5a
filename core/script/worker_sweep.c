/*
 * The sweep: while a worker is busy, every WORKER_SWEEP_MS a look at what takes too long. A handler that overran is told to
 * end; its worker has a grace to come back to its ring, and is killed when it does not.
 */
#include <stdio.h>

#include "base/clock.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum { NS_PER_MS = 1000000 };

static void
expire(struct worker_request *request)
{
	const struct worker_script *script = request->script;
	error_set(ERR_DEADLINE_EXCEEDED,
		  "function \"%s\": the handler ran longer than its limit of %llu ms", script->name,
		  (unsigned long long)script->limits.timeout_ms);
	worker_request_violate(request, WORKER_OVER_TIME);
}

static void
kill_overdue(struct worker_process *process, const char *why)
{
	error_set(ERR_UNAVAILABLE, "function \"%s\": its worker was ended: %s",
		  process->script->name, why);
	worker_process_kill(process, error_last());
}

/* A request that is to end holds the worker up: it has not ended, and waits for nothing. */
static bool
is_overdue(const struct worker_process *process, uint64_t now)
{
	list_each(link, &process->requests) {
		const struct worker_request *request =
			list_entry(link, struct worker_request, link);
		if (request->state == REQUEST_DROPPED && request->expires_at <= now &&
		    !worker_batch_is_awaited(request))
			return true;
	}
	return false;
}

/* What the worker has not begun has not overrun: it waits on, for whichever worker is next. */
static void
expire_requests(struct worker_process *process, uint64_t now)
{
	list_each_safe(link, &process->requests) {
		struct worker_request *request = list_entry(link, struct worker_request, link);
		if (request->expires_at > now)
			continue;
		if (worker_request_reclaim(request))
			worker_queue_return(request);
		else if (request->state == REQUEST_RUNNING)
			expire(request);
		else if (process->kill_at == 0 && !worker_batch_is_awaited(request))
			process->kill_at = now + (uint64_t)WORKER_GRACE_MS * NS_PER_MS;
	}
}

static void
sweep_process(struct worker_process *process, uint64_t now)
{
	worker_outbox_flush(process);
	expire_requests(process, now);
	worker_queue_run(process->script);
	if (process->state == PROCESS_LOADING &&
	    now - process->started_at > (uint64_t)WORKER_LOAD_MS * NS_PER_MS) {
		worker_script_violated(process->script, WORKER_LOADS_FOREVER);
		kill_overdue(process, "the script did not load in time");
	}
	if (process->kill_at == 0 || now < process->kill_at)
		return;
	process->kill_at = 0;
	if (is_overdue(process, now))
		kill_overdue(process, "a handler in it was to end and did not stop");
}

static void
on_sweep(uv_timer_t *timer)
{
	struct worker_host *host = timer->data;
	uint32_t long_count = 0;
	if (host->busy_count == 0 && list_is_empty(&host->held))
		uv_timer_stop(timer);
	list_each_safe(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		/* One that gave way to others and now has little to do is to be as everybody again. */
		if (!process->busy && process->load.rank == RANK_PROMPT)
			continue;
		long_count += process->load.rank > RANK_PROMPT;
		/* Read anew: processes may have been started on the way. */
		uint64_t now = clock_now();
		worker_load_look(process, now);
		sweep_process(process, now);
	}
	worker_load_part(host, long_count, clock_now());
	worker_share_release(host, clock_now());
}

void
worker_sweep_start(struct worker_host *host)
{
	/* Not stopped with every last request: a timer that runs on is cheaper than one that starts and stops. */
	if (!host->deleted && !uv_is_active((uv_handle_t *)&host->sweep))
		uv_timer_start(&host->sweep, on_sweep, WORKER_SWEEP_MS, WORKER_SWEEP_MS);
}
