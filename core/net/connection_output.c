#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/scrap.h"
#include "net/connection.h"

enum {
	/* The most memory that a connection without unsent replies keeps for the next. */
	OUTPUT_KEPT_BYTES = 64 * 1024,
	/* What is sent at a time; the kernel copies it in 10 to 20 µs. */
	SLICE_BYTES = 64 * 1024,
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
	return connection->output.bytes + connection->parcel_bytes;
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

/* --- parcels -------------------------------------------------------------------------------------------------------- */

/* Output that waits to be sent slice by slice: a large reply is a short turn of the loop's at a time in the way of others. */
struct parcel {
	struct list link;
	struct writer content;
	size_t sent;
};

/* Into the line, with what of it was sent; the writer is empty then. -1 with the error set. */
static int
pack(struct connection *connection, struct writer *content, size_t sent)
{
	struct parcel *parcel = malloc(sizeof(*parcel));
	if (parcel == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a reply");
	*parcel = (struct parcel){ .content = *content, .sent = sent };
	list_create(&parcel->link);
	list_push_back(&connection->parcels, &parcel->link);
	connection->parcel_bytes += content->bytes - sent;
	writer_create(content);
	return 0;
}

static struct parcel *
first_parcel(struct connection *connection)
{
	return list_entry(connection->parcels.next, struct parcel, link);
}

static void
drop(struct connection *connection, struct parcel *parcel)
{
	size_t bytes = parcel->content.room;
	list_remove(&parcel->link);
	scrap(connection->server->loop, scrap_malloced, writer_take(&parcel->content), bytes);
	free(parcel);
}

void
connection_drop_output(struct connection *connection)
{
	while (!list_is_empty(&connection->parcels))
		drop(connection, first_parcel(connection));
	writer_destroy(&connection->output);
}

void
connection_append(struct connection *connection, struct writer *from)
{
	struct writer *output = &connection->output;
	if (from->bytes <= OUTPUT_KEPT_BYTES || writer_finish(output) != 0) {
		writer_raw(output, from->data, from->bytes);
		writer_reset(from, OUTPUT_KEPT_BYTES);
		return;
	}
	if ((output->bytes > 0 && pack(connection, output, 0) != 0) ||
	    pack(connection, from, 0) != 0)
		output->failed = true;
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static void
on_written(uv_write_t *request, int status)
{
	struct connection *connection = request->handle->data;
	struct parcel *parcel = first_parcel(connection);
	connection->write_pending = false;
	if (status != 0) {
		connection_abort(connection);
		return;
	}
	parcel->sent += connection->slice_bytes;
	connection->parcel_bytes -= connection->slice_bytes;
	if (parcel->sent == parcel->content.bytes)
		drop(connection, parcel);
	connection->active_ms = uv_now(connection->server->loop);
	connection_send(connection);
}

/* The next slice of the first parcel; what the kernel does not take at once, when it has room. */
static int
send_slice(struct connection *connection)
{
	struct parcel *parcel = first_parcel(connection);
	size_t left = parcel->content.bytes - parcel->sent;
	size_t some = left < SLICE_BYTES ? left : SLICE_BYTES;
	uv_buf_t slice = { .base = (char *)parcel->content.data + parcel->sent, .len = some };
	connection->slice_bytes = some;
	connection->write_pending = true;
	return uv_write(&connection->write, &connection->uv.stream, &slice, 1, on_written);
}

/* What fits into a slice is written without a parcel; 0 or -1. */
static int
send_at_once(struct connection *connection)
{
	struct writer *output = &connection->output;
	uv_buf_t all = { .base = (char *)output->data, .len = output->bytes };
	int sent = uv_try_write(&connection->uv.stream, &all, 1);
	if (sent < 0 && sent != UV_EAGAIN)
		return -1;
	if (sent >= 0 && (size_t)sent == output->bytes) {
		writer_reset(output, OUTPUT_KEPT_BYTES);
		return 0;
	}
	if (pack(connection, output, sent < 0 ? 0 : (size_t)sent) != 0)
		return -1;
	return send_slice(connection);
}

/* 0 or -1. */
static int
send_output(struct connection *connection)
{
	struct writer *output = &connection->output;
	if (writer_finish(output) != 0) {
		log_error("connection %s: %s", connection->peer, error_last()->message);
		return -1;
	}
	if (list_is_empty(&connection->parcels) && output->bytes <= SLICE_BYTES)
		return send_at_once(connection);
	if (output->bytes > 0 && pack(connection, output, 0) != 0)
		return -1;
	return send_slice(connection);
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
	if (connection_unsent(connection) > 0 || connection->output.failed) {
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
