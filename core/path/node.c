#include "path/node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/accept.h"
#include "path/deploy.h"
#include "path/functions.h"
#include "path/handle.h"
#include "path/job.h"
#include "path/methods_policy.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/state.h"
#include "path/submit.h"
#include "path/view.h"

enum {
	TICK_MS = 2,
	READY_LINE_BYTES = 4096,
};

void
node_event(struct node *node, const char *kind, const char *name, const char *detail)
{
	log_info("%s: %s%s%s", kind, name, detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
	list_each (link, &node->clients) {
		struct client *client = list_entry(link, struct client, of_node);
		struct writer *output =
			client->watches ? connection_output(client->connection) : NULL;
		if (output == NULL)
			continue;
		writer_array(output, 3);
		writer_uint(output, MESSAGE_NOTIFICATION);
		writer_string(output, "event");
		writer_array(output, 1);
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
}

/* --- devices ------------------------------------------------------------------------------------------------------- */

static int
open_device(struct node *node, uint32_t id)
{
	struct node_device *device = &node->devices[id];
	const struct config_device *config = &node->config->devices[id];
	device->node = node;
	device->view.id = id;
	list_create(&device->parked);
	device->device = device_open(config->kind, &config->options);
	if (device->device == NULL)
		return error_wrap("devices[%u]", id + 1);
	const struct device_properties *properties = device_properties(device->device);
	device->view.switch_id = properties->switch_id;
	device->view.link_rate = properties->link_rate;
	device->view.peer_rate = properties->peer_rate;
	device->pool = pool_new(device->device, properties->memory_bytes);
	if (device->pool == NULL)
		return error_wrap("devices[%u]", id + 1);
	device->compute = stream_new(device->device, STREAM_COMPUTE);
	device->copy_in = stream_new(device->device, STREAM_COPY_IN);
	if (device->compute == NULL || device->copy_in == NULL || submit_start(device) != 0)
		return error_wrap("devices[%u]", id + 1);
	device->is_running = true;
	view_device_memory(device);
	view_device_busy(device, NULL);
	log_info("device %u: %s %s, %llu MiB, %u threads", id, device_kind_name(properties->kind),
		 properties->name, (unsigned long long)(properties->memory_bytes >> 20),
		 properties->threads);
	return 0;
}

static void
close_device(struct node_device *device)
{
	if (device->is_running)
		submit_stop(device);
	if (device->compute != NULL)
		stream_delete(device->compute);
	if (device->copy_in != NULL)
		stream_delete(device->copy_in);
	if (device->scratch != NULL)
		pool_free(device->pool, device->scratch);
	if (device->pool != NULL)
		pool_delete(device->pool);
	if (device->device != NULL)
		device_close(device->device);
}

static int
open_devices(struct node *node)
{
	node->devices = calloc(node->config->device_count, sizeof(*node->devices));
	if (node->devices == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for its devices");
	for (uint32_t id = 0; id < node->config->device_count; id++) {
		node->device_count++;
		if (open_device(node, id) != 0)
			return -1;
	}
	const struct device_properties *first = device_properties(node->devices[0].device);
	node->model_options = (struct model_options){ .kind = first->kind,
						      .threads = first->threads,
						      .group_bytes = node->config->group_bytes };
	snprintf(node->cache_folder, sizeof(node->cache_folder), "%s/cache", node->config->state);
	node->model_options.cache_folder = node->cache_folder;
	return view_create(node);
}

/* --- policy -------------------------------------------------------------------------------------------------------- */

static void
each_job(void *context, void (*visit)(void *host, const struct view_job *job), void *host)
{
	struct node *node = context;
	list_each (link, &node->jobs)
		visit(host, &list_entry(link, struct job, of_node)->view);
}

static void
policy_replaced(void *context, const char *from, const char *to, const struct error *why)
{
	char detail[ERROR_MESSAGE_BYTES];
	if (why == NULL || why->code == ERR_OK) {
		node_event(context, "policy_changed", to, NULL);
		return;
	}
	log_error("policy '%s' was replaced by '%s': %s", from, to, why->message);
	snprintf(detail, sizeof(detail), "'%s' failed: %.900s", from, why->message);
	node_event(context, "policy_replaced", to, detail);
	schedule_want_dispatch(context);
}

static int
open_policy(struct node *node)
{
	struct policy_options options = { .node = &node->view,
					  .each_job = each_job,
					  .replaced = policy_replaced,
					  .context = node };
	node->policy = policy_host_new(&options);
	if (node->policy == NULL)
		return -1;
	if (node->config->policy == NULL) {
		policy_restore(node);
		return 0;
	}
	if (policy_load_file(node, node->config->policy) != 0)
		return -1;
	if (!node->config->watch)
		return 0;
	node->policy_watch =
		watch_new(&node->loop, node->config->policy, policy_file_changed, node);
	return node->policy_watch == NULL ? -1 : 0;
}

/* --- the loop ------------------------------------------------------------------------------------------------------ */

static void
expire(struct node *node, uint64_t now)
{
	list_each_safe(link, &node->deadlines)
	{
		struct request *request = list_entry(link, struct request, of_deadlines);
		if (now < request->deadline)
			continue;
		list_remove(&request->of_deadlines);
		request_cancel(request, ERR_DEADLINE_EXCEEDED, "the deadline has passed");
		/* A cancelled request may have ended others beside it. */
		expire(node, now);
		return;
	}
}

static void
on_tick(uv_timer_t *timer)
{
	struct node *node = timer->data;
	uint64_t now = clock_now();
	node->view.now = now;
	expire(node, now);
	if (node->view.job_count > 0) {
		policy_tick(node->policy, now);
		schedule_want_dispatch(node);
	}
}

static void
on_check(uv_check_t *check)
{
	schedule_dispatch(check->data);
}

static void
on_signal(uv_signal_t *signal, int number)
{
	struct node *node = signal->data;
	log_info("signal %d: shutting down", number);
	node_stop(node);
}

void
node_stop(struct node *node)
{
	if (node->stopping)
		return;
	node->stopping = true;
	deploy_stop(node);
	server_stop(node->server);
	uv_stop(&node->loop);
}

static int
open_loop(struct node *node)
{
	if (uv_loop_init(&node->loop) != 0)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: cannot make an event loop");
	uv_timer_init(&node->loop, &node->tick);
	uv_check_init(&node->loop, &node->check);
	uv_signal_init(&node->loop, &node->sigint);
	uv_signal_init(&node->loop, &node->sigterm);
	node->tick.data = node->check.data = node->sigint.data = node->sigterm.data = node;
	uv_timer_start(&node->tick, on_tick, TICK_MS, TICK_MS);
	uv_check_start(&node->check, on_check);
	uv_signal_start(&node->sigint, on_signal, SIGINT);
	uv_signal_start(&node->sigterm, on_signal, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	return submit_open(node);
}

static int
open_workers(struct node *node)
{
	struct worker_options options = { .loop = &node->loop,
					  .events = handle_events,
					  .context = node,
					  .tracebacks = node->config->worker.tracebacks,
					  .idle_ms = node->config->worker.idle_ms };
	node->workers = worker_host_new(&options);
	return node->workers == NULL ? -1 : 0;
}

/* Listen everywhere, then say where on one line of standard output: what starts the node waits for it. */
static int
open_server(struct node *node)
{
	struct server_options options = { .loop = &node->loop,
					  .limits = node->config->limits,
					  .events = accept_events,
					  .context = node };
	char line[READY_LINE_BYTES];
	int used = snprintf(line, sizeof(line), "tidepool ready");
	node->server = server_new(&options);
	if (node->server == NULL)
		return -1;
	for (uint32_t i = 0; i < node->config->listen_count; i++) {
		const char *address = node->config->listen[i];
		int port = 0;
		if (server_listen(node->server, address, &port) != 0)
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

static int
node_open(struct node *node)
{
	list_create(&node->clients);
	list_create(&node->jobs);
	list_create(&node->deadlines);
	list_create(&node->models);
	list_create(&node->functions);
	list_create(&node->deploys);
	list_create(&node->idle_requests);
	node->started_at = clock_now();
	if (open_loop(node) != 0 || state_open(node) != 0 || open_devices(node) != 0 ||
	    open_policy(node) != 0 || open_workers(node) != 0 || models_restore(node) != 0 ||
	    deploy_restore(node) != 0)
		return -1;
	/* Clients that connect after a restart find what was deployed. */
	while (node->restoring > 0 && !node->stopping)
		uv_run(&node->loop, UV_RUN_ONCE);
	return open_server(node);
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
drain_devices(struct node *node)
{
	for (uint32_t i = 0; i < node->device_count; i++)
		while (node->devices[i].job != NULL)
			uv_run(&node->loop, UV_RUN_ONCE);
}

static void
free_idle_requests(struct node *node)
{
	while (!list_is_empty(&node->idle_requests)) {
		struct request *request = list_entry(list_pop_front(&node->idle_requests),
						     struct request, of_client);
		arena_destroy(&request->arena);
		free(request);
	}
}

static void
node_close(struct node *node)
{
	node->stopping = true;
	if (node->policy_watch != NULL)
		watch_delete(node->policy_watch);
	if (node->server != NULL)
		server_delete(node->server);
	drain_devices(node);
	if (node->workers != NULL)
		functions_destroy(node);
	if (node->workers != NULL)
		worker_host_delete(node->workers);
	models_destroy(node);
	if (node->policy != NULL)
		policy_host_delete(node->policy);
	for (uint32_t i = 0; i < node->device_count; i++)
		close_device(&node->devices[i]);
	free(node->devices);
	submit_close(node);
	uv_walk(&node->loop, close_handle, NULL);
	uv_run(&node->loop, UV_RUN_DEFAULT);
	uv_loop_close(&node->loop);
	view_destroy(node);
	free_idle_requests(node);
}

int
node_serve(const struct config *config)
{
	struct node *node = calloc(1, sizeof(*node));
	if (node == NULL) {
		log_error("node: no memory");
		return EXIT_FAILURE;
	}
	node->config = config;
	int status = node_open(node);
	if (status != 0)
		log_error("%s", error_last()->message);
	else
		uv_run(&node->loop, UV_RUN_DEFAULT);
	node_close(node);
	free(node);
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
