#include "path/engine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/accept.h"
#include "path/deploy.h"
#include "path/devices.h"
#include "path/folder.h"
#include "path/functions.h"
#include "path/generations.h"
#include "path/handle.h"
#include "path/job.h"
#include "path/joint_program.h"
#include "path/loop.h"
#include "path/methods.h"
#include "path/methods_policy.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/state.h"
#include "path/submit.h"
#include "path/tracing.h"
#include "path/view.h"

enum {
	READY_LINE_BYTES = 4096,
};

static void
notify(struct client *client, const char *kind, const char *name, const char *detail)
{
	struct writer *output = connection_output(client->connection);
	if (output == NULL)
		return;
	writer_notification(output, "event", 1);
	writer_map(output, 3);
	writer_string(output, "kind");
	writer_string(output, kind);
	writer_string(output, "name");
	writer_string(output, name);
	writer_string(output, "detail");
	if (detail == NULL)
		writer_nil(output);
	else
		writer_string(output, detail);
	connection_flush(client->connection);
}

void
engine_event(struct engine *engine, const char *kind, const char *name, const char *detail)
{
	log_info("%s: %s%s%s", kind, name, detail == NULL ? "" : ": ",
		 detail == NULL ? "" : detail);
	list_each(link, &engine->clients) {
		struct client *client = list_entry(link, struct client, of_engine);
		if (client->watches)
			notify(client, kind, name, detail);
	}
}

void
engine_residency_event(struct engine *engine, const char *name, const char *detail)
{
	list_each(link, &engine->clients) {
		struct client *client = list_entry(link, struct client, of_engine);
		if (client->watches_residency)
			notify(client, "residency", name, detail);
	}
}

/* --- policy -------------------------------------------------------------------------------------------------------- */

static void
policy_replaced(void *context, const char *from, const char *to, const struct error *why)
{
	char detail[ERROR_MESSAGE_BYTES];
	if (why == NULL || why->code == ERR_OK) {
		engine_event(context, "policy_changed", to, NULL);
		return;
	}
	log_error("policy '%s' was replaced by '%s': %s", from, to, why->message);
	snprintf(detail, sizeof(detail), "'%s' failed: %.900s", from, why->message);
	engine_event(context, "policy_replaced", to, detail);
	schedule_want_dispatch(context);
}

/* The folder of the policy's file, where it may keep modules of its own; NULL for a built-in policy. */
static const char *
policy_folder(const struct config *config, char folder[ENGINE_PATH_BYTES])
{
	const char *slash = config->policy == NULL ? NULL : strrchr(config->policy, '/');
	if (config->policy == NULL || policy_is_builtin(config->policy))
		return NULL;
	snprintf(folder, ENGINE_PATH_BYTES, "%.*s",
		 slash == NULL ? 1 : (int)(slash - config->policy),
		 slash == NULL ? "." : config->policy);
	return folder;
}

static int
open_policy(struct engine *engine)
{
	char folder[ENGINE_PATH_BYTES];
	const struct config *config = engine->config;
	struct policy_options options = { .node = &engine->view,
					  .builtin_config = config->policy == NULL
								    ? config->policy_config
								    : NULL,
					  .folder = policy_folder(config, folder),
					  .replaced = policy_replaced,
					  .context = engine };
	engine->policy = policy_host_new(&options);
	if (engine->policy == NULL)
		return -1;
	if (config->policy == NULL) {
		policy_restore(engine);
		return 0;
	}
	if (policy_load_file(engine, config->policy) != 0)
		return -1;
	if (!config->watch || policy_is_builtin(config->policy))
		return 0;
	engine->policy_watch =
		watch_new(&engine->loop, config->policy, policy_file_changed, engine);
	return engine->policy_watch == NULL ? -1 : 0;
}

/* --- the loop ------------------------------------------------------------------------------------------------------ */

static void
expire(struct engine *engine, uint64_t now)
{
	list_each_safe(link, &engine->deadlines) {
		struct request *request = list_entry(link, struct request, of_deadlines);
		if (now < request->deadline)
			continue;
		list_remove(&request->of_deadlines);
		request_cancel(request, ERR_DEADLINE_EXCEEDED, "the deadline has passed");
		/* A cancelled request may have ended others beside it. */
		expire(engine, now);
		return;
	}
}

void
engine_tick(struct engine *engine)
{
	uint64_t now = clock_now();
	engine->view.now = (double)now;
	expire(engine, now);
	if (engine->view.job_count > 0 && ++engine->ticks % ENGINE_POLICY_TICKS == 0) {
		policy_tick(engine->policy);
		schedule_want_dispatch(engine);
	}
}

static void
on_tick(uv_timer_t *timer)
{
	struct engine *engine = timer->data;
	engine_tick(engine);
	if (++engine->turns % ENGINE_DEVICE_TURNS == 0)
		devices_watch(engine);
}

static void
on_check(uv_check_t *check)
{
	schedule_dispatch(check->data);
}

static void
on_signal(uv_signal_t *signal, int number)
{
	struct engine *engine = signal->data;
	log_info("signal %d: shutting down", number);
	engine_stop(engine);
}

void
engine_stop(struct engine *engine)
{
	if (engine->stopping)
		return;
	engine->stopping = true;
	deploy_stop(engine);
	server_stop(engine->server);
	uv_stop(&engine->loop);
}

static int
open_loop(struct engine *engine)
{
	if (uv_loop_init(&engine->loop) != 0)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: cannot make an event loop");
	uv_timer_init(&engine->loop, &engine->tick);
	uv_timer_init(&engine->loop, &engine->held_timer);
	uv_timer_init(&engine->loop, &engine->trace.timer);
	keeping_open(engine);
	uv_check_init(&engine->loop, &engine->check);
	uv_signal_init(&engine->loop, &engine->sigint);
	uv_signal_init(&engine->loop, &engine->sigterm);
	engine->held_timer.data = engine->tick.data = engine->check.data = engine->sigint.data =
		engine->sigterm.data = engine;
	uv_timer_start(&engine->tick, on_tick, ENGINE_TICK_MS, ENGINE_TICK_MS);
	uv_check_start(&engine->check, on_check);
	uv_signal_start(&engine->sigint, on_signal, SIGINT);
	uv_signal_start(&engine->sigterm, on_signal, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	tracing_open();
	return submit_open(engine);
}

static int
open_workers(struct engine *engine)
{
	struct worker_options options = { .loop = &engine->loop,
					  .events = handle_events,
					  .context = engine,
					  .tracebacks = engine->config->worker.tracebacks,
					  .idle_ms = engine->config->worker.idle_ms,
					  .processes = engine->config->worker.processes };
	engine->workers = worker_host_new(&options);
	return engine->workers == NULL ? -1 : 0;
}

/* Listen everywhere, then say where on one line of standard output: what starts the node waits for it. */
static int
open_server(struct engine *engine)
{
	struct server_options options = { .loop = &engine->loop,
					  .limits = engine->config->limits,
					  .events = accept_events,
					  .context = engine };
	char line[READY_LINE_BYTES];
	int used = snprintf(line, sizeof(line), "tidepool ready");
	engine->server = server_new(&options);
	if (engine->server == NULL)
		return -1;
	for (uint32_t i = 0; i < engine->config->listen_count; i++) {
		const char *address = engine->config->listen[i];
		int port = 0;
		if (server_listen(engine->server, address, &port) != 0)
			return error_wrap("listen[%u]", i + 1);
		const char *colon = strrchr(address, ':');
		if (port == 0)
			used += snprintf(line + used, sizeof(line) - (size_t)used, " unix=%s",
					 address);
		else
			used += snprintf(line + used, sizeof(line) - (size_t)used, " tcp=%.*s:%d",
					 (int)(colon - address), address, port);
	}
	printf("%s\n", line);
	fflush(stdout);
	return 0;
}

void
engine_create(struct engine *engine, const struct config *config)
{
	*engine = (struct engine){ .config = config, .started_at = clock_now(), .state_lock = -1 };
	list_create(&engine->clients);
	list_create(&engine->jobs);
	list_create(&engine->held);
	list_create(&engine->deadlines);
	store_create(&engine->store, config->store_bytes, models_drop_image, engine);
	shelf_create(&engine->shelf, engine->cache_folder, config->cache_bytes);
	/* The other half is for images that are brought meanwhile. */
	backlog_create(&engine->backlog, config->store_bytes / 2);
	list_create(&engine->models);
	list_create(&engine->functions);
	list_create(&engine->deploys);
	list_create(&engine->generations);
	list_create(&engine->idle_requests);
	list_create(&engine->idle_jobs);
	fusion_create(&engine->fusion);
}

static void
free_idle_requests(struct engine *engine)
{
	while (!list_is_empty(&engine->idle_requests)) {
		struct request *request = list_entry(list_pop_front(&engine->idle_requests),
						     struct request, of_client);
		arena_destroy(&request->arena);
		free(request);
	}
}

void
engine_destroy(struct engine *engine)
{
	view_destroy(engine);
	generations_destroy(engine);
	free_idle_requests(engine);
	job_free_idle(engine);
	shelf_destroy(&engine->shelf);
}

static int
engine_open(struct engine *engine)
{
	if (open_loop(engine) != 0 || state_open(engine) != 0 || devices_open(engine) != 0 ||
	    open_policy(engine) != 0 || open_workers(engine) != 0 || models_restore(engine) != 0 ||
	    generations_restore(engine) != 0 || deploy_restore(engine) != 0)
		return -1;
	/* Clients that connect after a restart find what was deployed. */
	while (engine->restoring > 0 && !engine->stopping)
		uv_run(&engine->loop, UV_RUN_ONCE);
	clearing_begin(engine);
	if (engine->config->functions != NULL &&
	    (engine->folder = folder_open(engine, engine->config->functions)) == NULL)
		return -1;
	while (!list_is_empty(&engine->deploys) && !engine->stopping)
		uv_run(&engine->loop, UV_RUN_ONCE);
	return open_server(engine);
}

static void
close_handle(uv_handle_t *handle, void *context)
{
	(void)context;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Jobs on devices end; then nothing refers to a request but the lists. */
static void
drain_devices(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->device_count; i++)
		while (engine->devices[i].job != NULL || engine->devices[i].recovery.is_under_way ||
		       prefetch_is_under_way(&engine->devices[i].prefetch))
			uv_run(&engine->loop, UV_RUN_ONCE);
}

/* The one that is under way notices that the node ends at its next step. */
static void
drain_deploys(struct engine *engine)
{
	while (!list_is_empty(&engine->deploys))
		uv_run(&engine->loop, UV_RUN_ONCE);
}

static void
engine_close(struct engine *engine)
{
	engine->stopping = true;
	if (engine->folder != NULL)
		folder_close(engine->folder);
	engine->folder = NULL;
	deploy_stop(engine);
	methods_trace_close(engine);
	if (engine->policy_watch != NULL)
		watch_delete(engine->policy_watch);
	if (engine->server != NULL)
		server_delete(engine->server);
	drain_deploys(engine);
	drain_devices(engine);
	joint_program_drain(engine);
	keeping_drain(engine);
	locking_drain(engine);
	clearing_drain(engine);
	if (engine->workers != NULL)
		functions_destroy(engine);
	if (engine->workers != NULL)
		worker_host_delete(engine->workers);
	models_destroy(engine);
	fusion_destroy(engine);
	if (engine->policy != NULL)
		policy_host_delete(engine->policy);
	devices_close(engine);
	submit_close(engine);
	uv_walk(&engine->loop, close_handle, NULL);
	uv_run(&engine->loop, UV_RUN_DEFAULT);
	uv_loop_close(&engine->loop);
	state_close(engine);
	engine_destroy(engine);
}

int
engine_serve(const struct config *config)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	if (engine == NULL) {
		log_error("node: no memory");
		return EXIT_FAILURE;
	}
	engine_create(engine, config);
	int status = engine_open(engine);
	if (status != 0)
		log_error("%s", error_last()->message);
	else
		loop_run(engine);
	engine_close(engine);
	free(engine);
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
