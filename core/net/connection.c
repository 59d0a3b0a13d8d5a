#include "net/connection.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"

enum {
	/* A peer that takes no replies for this long while its connection ends is cut off, ms. */
	DRAIN_MS = 10000,
	/* The wait for the peer's end after ours is shut, ms. */
	LINGER_MS = 1000,
};

struct connection *
connection_ref(struct connection *connection)
{
	connection->refs++;
	return connection;
}

void
connection_unref(struct connection *connection)
{
	assert(connection->refs > 0);
	if (--connection->refs > 0)
		return;
	connection_drop_output(connection);
	server_unref(connection->server);
	free(connection);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	connection_drop_input(connection);
	connection_unref(connection);
}

void
connection_abort(struct connection *connection)
{
	struct server *server = connection->server;
	if (connection->state == CONNECTION_CLOSED)
		return;
	connection->state = CONNECTION_CLOSED;
	list_remove(&connection->link);
	list_remove(&connection->flush_link);
	list_remove(&connection->resume_link);
	server->connection_count--;
	uv_close(&connection->uv.handle, on_handle_closed);
	if (connection->announced)
		server->events.closed(server->context, connection);
}

void
connection_sweep(struct connection *connection)
{
	uint64_t limit = connection->server->limits.idle_ms;
	uint64_t quiet = uv_now(connection->server->loop) - connection->active_ms;
	bool idle = connection->in_flight == 0 && connection_unsent(connection) == 0;
	if (connection->state == CONNECTION_OPEN) {
		if (idle && limit > 0 && quiet >= limit)
			connection_close(connection);
		else if (connection->write_pending && limit > 0 && quiet >= limit)
			connection_abort(connection);
	} else if (quiet >= (connection->state == CONNECTION_DRAINING ? DRAIN_MS : LINGER_MS)) {
		connection_abort(connection);
	}
}

static int
init_handle(struct connection *connection, int family)
{
	uv_loop_t *loop = connection->server->loop;
	int status = family == AF_UNIX ? uv_pipe_init(loop, &connection->uv.pipe, 0)
				       : uv_tcp_init(loop, &connection->uv.tcp);
	connection->uv.handle.data = connection;
	return status;
}

static void
learn_peer(struct connection *connection, int family)
{
	struct address peer = { .family = family };
	int length = sizeof(peer.as);
	if (family != AF_UNIX) {
		(void)uv_tcp_nodelay(&connection->uv.tcp, 1);
		if (uv_tcp_getpeername(&connection->uv.tcp, &peer.as.any, &length) == 0)
			peer.family = peer.as.any.sa_family;
	}
	address_format(&peer, connection->peer, sizeof(connection->peer));
}

/* NULL when there is no memory. */
static struct connection *
connection_new(struct server *server, int family)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a connection");
		return NULL;
	}
	connection->server = server_ref(server);
	connection->refs = 1;
	list_create(&connection->flush_link);
	list_create(&connection->resume_link);
	framer_create(&connection->framer, server->limits.frame_bytes, server->limits.depth);
	list_create(&connection->parcels);
	writer_create(&connection->output);
	connection->active_ms = uv_now(server->loop);
	if (init_handle(connection, family) != 0) {
		connection_unref(connection);
		error_set(ERR_RESOURCE_EXHAUSTED, "no handle for a connection");
		return NULL;
	}
	list_push_back(&server->connections, &connection->link);
	server->connection_count++;
	return connection;
}

/* Say so if the peer can take it, and close without waiting: those in excess must cost nothing. */
static void
turn_away(struct connection *connection)
{
	error_set(ERR_RESOURCE_EXHAUSTED, "connections: the limit of %u is reached",
		  connection->server->limits.connections);
	log_warn("connection %s: turned away: %s", connection->peer, error_last()->message);
	writer_error(&connection->output, 0, error_last(), NULL);
	connection_send(connection);
	connection_abort(connection);
}

int
connection_accept(struct server *server, uv_stream_t *listener, int family)
{
	struct connection *connection = connection_new(server, family);
	if (connection == NULL)
		return -1;
	int status = uv_accept(listener, &connection->uv.stream);
	if (status != 0) {
		log_warn("accept: %s", uv_strerror(status));
		connection_abort(connection);
		return 0;
	}
	learn_peer(connection, family);
	if (server->connection_count > server->limits.connections) {
		turn_away(connection);
		return 0;
	}
	connection->announced = true;
	server->events.opened(server->context, connection);
	connection_update_reading(connection);
	return 0;
}

void
connection_set_user(struct connection *connection, void *user)
{
	connection->user = user;
}

void *
connection_user(const struct connection *connection)
{
	return connection->user;
}

const char *
connection_peer(const struct connection *connection)
{
	return connection->peer;
}
