#include "base/error.h"
#include "base/log.h"
#include "net/connection.h"

enum {
	/* The most memory that a connection without unsent replies keeps for the next. */
	OUTPUT_KEPT_BYTES = 64 * 1024,
};

static void
set_state(struct connection *connection, enum connection_state state)
{
	connection->state = state;
	connection->active_ms = uv_now(connection->server->loop);
}

size_t
connection_unsent(const struct connection *connection)
{
	return connection->output.bytes + connection->sending.bytes;
}

struct writer *
connection_output(struct connection *connection)
{
	return connection->state == CONNECTION_OPEN ? &connection->output : NULL;
}

void
connection_flush(struct connection *connection)
{
	if (connection->state <= CONNECTION_DRAINING && list_is_empty(&connection->flush_link))
		list_push_back(&connection->server->to_flush, &connection->flush_link);
}

static void
on_shutdown(uv_shutdown_t *request, int status)
{
	struct connection *connection = request->handle->data;
	if (status != 0)
		connection_abort(connection);
}

/* All is sent: shut our side and wait for the peer's end. */
static void
linger(struct connection *connection)
{
	set_state(connection, CONNECTION_LINGERING);
	if (uv_shutdown(&connection->shutdown, &connection->uv.stream, on_shutdown) != 0)
		connection_abort(connection);
	else
		connection_update_reading(connection);
}

static void
on_written(uv_write_t *request, int status)
{
	struct connection *connection = request->handle->data;
	connection->write_pending = false;
	writer_reset(&connection->sending, 0);
	if (status != 0) {
		connection_abort(connection);
		return;
	}
	connection->active_ms = uv_now(connection->server->loop);
	connection_send(connection);
}

/* The kernel took only `sent` bytes of the output: give it the rest when it has room. */
static void
send_rest(struct connection *connection, size_t sent)
{
	struct writer *sending = &connection->sending;
	*sending = connection->output;
	writer_create(&connection->output);
	uv_buf_t rest = { .base = (char *)sending->data + sent, .len = sending->bytes - sent };
	connection->write_pending = true;
	if (uv_write(&connection->write, &connection->uv.stream, &rest, 1, on_written) != 0)
		connection_abort(connection);
}

/* Write the output as far as the kernel takes it at once; 0 or -1. */
static int
send_output(struct connection *connection)
{
	struct writer *output = &connection->output;
	if (writer_finish(output) != 0) {
		log_error("connection %s: %s", connection->peer, error_last()->message);
		return -1;
	}
	/* uv_try_write says how much in an int. */
	size_t first = output->bytes < INT32_MAX ? output->bytes : INT32_MAX;
	uv_buf_t some = { .base = (char *)output->data, .len = first };
	int sent = uv_try_write(&connection->uv.stream, &some, 1);
	if (sent < 0 && sent != UV_EAGAIN)
		return -1;
	if (sent >= 0 && (size_t)sent == output->bytes)
		writer_reset(output, OUTPUT_KEPT_BYTES);
	else
		send_rest(connection, sent < 0 ? 0 : (size_t)sent);
	return 0;
}

bool
connection_is_full(struct connection *connection)
{
	bool is_full = connection_unsent(connection) >= connection->server->limits.unsent_bytes;
	connection->tells_drained |= is_full;
	return is_full;
}

static void
tell_drained(struct connection *connection)
{
	const struct server *server = connection->server;
	if (!connection->tells_drained ||
	    connection_unsent(connection) >= server->limits.unsent_bytes)
		return;
	connection->tells_drained = false;
	if (server->events.drained != NULL)
		server->events.drained(server->context, connection);
}

void
connection_send(struct connection *connection)
{
	list_remove(&connection->flush_link);
	if (connection->state > CONNECTION_DRAINING || connection->write_pending)
		return;
	if (connection->output.bytes > 0 || connection->output.failed) {
		if (send_output(connection) != 0) {
			connection_abort(connection);
			return;
		}
	}
	connection_resume_later(connection);
	tell_drained(connection);
	if (connection->state == CONNECTION_DRAINING && connection_unsent(connection) == 0)
		linger(connection);
}

void
connection_close(struct connection *connection)
{
	if (connection->state != CONNECTION_OPEN)
		return;
	set_state(connection, CONNECTION_DRAINING);
	connection_update_reading(connection);
	connection_flush(connection);
}
