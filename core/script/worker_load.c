/*
 * Load: how busy workers are, and how many there are for it. A worker that uses a processor throughout runs behind all
 * others, so that whoever answers quickly goes on doing so. Where requests wait for a worker that is busy with another, the
 * script gets one more, and those that the worker has not begun are taken back from it.
 */
#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"
#include "script/zygote.h"

enum {
	NS_PER_MS = 1000000,
	/* What is seen in less time says nothing, ms. */
	LOOK_MS_MIN = WORKER_SWEEP_MS / 2,
	/* Looks that find a worker busy throughout until it gives way to others, and until it is taken for the bottleneck. */
	LOOKS_TO_DEMOTE = 2,
	LOOKS_TO_HELP = 3,
	/* Looks that find it reading nothing though there is something, until it is taken for stuck whatever it uses. */
	LOOKS_STILL = 20,
	/* A worker that left the processor to others this long is one of them again, ms. */
	LIGHT_MS = 100,
	/* So many requests ended by prompt workers in so long, ms, are worth a processor that the others leave to them. */
	PROMPT_REQUESTS = 20,
	PROMPT_MS = 1000,
};

bool
worker_load_takes(const struct worker_process *process)
{
	return process->state <= PROCESS_READY && process->kill_at == 0;
}

static uint32_t
consumed(const struct worker_process *process)
{
	const struct record_controls *controls = (const struct record_controls *)process->shared;
	return atomic_load_explicit(&controls->to_worker.consumed, memory_order_relaxed);
}

uint32_t
worker_load_unread(const struct worker_process *process)
{
	return process->writer.written - consumed(process);
}

/* CPU time of the process so far, ns; what was seen last where it cannot be read. */
static uint64_t
cpu_time(const struct worker_process *process)
{
	clockid_t clock;
	struct timespec time;
	if (process->pid == 0 || clock_getcpuclockid(process->pid, &clock) != 0 ||
	    clock_gettime(clock, &time) != 0)
		return process->load.cpu_ns;
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* --- CPU time of requests ------------------------------------------------------------------------------------------- */

/* The request that the worker says it runs; it is its own loss when it lies. */
static struct worker_request *
running_request(const struct worker_process *process)
{
	const struct record_controls *controls = (const struct record_controls *)process->shared;
	uint32_t number = atomic_load_explicit(&controls->running, memory_order_relaxed);
	uint32_t slot = record_place(number) - 1;
	if (slot >= process->slot_room || process->slots[slot] == NULL ||
	    process->slots[slot]->number != number)
		return NULL;
	return process->slots[slot];
}

static void
charge(struct worker_process *process, uint64_t used)
{
	struct worker_request *request = running_request(process);
	const struct worker_script *script = process->script;
	if (request == NULL)
		return;
	request->cpu_ns += used;
	if (request->state != REQUEST_RUNNING ||
	    request->cpu_ns < script->limits.cpu_ms * NS_PER_MS)
		return;
	error_set(ERR_RESOURCE_EXHAUSTED,
		  "function \"%s\": the handler used more than its limit of %llu ms of CPU time",
		  script->name, (unsigned long long)script->limits.cpu_ms);
	worker_request_violate(request, WORKER_OVER_CPU);
}

/* --- priority ------------------------------------------------------------------------------------------------------- */

/* Have it give way that far, unless it does so further. */
static void
rank_up(struct worker_process *process, enum rank rank)
{
	if (process->load.rank >= rank || zygote_rank(process->id, rank) != 0)
		return;
	process->load.rank = rank;
	process->load.light_since = 0;
}

void
worker_load_demote(struct worker_process *process)
{
	rank_up(process, RANK_HEAVY);
}

/* Without root nobody can have its priority back: its place is taken by a fresh one. */
static void
rank_down(struct worker_process *process, enum rank rank)
{
	bool was_heavy = process->load.rank == RANK_HEAVY;
	process->load.rank = rank;
	process->load.light_since = 0;
	if (was_heavy && !process->host->can_restore && process->state == PROCESS_READY) {
		process->state = PROCESS_DRAINING;
		if (process->request_count == 0)
			worker_process_kill(process, NULL);
		return;
	}
	(void)zygote_rank(process->id, rank);
}

/* is_long: it works for long on each request, and does nothing else. */
static void
rank_anew(struct worker_process *process, bool is_long, uint64_t now)
{
	struct worker_load *load = &process->load;
	enum rank due = worker_share_rank(process->script, now);
	if (is_long && (load->busy_looks >= LOOKS_TO_DEMOTE || load->rank == RANK_HEAVY))
		due = RANK_HEAVY;
	rank_up(process, due);
	if (due >= load->rank)
		load->light_since = 0;
	else if (load->light_since == 0)
		load->light_since = load->seen_at;
	else if (now - load->light_since > (uint64_t)LIGHT_MS * NS_PER_MS)
		rank_down(process, due);
}

void
worker_load_part(struct worker_host *host, uint32_t long_count, uint64_t now)
{
	struct worker_prompt *prompt = &host->prompt;
	bool is_over = now - prompt->seen_at >= (uint64_t)PROMPT_MS * NS_PER_MS;
	bool is_used = prompt->finished - prompt->finished_seen >= PROMPT_REQUESTS;
	bool apart = long_count > 0 && (is_used || (prompt->apart && !is_over));
	if (apart != prompt->apart && zygote_part(apart) == 0)
		prompt->apart = apart;
	if (is_over) {
		prompt->seen_at = now;
		prompt->finished_seen = prompt->finished;
	}
}

/* --- more workers --------------------------------------------------------------------------------------------------- */

/* End the worker of another script that has been idle longest. False: there is none. */
static bool
make_room(struct worker_host *host)
{
	struct worker_process *oldest = NULL;
	list_each(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		if (process->state == PROCESS_READY && process->request_count == 0 &&
		    (oldest == NULL || process->idle_since < oldest->idle_since))
			oldest = process;
	}
	if (oldest == NULL)
		return false;
	worker_process_kill(oldest, NULL);
	return true;
}

struct worker_process *
worker_load_start(struct worker_script *script)
{
	struct worker_host *host = script->host;
	if (host->process_count >= host->options.processes && !make_room(host)) {
		error_set(ERR_RESOURCE_EXHAUSTED,
			  "function \"%s\": the node's %u workers are all busy", script->name,
			  host->process_count);
		return NULL;
	}
	return worker_process_start(script);
}

/* Take back what the worker has not begun; the queue keeps the order. */
static void
reclaim_requests(struct worker_process *process)
{
	struct list *link = process->requests.prev;
	while (link != &process->requests) {
		struct worker_request *request = list_entry(link, struct worker_request, link);
		link = link->prev;
		if (worker_request_reclaim(request))
			worker_queue_return(request);
	}
}

/*
 * Workers of the script that could take a request at once, or will when they have loaded. One that has yet to read what was
 * taken back from it is none: requests would go to and fro between two that both get little of the processors.
 */
static bool
has_spare(const struct worker_script *script)
{
	list_each(link, &script->processes) {
		const struct worker_process *process =
			list_entry(link, struct worker_process, script_link);
		bool has_time = process->load.busy_looks == 0 && worker_load_unread(process) == 0;
		if (worker_load_takes(process) && !process->load.stuck &&
		    (has_time || process->state == PROCESS_LOADING))
			return true;
	}
	return false;
}

/* Requests wait for the worker to begin them, or for a place in one. */
static bool
holds_up(const struct worker_process *process)
{
	const struct record_controls *controls = (const struct record_controls *)process->shared;
	list_each(link, &process->requests) {
		uint32_t number = list_entry(link, struct worker_request, link)->number;
		if (atomic_load_explicit(&controls->claims[record_place(number)],
					 memory_order_relaxed) == number)
			return true;
	}
	return process->script->queue_count > 0;
}

/* The worker is where requests wait: get one more, and share. */
static void
help(struct worker_process *process)
{
	struct worker_script *script = process->script;
	if (!holds_up(process))
		return;
	if (!has_spare(script) && script->process_count < script->limits.workers_max &&
	    !script->retired && worker_share_may_start(script, clock_now()) &&
	    worker_load_start(script) == NULL)
		log_warn("%s", error_last()->message);
	if (has_spare(script)) {
		reclaim_requests(process);
		worker_queue_run(script);
	}
}

/* Requests that ended since the last look took much of the processor each. */
static bool
works_long(const struct worker_process *process, uint64_t used)
{
	uint64_t ended = process->load.finished - process->load.finished_seen;
	return used >= (ended + 1) * WORKER_LONG_NS;
}

/* Processor time that it would have used: one that runs behind all others may have got little of it. */
static uint64_t
wanted(const struct worker_process *process, uint64_t used, uint64_t elapsed)
{
	return process->load.rank == RANK_HEAVY && running_request(process) != NULL ? elapsed
										    : used;
}

void
worker_load_look(struct worker_process *process, uint64_t now)
{
	struct worker_load *load = &process->load;
	uint64_t cpu = cpu_time(process), elapsed = now - load->seen_at;
	uint64_t used = cpu - load->cpu_ns;
	if (elapsed < (uint64_t)LOOK_MS_MIN * NS_PER_MS)
		return;
	uint32_t read = consumed(process);
	bool has_unread = worker_load_unread(process) != 0;
	bool is_busy =
		process->pid != 0 ? used * 5 >= elapsed * 4 : has_unread && read == load->consumed;
	load->busy_looks = is_busy ? load->busy_looks + 1 : 0;
	load->still_looks = has_unread && read == load->consumed ? load->still_looks + 1 : 0;
	/* Where the processors are all taken, a worker may stand still though it uses little. */
	load->stuck = process->was_ready && load->still_looks > 0 &&
		      (is_busy || load->rank == RANK_HEAVY || load->still_looks >= LOOKS_STILL);
	bool is_long = works_long(process, used);
	bool wants_help =
		load->stuck || (load->busy_looks >= LOOKS_TO_HELP && has_unread && is_long);
	charge(process, used < elapsed ? used : elapsed);
	if (is_long)
		worker_share_charge(process->script, wanted(process, used, elapsed), now);
	rank_anew(process, is_busy && is_long, now);
	load->cpu_ns = cpu;
	load->seen_at = now;
	load->consumed = read;
	load->finished_seen = load->finished;
	/* One that loads its script is no faster than another one would be. */
	if (wants_help && process->state == PROCESS_READY)
		help(process);
}

void
worker_load_end(struct worker_process *process, uint64_t cpu_ns)
{
	bool is_missed = process->state < PROCESS_KILLED || process->reason.code != ERR_OK;
	if (is_missed && cpu_ns > process->load.cpu_ns)
		worker_share_charge(process->script, cpu_ns - process->load.cpu_ns, clock_now());
}

/* --- fewer workers -------------------------------------------------------------------------------------------------- */

static void
keep_least(struct worker_script *script)
{
	while (!script->retired && script->manifest_done == NULL &&
	       script->process_count < script->limits.workers_min &&
	       worker_share_may_start(script, clock_now()))
		if (worker_load_start(script) == NULL)
			return;
}

void
worker_load_trim(struct worker_host *host, uint64_t now)
{
	list_each_safe(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		if (process->state == PROCESS_READY && process->request_count == 0 &&
		    process->script->process_count > process->script->limits.workers_min &&
		    now - process->idle_since > host->options.idle_ms * NS_PER_MS)
			worker_process_kill(process, NULL);
	}
	list_each(link, &host->scripts)
		keep_least(list_entry(link, struct worker_script, host_link));
}
