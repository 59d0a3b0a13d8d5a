#include "script/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/worker_host.h"
#include "script/zygote.h"

enum {
	IDLE_MS_DEFAULT = 60000,
	/* Longest gap between looks for idle workers, ms. */
	IDLE_LOOK_MS_MAX = 1000,
	HEAP_BYTES_MIN = 4 << 20,
	NS_PER_MS = 1000000,
};

int
worker_zygote_start(void)
{
	return zygote_start();
}

void
worker_zygote_stop(void)
{
	zygote_stop();
}

const char *
worker_isolation(void)
{
	return zygote_isolation();
}

/* --- the host ------------------------------------------------------------------------------------------------------- */

struct worker_host *
worker_host_ref(struct worker_host *host)
{
	host->refs++;
	return host;
}

void
worker_host_unref(struct worker_host *host)
{
	assert(host->refs > 0);
	if (--host->refs > 0)
		return;
	while (!list_is_empty(&host->spare_requests))
		worker_request_delete(list_entry(list_pop_front(&host->spare_requests),
						 struct worker_request, link));
	free(host->scratch);
	free(host);
}

static struct worker_process *
find_process(struct worker_host *host, uint32_t id)
{
	list_each(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		if (process->id == id)
			return process;
	}
	return NULL;
}

/* All workers have died with it. */
static void
lose_zygote(struct worker_host *host)
{
	host->zygote_gone = true;
	uv_poll_stop(&host->zygote);
	log_error("the zygote has gone; functions with a handler cannot run until the node is "
		  "restarted");
	list_each_safe(link, &host->processes)
		worker_process_ended(list_entry(link, struct worker_process, host_link), 9);
}

static void
on_zygote(uv_poll_t *poll, int status, int events)
{
	struct worker_host *host = poll->data;
	struct zygote_exit report;
	int got;
	while ((got = zygote_receive(&report)) > 0) {
		struct worker_process *process = find_process(host, report.id);
		if (process != NULL)
			worker_process_ended(process, report.status);
	}
	if (got < 0 && !host->zygote_gone)
		lose_zygote(host);
}

static void
wake_all(struct worker_host *host)
{
	struct list *link;
	while ((link = list_pop_front(&host->to_wake)) != NULL)
		worker_process_wake_sleeping(list_entry(link, struct worker_process, wake_link));
}

static void
on_prepare(uv_prepare_t *prepare)
{
	wake_all(prepare->data);
}

static void
on_check(uv_check_t *check)
{
	wake_all(check->data);
}

/* A handler that overran is told to end; its worker has a grace to do so. */
static void
expire(struct worker_process *process, struct worker_request *request, uint64_t now)
{
	struct error error = { .code = ERR_DEADLINE_EXCEEDED, .file = __FILE__, .line = __LINE__ };
	snprintf(error.message, sizeof(error.message),
		 "function \"%s\": the handler ran longer than its limit of %llu ms",
		 process->script->name,
		 (unsigned long long)(process->script->timeout_ns / NS_PER_MS));
	bool waits = request->batch_out;
	worker_request_fail(request, &error);
	if (!waits && process->kill_at == 0)
		process->kill_at = now + (uint64_t)WORKER_GRACE_MS * NS_PER_MS;
}

static void
kill_overdue(struct worker_process *process, const char *why)
{
	error_set(ERR_UNAVAILABLE, "function \"%s\": its worker was ended: %s",
		  process->script->name, why);
	worker_process_kill(process, error_last());
}

/* A request that was told to end for its time has not. */
static bool
is_overdue(const struct worker_process *process)
{
	list_each(link, &process->requests) {
		const struct worker_request *request =
			list_entry(link, struct worker_request, link);
		if (request->expires_at < process->kill_at && !request->batch_out)
			return true;
	}
	return false;
}

static void
expire_requests(struct worker_process *process, uint64_t now)
{
	list_each_safe(link, &process->requests) {
		struct worker_request *request = list_entry(link, struct worker_request, link);
		if (request->expires_at > now)
			return;
		if (request->state == REQUEST_RUNNING)
			expire(process, request, now);
	}
}

static void
sweep_process(struct worker_process *process, uint64_t now)
{
	expire_requests(process, now);
	if (process->state == PROCESS_LOADING &&
	    now - process->started_at > (uint64_t)WORKER_LOAD_MS * NS_PER_MS)
		kill_overdue(process, "the script did not load in time");
	if (process->kill_at == 0 || now < process->kill_at)
		return;
	if (is_overdue(process))
		kill_overdue(process, "a handler in it overran its time limit and did not stop");
	process->kill_at = 0;
}

static void
on_sweep(uv_timer_t *timer)
{
	struct worker_host *host = timer->data;
	uint64_t now = clock_now();
	if (host->busy_count == 0)
		uv_timer_stop(timer);
	list_each_safe(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		if (process->busy)
			sweep_process(process, now);
	}
}

void
worker_host_sweep(struct worker_host *host)
{
	/* Not stopped with every last request: a timer that runs on is cheaper than one that starts and stops. */
	if (!host->deleted && !uv_is_active((uv_handle_t *)&host->sweep))
		uv_timer_start(&host->sweep, on_sweep, WORKER_SWEEP_MS, WORKER_SWEEP_MS);
}

static void
on_idle(uv_timer_t *timer)
{
	struct worker_host *host = timer->data;
	uint64_t now = clock_now();
	list_each_safe(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		if (process->state == PROCESS_READY && process->request_count == 0 &&
		    now - process->idle_since > host->options.idle_ms * NS_PER_MS)
			worker_process_kill(process, NULL);
	}
}

/* Handles of the host that live as long as it; none keeps the loop alive. */
static void
start_handles(struct worker_host *host)
{
	uint64_t look = host->options.idle_ms / 4 + 1;
	struct uv_loop_s *loop = host->options.loop;
	if (look > IDLE_LOOK_MS_MAX)
		look = IDLE_LOOK_MS_MAX;
	uv_prepare_init(loop, &host->prepare);
	uv_check_init(loop, &host->check);
	uv_timer_init(loop, &host->sweep);
	uv_timer_init(loop, &host->idle);
	uv_prepare_start(&host->prepare, on_prepare);
	uv_check_start(&host->check, on_check);
	uv_timer_start(&host->idle, on_idle, look, look);
	uv_poll_start(&host->zygote, UV_READABLE, on_zygote);
}

static void
each_handle(struct worker_host *host, void (*visit)(uv_handle_t *handle))
{
	visit((uv_handle_t *)&host->zygote);
	visit((uv_handle_t *)&host->prepare);
	visit((uv_handle_t *)&host->check);
	visit((uv_handle_t *)&host->sweep);
	visit((uv_handle_t *)&host->idle);
}

static void
adopt(uv_handle_t *handle)
{
	uv_unref(handle);
}

static void
on_closed(uv_handle_t *handle)
{
	worker_host_unref(handle->data);
}

static void
close_handle(uv_handle_t *handle)
{
	uv_close(handle, on_closed);
}

struct worker_host *
worker_host_new(const struct worker_options *options)
{
	struct worker_host *host = calloc(1, sizeof(*host));
	if (host == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for the worker host");
		return NULL;
	}
	if (zygote_fd() < 0 || uv_poll_init(options->loop, &host->zygote, zygote_fd()) != 0) {
		error_set(ERR_FAILED_PRECONDITION, "no zygote runs");
		free(host);
		return NULL;
	}
	host->options = *options;
	if (host->options.idle_ms == 0)
		host->options.idle_ms = IDLE_MS_DEFAULT;
	/* The maker's, and one a handle. */
	host->refs = 1 + 5;
	host->zygote.data = host->prepare.data = host->check.data = host;
	host->sweep.data = host->idle.data = host;
	list_create(&host->scripts);
	list_create(&host->processes);
	list_create(&host->to_wake);
	list_create(&host->spare_requests);
	start_handles(host);
	each_handle(host, adopt);
	return host;
}

/* Requests of a host that goes: nobody is told. */
static void
forget_requests(struct worker_script *script)
{
	list_each_safe(link, &script->queue)
		worker_request_end(list_entry(link, struct worker_request, link));
}

static void
drop_requests(struct worker_process *process)
{
	list_each(link, &process->requests)
		list_entry(link, struct worker_request, link)->state = REQUEST_DROPPED;
}

void
worker_host_delete(struct worker_host *host)
{
	host->deleted = true;
	list_each(link, &host->scripts)
		list_entry(link, struct worker_script, host_link)->manifest_done = NULL;
	list_each_safe(link, &host->processes) {
		struct worker_process *process = list_entry(link, struct worker_process, host_link);
		drop_requests(process);
		worker_process_kill(process, NULL);
		/* No report is waited for: the zygote's word goes to the next host, which does not know it. */
		worker_process_ended(process, 0);
	}
	list_each_safe(link, &host->scripts) {
		struct worker_script *script = list_entry(link, struct worker_script, host_link);
		forget_requests(script);
		if (!script->retired)
			worker_script_retire(script);
	}
	each_handle(host, close_handle);
	worker_host_unref(host);
}

/* --- scripts -------------------------------------------------------------------------------------------------------- */

struct worker_script *
worker_script_ref(struct worker_script *script)
{
	script->refs++;
	return script;
}

void
worker_script_unref(struct worker_script *script)
{
	assert(script->refs > 0);
	if (--script->refs > 0)
		return;
	list_remove(&script->host_link);
	worker_host_unref(script->host);
	free(script->name);
	free(script->start);
	free(script->model_outputs);
	free(script);
}

static void
set_limits(struct worker_script *script, const struct worker_script_options *options)
{
	uint64_t timeout =
		options->timeout_ms != 0 ? options->timeout_ms : WORKER_TIMEOUT_MS_DEFAULT;
	script->timeout_ns = timeout * NS_PER_MS;
	script->memory_bytes =
		options->memory_bytes != 0 ? options->memory_bytes : WORKER_MEMORY_BYTES_DEFAULT;
	script->concurrency =
		options->concurrency != 0 ? options->concurrency : WORKER_CONCURRENCY_DEFAULT;
	script->heap_bytes = script->memory_bytes / 4 / PAGES_UNIT * PAGES_UNIT;
	if (script->heap_bytes < HEAP_BYTES_MIN)
		script->heap_bytes = HEAP_BYTES_MIN;
}

static int
check_limits(const struct worker_script_options *options)
{
	if (options->concurrency > WORKER_CONCURRENCY_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "%s: limits.concurrency: %u, at most %d",
				 options->chunk, options->concurrency, WORKER_CONCURRENCY_MAX);
	if (options->memory_bytes != 0 && options->memory_bytes < WORKER_MEMORY_BYTES_MIN)
		return error_set(ERR_INVALID_ARGUMENT, "%s: limits.memory_bytes: %llu, at least %d",
				 options->chunk, (unsigned long long)options->memory_bytes,
				 WORKER_MEMORY_BYTES_MIN);
	if (options->memory_bytes > UINT64_C(1) << 46 ||
	    options->timeout_ms > UINT64_C(1000) * 86400 * 365)
		return error_set(ERR_INVALID_ARGUMENT, "%s: limits: out of range", options->chunk);
	return 0;
}

/* Copies of what the options only lend. */
static int
copy_options(struct worker_script *script, const struct worker_script_options *options)
{
	script->name = strdup(options->name);
	script->model_count = options->model_count;
	script->model_outputs = calloc(options->model_count + 1, sizeof(uint32_t));
	if (script->name == NULL || script->model_outputs == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for script \"%s\"",
				 options->name);
	for (uint32_t i = 0; i < options->model_count; i++)
		script->model_outputs[i] = options->model_outputs[i];
	return worker_start_encode(script, options, script->host->options.tracebacks);
}

static struct worker_script *
new_script(struct worker_host *host, const struct worker_script_options *options,
	   worker_manifest_f *manifest_done, void *manifest_context)
{
	if (check_limits(options) != 0)
		return NULL;
	struct worker_script *script = calloc(1, sizeof(*script));
	if (script == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a script");
		return NULL;
	}
	script->host = worker_host_ref(host);
	script->refs = 1;
	script->manifest_done = manifest_done;
	script->manifest_context = manifest_context;
	list_create(&script->processes);
	list_create(&script->queue);
	list_create(&script->host_link);
	set_limits(script, options);
	if (copy_options(script, options) != 0) {
		worker_script_unref(script);
		return NULL;
	}
	/* The start block takes what it needs; results have the rest. */
	script->heap_bytes += (script->start_bytes + PAGES_UNIT - 1) / PAGES_UNIT * PAGES_UNIT;
	list_push_back(&host->scripts, &script->host_link);
	return script;
}

struct worker_script *
worker_script_new(struct worker_host *host, const struct worker_script_options *options)
{
	return new_script(host, options, NULL, NULL);
}

void
worker_script_settle(struct worker_script *script)
{
	if (!script->retired || script->running_count > 0 || script->queue_count > 0)
		return;
	list_each_safe(link, &script->processes)
		worker_process_kill(list_entry(link, struct worker_process, script_link), NULL);
}

void
worker_script_retire(struct worker_script *script)
{
	assert(!script->retired);
	script->retired = true;
	worker_script_settle(script);
	worker_script_unref(script);
}

int
worker_read_manifest(struct worker_host *host, const char *chunk, const char *source, size_t length,
		     worker_manifest_f *done, void *context)
{
	struct worker_script_options options = {
		.name = chunk, .chunk = chunk, .source = source, .source_bytes = length
	};
	struct worker_script *script = new_script(host, &options, done, context);
	if (script == NULL)
		return -1;
	if (worker_process_start(script) != NULL)
		return 0;
	script->manifest_done = NULL;
	worker_script_retire(script);
	return -1;
}

void
worker_script_stats(const struct worker_script *script, struct worker_stats *stats)
{
	*stats = (struct worker_stats){
		.workers = script->process_count,
		.requests = script->queue_count + script->running_count,
		.started = script->started,
		.crashed = script->crashed,
	};
}
