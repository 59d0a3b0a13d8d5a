#include "script/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"
#include "script/zygote.h"

enum {
	IDLE_MS_DEFAULT = 60000,
	/* Longest gap between looks for idle workers, ms. */
	IDLE_LOOK_MS_MAX = 1000,
	/* Least time between two zygotes, ms. */
	REVIVE_MS = 200,
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

void
worker_keep_zygote(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], ZYGOTE_KEEPER_ARGUMENT) == 0)
		zygote_keep(STDIN_FILENO);
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

struct worker_process *
worker_host_find(struct worker_host *host, uint32_t id)
{
	list_each(link, &host->by_id[id % WORKER_BUCKETS]) {
		struct worker_process *process = list_entry(link, struct worker_process, id_link);
		if (process->id == id)
			return process;
	}
	return NULL;
}

/* --- the zygote ----------------------------------------------------------------------------------------------------- */

static void
on_zygote(uv_poll_t *poll, int status, int events);

/* Have another zygote, at most one in REVIVE_MS: one that dies at once is not to keep the node busy. */
static void
revive(struct worker_host *host)
{
	uint64_t now = clock_now();
	if (now - host->zygote_lost_at < (uint64_t)REVIVE_MS * NS_PER_MS)
		return;
	host->zygote_lost_at = now;
	if (zygote_restart() != 0) {
		log_error("%s; functions with a handler cannot run until it can be started",
			  error_last()->message);
		return;
	}
	host->zygote = ZYGOTE_RUNS;
	host->prompt.apart = false;
	uv_poll_start(&host->zygote_poll, UV_READABLE, on_zygote);
	list_each_safe(link, &host->scripts)
		worker_queue_run(list_entry(link, struct worker_script, host_link));
}

/* All workers have died with it; what they had not begun goes to workers of the next one. */
static void
lose_zygote(struct worker_host *host)
{
	log_error("the zygote has ended, and all workers with it; another one is started");
	uv_poll_stop(&host->zygote_poll);
	host->totals.zygotes_lost++;
	host->zygote = ZYGOTE_DIES;
	list_each_safe(link, &host->processes)
		worker_process_ended(list_entry(link, struct worker_process, host_link), 9);
	host->zygote = ZYGOTE_GONE;
	revive(host);
}

static void
on_zygote(uv_poll_t *poll, int status, int events)
{
	struct worker_host *host = poll->data;
	struct zygote_report report;
	int got;
	while ((got = zygote_receive(&report)) > 0) {
		struct worker_process *process = worker_host_find(host, report.id);
		if (process == NULL)
			continue;
		if (report.event == ZYGOTE_FORKED) {
			process->pid = report.pid;
			continue;
		}
		worker_load_end(process, report.cpu_ns);
		worker_process_ended(process, report.status);
	}
	if (got < 0 && host->zygote == ZYGOTE_RUNS)
		lose_zygote(host);
}

/* --- the host's handles --------------------------------------------------------------------------------------------- */

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

static void
on_idle(uv_timer_t *timer)
{
	struct worker_host *host = timer->data;
	if (host->zygote != ZYGOTE_RUNS)
		revive(host);
	worker_load_trim(host, clock_now());
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
	uv_idle_init(loop, &host->turn);
	uv_timer_init(loop, &host->sweep);
	uv_timer_init(loop, &host->idle);
	uv_prepare_start(&host->prepare, on_prepare);
	uv_check_start(&host->check, on_check);
	uv_timer_start(&host->idle, on_idle, look, look);
	uv_poll_start(&host->zygote_poll, UV_READABLE, on_zygote);
}

static void
each_handle(struct worker_host *host, void (*visit)(uv_handle_t *handle))
{
	visit((uv_handle_t *)&host->zygote_poll);
	visit((uv_handle_t *)&host->prepare);
	visit((uv_handle_t *)&host->check);
	visit((uv_handle_t *)&host->turn);
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
	if (zygote_fd() < 0 || uv_poll_init(options->loop, &host->zygote_poll, zygote_fd()) != 0) {
		error_set(ERR_FAILED_PRECONDITION, "no zygote runs");
		free(host);
		return NULL;
	}
	host->options = *options;
	if (host->options.idle_ms == 0)
		host->options.idle_ms = IDLE_MS_DEFAULT;
	if (host->options.processes == 0)
		host->options.processes = WORKER_PROCESSES_DEFAULT;
	host->can_restore = geteuid() == 0;
	/* The maker's, and one a handle. */
	host->refs = 1 + 6;
	host->zygote_poll.data = host->prepare.data = host->check.data = host;
	host->turn.data = host->sweep.data = host->idle.data = host;
	list_create(&host->scripts);
	list_create(&host->processes);
	for (int i = 0; i < WORKER_BUCKETS; i++)
		list_create(&host->by_id[i]);
	list_create(&host->to_wake);
	list_create(&host->turns);
	list_create(&host->held);
	list_create(&host->spare_requests);
	start_handles(host);
	each_handle(host, adopt);
	return host;
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
		worker_queue_forget(script);
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
	list_remove(&script->held_link);
	worker_host_unref(script->host);
	free(script->name);
	free(script->start);
	free(script->model_outputs);
	free(script);
}

static int
set_limits(struct worker_script *script, const struct worker_script_options *options)
{
	struct limits standard, most = { 0 };
	limits_standard(&standard);
	for (int i = 0; i < LIMITS_COUNT; i++)
		*limits_at(&most, &limits_table[i]) = limits_table[i].utmost;
	if (limits_check(&options->limits) != 0 ||
	    limits_settle(&options->limits, &standard, &most, &script->limits) != 0)
		return error_wrap("%s", options->chunk);
	script->heap_bytes = script->limits.memory_bytes / 4 / PAGES_UNIT * PAGES_UNIT;
	if (script->heap_bytes < HEAP_BYTES_MIN)
		script->heap_bytes = HEAP_BYTES_MIN;
	return 0;
}

/* Copies of what the options only lend. */
static int
copy_options(struct worker_script *script, const struct worker_script_options *options)
{
	script->owner = options->owner;
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
	list_create(&script->lanes);
	worker_lane_create(&script->clients);
	list_push_back(&script->lanes, &script->clients.link);
	list_create(&script->host_link);
	list_create(&script->held_link);
	if (set_limits(script, options) != 0 || copy_options(script, options) != 0) {
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
	script->owner = NULL;
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
worker_script_violated(struct worker_script *script, enum worker_violation violation)
{
	const struct worker_options *options = &script->host->options;
	script->host->totals.violations[violation]++;
	if (options->events.violated != NULL && script->owner != NULL)
		options->events.violated(options->context, script->owner, violation);
}

/* --- figures -------------------------------------------------------------------------------------------------------- */

const char *
worker_violation_name(enum worker_violation violation)
{
	static const char *const names[WORKER_VIOLATIONS] = {
		[WORKER_OVER_TIME] = "timeout",     [WORKER_OVER_CPU] = "cpu",
		[WORKER_OVER_MEMORY] = "memory",    [WORKER_OVER_REPLY] = "reply",
		[WORKER_OVER_LOG] = "log",          [WORKER_LOADS_FOREVER] = "load",
		[WORKER_BROKE_SANDBOX] = "sandbox", [WORKER_BROKE_PROTOCOL] = "protocol",
		[WORKER_CRASHED] = "crash",
	};
	return names[violation];
}

void
worker_script_stats(const struct worker_script *script, struct worker_stats *stats)
{
	*stats = (struct worker_stats){
		.workers = script->process_count,
		.requests = script->queue_count + script->running_count,
		.started = script->started,
		.crashed = script->crashed,
		.refused = script->refused,
	};
}

const struct limits *
worker_script_limits(const struct worker_script *script)
{
	return &script->limits;
}

void
worker_host_totals(const struct worker_host *host, struct worker_totals *totals)
{
	*totals = host->totals;
	totals->workers = host->process_count;
	totals->apart = host->prompt.apart;
}
