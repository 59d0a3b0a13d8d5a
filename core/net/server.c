#include "net/server.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/error.h"
#include "net/connection.h"
#include "net/listener.h"

/* Between looks for idle connections, ms, unless limits.idle_ms asks for more. */
enum { SWEEP_MS = 500 };

struct server *
server_ref(struct server *server)
{
	server->refs++;
	return server;
}

void
server_unref(struct server *server)
{
	assert(server->refs > 0);
	if (--server->refs > 0)
		return;
	buffer_pool_delete(server->pool);
	free(server);
}

/* Run what the turn of the loop has gathered; what it leads to is bounded by what was read. */
static void
run_turn(struct server *server)
{
	while (!list_is_empty(&server->to_resume) || !list_is_empty(&server->to_flush)) {
		while (!list_is_empty(&server->to_resume))
			connection_resume(
				list_entry(server->to_resume.next, struct connection, resume_link));
		while (!list_is_empty(&server->to_flush))
			connection_send(
				list_entry(server->to_flush.next, struct connection, flush_link));
	}
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct server *server = prepare->data;
	server->turn++;
	run_turn(server);
}

static void
on_check(uv_check_t *check)
{
	run_turn(check->data);
}

static void
on_sweep(uv_timer_t *timer)
{
	struct server *server = timer->data;
	list_each_safe(link, &server->connections)
		connection_sweep(list_entry(link, struct connection, link));
	list_each(link, &server->listeners)
		listener_retry(list_entry(link, struct listener, link));
}

static int
check_limits(const struct server_limits *limits)
{
	if (limits->frame_bytes == 0 || limits->connections == 0 || limits->in_flight == 0 ||
	    limits->unsent_bytes == 0)
		return error_set(ERR_INVALID_ARGUMENT, "limits: one of them is 0");
	if (limits->depth > FRAMER_DEPTH_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "limits.depth: %u, at most %d",
				 limits->depth, FRAMER_DEPTH_MAX);
	return 0;
}

/* The three handles, each of which holds the server until it has closed. None keeps the loop alive. */
static void
start_handles(struct server *server)
{
	uint64_t sweep = server->limits.idle_ms / 4 + 1;
	if (server->limits.idle_ms == 0 || sweep > SWEEP_MS)
		sweep = SWEEP_MS;
	uv_prepare_init(server->loop, &server->prepare);
	uv_check_init(server->loop, &server->check);
	uv_timer_init(server->loop, &server->sweep);
	server->prepare.data = server->check.data = server->sweep.data = server;
	server->refs += 3;
	uv_prepare_start(&server->prepare, on_prepare);
	uv_check_start(&server->check, on_check);
	uv_timer_start(&server->sweep, on_sweep, sweep, sweep);
	uv_unref((uv_handle_t *)&server->prepare);
	uv_unref((uv_handle_t *)&server->check);
	uv_unref((uv_handle_t *)&server->sweep);
}

struct server *
server_new(const struct server_options *options)
{
	if (check_limits(&options->limits) != 0)
		return NULL;
	struct server *server = calloc(1, sizeof(*server));
	if (server == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a server");
		return NULL;
	}
	server->pool = buffer_pool_new(options->loop);
	if (server->pool == NULL) {
		free(server);
		return NULL;
	}
	server->loop = options->loop;
	server->limits = options->limits;
	server->events = options->events;
	server->context = options->context;
	server->refs = 1;
	list_create(&server->listeners);
	list_create(&server->connections);
	list_create(&server->to_flush);
	list_create(&server->to_resume);
	start_handles(server);
	/* A write to a peer that has gone is an error to handle, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	return server;
}

int
server_listen(struct server *server, const char *address, int *port)
{
	assert(!server->stopped);
	return listener_open(server, address, port);
}

void
server_stop(struct server *server)
{
	server->stopped = true;
	list_each_safe(link, &server->listeners)
		listener_close(list_entry(link, struct listener, link));
	list_each_safe(link, &server->connections)
		connection_close(list_entry(link, struct connection, link));
}

static void
on_handle_closed(uv_handle_t *handle)
{
	server_unref(handle->data);
}

void
server_delete(struct server *server)
{
	server_stop(server);
	list_each_safe(link, &server->connections)
		connection_abort(list_entry(link, struct connection, link));
	uv_close((uv_handle_t *)&server->prepare, on_handle_closed);
	uv_close((uv_handle_t *)&server->check, on_handle_closed);
	uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
	server_unref(server);
}
