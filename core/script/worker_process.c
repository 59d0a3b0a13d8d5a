#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scrap.h"
#include "script/child.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"
#include "script/zygote.h"

/* Workers started by this process, which names them for the zygote. */
static uint32_t last_id;

/* --- starting ------------------------------------------------------------------------------------------------------- */

/* The shared memory, sealed at its size: a worker that shrank it would have the core die of a page that is not there. */
static int
make_memory(const struct record_layout *layout)
{
	int memory = memfd_create("worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory < 0)
		return error_set_errno("a worker's shared memory");
	if (ftruncate(memory, (off_t)layout->total) == 0 &&
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return memory;
	error_set_errno("a worker's shared memory of %zu bytes", layout->total);
	close(memory);
	return -1;
}

static int
map_memory(struct worker_process *process, int memory)
{
	void *shared =
		mmap(NULL, process->layout.total, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (shared == MAP_FAILED)
		return error_set_errno("mapping a worker's %zu bytes", process->layout.total);
	struct record_controls *controls = shared;
	process->shared = shared;
	ring_writer_create(&process->writer, &controls->to_worker,
			   process->shared + process->layout.to_worker);
	ring_reader_create(&process->reader, &controls->to_core,
			   process->shared + process->layout.to_core);
	ring_ask_wake(&process->reader);
	return 0;
}

/* The script and its files, at the start of the core's heap for as long as the worker lives. */
static int
put_start_block(struct worker_process *process)
{
	struct worker_script *script = process->script;
	size_t offset;
	pages_create(&process->heap, process->layout.heap_bytes);
	if (pages_alloc(&process->heap, script->start_bytes, &offset) != 0)
		return -1;
	assert(offset == 0);
	memcpy(process->shared + process->layout.core_heap, script->start, script->start_bytes);
	return 0;
}

static int
make_wakes(struct worker_process *process)
{
	process->wake_worker = eventfd(0, EFD_CLOEXEC);
	process->wake_core = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (process->wake_worker < 0 || process->wake_core < 0)
		return error_set_errno("a worker's wakes");
	return 0;
}

static int
order_fork(struct worker_process *process, int memory)
{
	struct zygote_spawn spawn = { .id = process->id,
				      .rank = process->load.rank,
				      .memory_bytes = process->script->limits.memory_bytes,
				      .heap_bytes = process->layout.heap_bytes,
				      .start_bytes = process->script->start_bytes };
	return zygote_spawn(&spawn, memory, process->wake_worker, process->wake_core);
}

/* Everything of a process but its place in lists. */
static int
set_up(struct worker_process *process)
{
	int status = -1;
	int memory = make_memory(&process->layout);
	if (memory < 0)
		return -1;
	if (map_memory(process, memory) == 0 && put_start_block(process) == 0 &&
	    make_wakes(process) == 0 && order_fork(process, memory) == 0)
		status = 0;
	close(memory);
	return status;
}

static void
unmap(void *memory, size_t bytes)
{
	munmap(memory, bytes);
}

static void
tear_down(struct worker_process *process)
{
	worker_outbox_drop(process);
	worker_carry_drop(process);
	worker_carry_end(process);
	free(process->slots);
	pages_destroy(&process->heap);
	if (process->shared != NULL)
		scrap(process->host->options.loop, unmap, process->shared, process->layout.total);
	if (process->wake_worker >= 0)
		close(process->wake_worker);
	if (process->wake_core >= 0)
		close(process->wake_core);
	free(process);
}

static void
count_wake(struct worker_process *process)
{
	uint64_t now = clock_now();
	if (now - process->wakes_since > 1000000000u) {
		process->wakes_since = now;
		process->empty_wakes = 0;
	}
	if (++process->empty_wakes > WORKER_EMPTY_WAKES_MAX) {
		worker_script_violated(process->script, WORKER_BROKE_PROTOCOL);
		error_set(ERR_UNAVAILABLE, "function \"%s\": its worker floods the node with wakes",
			  process->script->name);
		worker_process_kill(process, error_last());
	}
}

static void
on_wake(uv_poll_t *poll, int status, int events)
{
	struct worker_process *process = poll->data;
	uint64_t count;
	if (read(process->wake_core, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	ring_stay_awake(&process->reader);
	if (!ring_has_record(&process->reader))
		count_wake(process);
	/* One that waits for its next turn has it in its turn. */
	if (process->state < PROCESS_KILLED && list_is_empty(&process->turn_link))
		worker_turn_take(process);
}

static void
link_process(struct worker_process *process)
{
	struct worker_script *script = process->script;
	worker_host_ref(process->host);
	worker_script_ref(script);
	list_push_back(&process->host->processes, &process->host_link);
	list_push_back(&process->host->by_id[process->id % WORKER_BUCKETS], &process->id_link);
	list_push_back(&script->processes, &process->script_link);
	process->host->process_count++;
	process->host->totals.started++;
	script->process_count++;
	script->started++;
	process->poll.data = process;
	uv_poll_start(&process->poll, UV_READABLE, on_wake);
	worker_process_count_busy(process);
}

struct worker_process *
worker_process_start(struct worker_script *script)
{
	struct worker_process *process = calloc(1, sizeof(*process));
	if (process == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a worker");
		return NULL;
	}
	process->script = script;
	process->host = script->host;
	process->id = ++last_id;
	process->wake_worker = process->wake_core = -1;
	process->layout = record_layout(script->heap_bytes);
	process->started_at = process->wakes_since = process->load.seen_at = clock_now();
	process->load.rank = worker_share_rank(script, process->started_at);
	list_create(&process->requests);
	list_create(&process->outbox);
	list_create(&process->wake_link);
	list_create(&process->turn_link);
	list_create(&process->deliveries);
	if (set_up(process) != 0 ||
	    uv_poll_init(script->host->options.loop, &process->poll, process->wake_core) != 0) {
		error_wrap("starting a worker of \"%s\"", script->name);
		tear_down(process);
		return NULL;
	}
	link_process(process);
	return process;
}

void
worker_process_count_busy(struct worker_process *process)
{
	struct worker_host *host = process->host;
	bool busy = process->state < PROCESS_KILLED &&
		    (process->request_count > 0 || process->state == PROCESS_LOADING);
	if (busy == process->busy)
		return;
	process->busy = busy;
	host->busy_count = busy ? host->busy_count + 1 : host->busy_count - 1;
	process->load.stuck = false;
	process->load.busy_looks = 0;
	if (!busy)
		process->idle_since = clock_now();
	else
		worker_sweep_start(host);
}

/* --- writing to it -------------------------------------------------------------------------------------------------- */

void *
worker_process_reserve(struct worker_process *process, uint16_t kind, uint32_t request,
		       size_t bytes)
{
	void *record = ring_reserve(&process->writer, kind, request, bytes);
	if (record != NULL)
		return record;
	error_set(ERR_UNAVAILABLE, "function \"%s\": its worker does not read its ring",
		  process->script->name);
	worker_process_kill(process, error_last());
	return NULL;
}

void
worker_process_send(struct worker_process *process)
{
	ring_publish(&process->writer);
	list_remove(&process->wake_link);
	list_push_back(&process->host->to_wake, &process->wake_link);
}

void
worker_process_wake(struct worker_process *process)
{
	static const uint64_t one = 1;
	if (write(process->wake_worker, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

void
worker_process_wake_sleeping(struct worker_process *process)
{
	if (!ring_must_wake(&process->writer))
		return;
	worker_process_wake(process);
	process->host->prompt.was_served |= process->load.rank == RANK_PROMPT;
}

/* --- ending --------------------------------------------------------------------------------------------------------- */

void
worker_process_kill(struct worker_process *process, const struct error *reason)
{
	if (process->state >= PROCESS_KILLED)
		return;
	process->state = PROCESS_KILLED;
	if (reason != NULL)
		process->reason = *reason;
	uv_poll_stop(&process->poll);
	list_remove(&process->turn_link);
	worker_process_count_busy(process);
	/* When the zygote cannot be told it has gone, and has taken the worker along: on_zygote says the rest. */
	zygote_kill(process->id);
}

static bool
ran_out_of_memory(int status)
{
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == CHILD_EXIT_MEMORY;
}

static enum worker_violation
violation_of(int status)
{
	if (ran_out_of_memory(status))
		return WORKER_OVER_MEMORY;
	bool forbidden = status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	return forbidden ? WORKER_BROKE_SANDBOX : WORKER_CRASHED;
}

/* What a worker's status of waitpid means to its requests. */
static void
set_end_error(const struct worker_process *process, int status)
{
	const char *name = process->script->name;
	if (process->reason.code != ERR_OK)
		error_restore(&process->reason);
	else if (process->host->zygote == ZYGOTE_DIES)
		error_set(ERR_UNAVAILABLE, "function \"%s\": its worker died with the zygote",
			  name);
	else if (status == -1)
		error_set(ERR_RESOURCE_EXHAUSTED, "function \"%s\": its worker could not be forked",
			  name);
	else if (ran_out_of_memory(status))
		error_set(ERR_RESOURCE_EXHAUSTED,
			  "function \"%s\": its worker went over the memory limit of %llu bytes",
			  name, (unsigned long long)process->script->limits.memory_bytes);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		error_set(ERR_PERMISSION_DENIED,
			  "function \"%s\": its worker made a forbidden system call and was killed",
			  name);
	else if (WIFSIGNALED(status))
		error_set(ERR_UNAVAILABLE,
			  "function \"%s\": its worker was killed by signal %d (%s) while the "
			  "request ran",
			  name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		error_set(ERR_UNAVAILABLE,
			  "function \"%s\": its worker exited with status %d while the request ran",
			  name, WEXITSTATUS(status));
}

/* What it had not begun goes to another worker, unless several have died of it: who knows. */
static void
return_unbegun(struct worker_process *process)
{
	struct list *link = process->requests.prev;
	while (link != &process->requests) {
		struct worker_request *request = list_entry(link, struct worker_request, link);
		link = link->prev;
		if (request->attempts < WORKER_ATTEMPTS_MAX && worker_request_reclaim(request))
			worker_queue_return(request);
	}
}

static void
fail_all(struct worker_process *process, const struct error *error)
{
	while (!list_is_empty(&process->requests)) {
		struct worker_request *request =
			list_entry(process->requests.next, struct worker_request, link);
		worker_request_fail(request, error);
		worker_request_end(request);
	}
}

static void
on_closed(uv_handle_t *handle)
{
	struct worker_process *process = handle->data;
	struct worker_script *script = process->script;
	struct worker_host *host = process->host;
	tear_down(process);
	worker_script_unref(script);
	worker_host_unref(host);
}

void
worker_process_settle(struct worker_process *process)
{
	if (process->state != PROCESS_ENDED || process->batches_out > 0 ||
	    uv_is_closing((uv_handle_t *)&process->poll))
		return;
	uv_close((uv_handle_t *)&process->poll, on_closed);
}

void
worker_process_ended(struct worker_process *process, int status)
{
	struct worker_script *script = process->script;
	if (process->state == PROCESS_ENDED)
		return;
	/* What it said before its end counts. */
	while (process->state < PROCESS_KILLED && worker_records_read(process, UINT64_MAX))
		continue;
	bool by_itself = process->state < PROCESS_KILLED;
	bool crashed = process->host->zygote != ZYGOTE_DIES &&
		       (by_itself || process->reason.code != ERR_OK);
	if (by_itself && process->host->zygote != ZYGOTE_DIES)
		worker_script_violated(script, violation_of(status));
	process->state = PROCESS_ENDED;
	set_end_error(process, status);
	struct error error = *error_last();
	uv_poll_stop(&process->poll);
	worker_process_count_busy(process);
	list_remove(&process->host_link);
	list_remove(&process->id_link);
	list_remove(&process->script_link);
	list_remove(&process->wake_link);
	list_remove(&process->turn_link);
	process->host->process_count--;
	script->process_count--;
	script->crashed += crashed;
	if (crashed)
		worker_share_lost(script, clock_now());
	worker_script_ref(script);
	if (process->was_ready)
		return_unbegun(process);
	else if (crashed && script->process_count == 0)
		/* Nor would the next one get as far as to serve them. */
		worker_queue_fail(script, &error);
	fail_all(process, &error);
	worker_manifest_finish(script, NULL, &error);
	worker_process_settle(process);
	worker_queue_run(script);
	worker_script_unref(script);
}
