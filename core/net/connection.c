#include "net/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "net/message.h"

enum {
	/* The least room that a read is given. */
	READ_BYTES_MIN = 8 * 1024,
	/* The most memory that a connection without unsent replies keeps for the next. */
	OUTPUT_KEPT_BYTES = 64 * 1024,
	/* A peer that takes no replies for this long while its connection ends is cut off, ms. */
	DRAIN_MS = 10000,
	/* The wait for the peer's end after ours is shut, ms. */
	LINGER_MS = 1000,
};

/* ---- Life ---- */

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
	writer_destroy(&connection->output);
	writer_destroy(&connection->sending);
	server_unref(connection->server);
	free(connection);
}

static void
drop_input(struct connection *connection)
{
	if (connection->input != NULL)
		buffer_unref(connection->input);
	connection->input = NULL;
	connection->begin = connection->end = 0;
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	drop_input(connection);
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

static void
set_state(struct connection *connection, enum connection_state state)
{
	connection->state = state;
	connection->active_ms = uv_now(connection->server->loop);
}

/* ---- Input ---- */

static size_t
unsent_bytes(const struct connection *connection)
{
	return connection->output.bytes + connection->sending.bytes;
}

/* The peer has to wait: too many requests, or too many replies that it does not take. */
static bool
is_blocked(const struct connection *connection)
{
	const struct server_limits *limits = &connection->server->limits;
	return connection->in_flight >= limits->in_flight ||
	       unsent_bytes(connection) >= limits->unsent_bytes;
}

/* A buffer with room behind what has come of the frame under way; 0 or -1. */
static int
make_room(struct connection *connection)
{
	size_t have = connection->end - connection->begin;
	size_t need = framer_needs(&connection->framer);
	struct buffer *old = connection->input;
	if (need < have + READ_BYTES_MIN)
		need = have + READ_BYTES_MIN;
	if (old != NULL && old->room - connection->begin >= need &&
	    old->room - connection->end >= READ_BYTES_MIN / 2)
		return 0;
	if (old != NULL && old->refs == 1 && old->room >= need) {
		memmove(old->data, old->data + connection->begin, have);
	} else {
		/* Twice what is there when the length of the frame is not known yet. */
		struct buffer *larger =
			buffer_new(connection->server->pool, need > 2 * have ? need : 2 * have);
		if (larger == NULL)
			return -1;
		if (have > 0)
			memcpy(larger->data, old->data + connection->begin, have);
		if (old != NULL)
			buffer_unref(old);
		connection->input = larger;
	}
	connection->begin = 0;
	connection->end = have;
	return 0;
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *space)
{
	struct connection *connection = handle->data;
	*space = uv_buf_init(NULL, 0);
	if (connection->state != CONNECTION_OPEN) {
		/* What comes is thrown away. */
		drop_input(connection);
		framer_reset(&connection->framer);
	}
	if (make_room(connection) != 0)
		return;
	struct buffer *input = connection->input;
	space->base = (char *)input->data + connection->end;
	space->len = input->room - connection->end;
}

/* Keep the input buffer only while something in it is needed. */
static void
recycle_input(struct connection *connection)
{
	struct buffer *input = connection->input;
	if (input == NULL || connection->begin < connection->end)
		return;
	if (input->refs == 1 || input->room - connection->end < READ_BYTES_MIN)
		drop_input(connection);
}

/* Tell the peer what is wrong with its bytes, and close: where the next frame would begin is not known. */
static void
refuse_input(struct connection *connection)
{
	struct slice rest = { connection->input->data + connection->begin,
			      connection->end - connection->begin };
	log_debug("connection %s: %s", connection->peer, error_last()->message);
	writer_error(&connection->output, message_peek_id(rest), error_last(), NULL);
	connection_close(connection);
}

/*
 * A frame is an array. Other bytes come from a peer that speaks something else, of which each could be a value: one error
 * is enough.
 */
static int
check_start(unsigned char first)
{
	if ((first & 0xf0) == 0x90 || first == 0xdc || first == 0xdd)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT,
			 "frame: begins with byte 0x%02x, a message is a MessagePack array", first);
}

/* The next whole frame of the input; false when there is none. */
static bool
next_frame(struct connection *connection, struct slice *frame)
{
	size_t bytes;
	frame->data = connection->input->data + connection->begin;
	if (check_start(frame->data[0]) != 0 ||
	    framer_scan(&connection->framer, frame->data, connection->end - connection->begin,
			&bytes) != 0) {
		refuse_input(connection);
		return false;
	}
	frame->bytes = bytes;
	connection->begin += bytes;
	return bytes > 0;
}

static void
on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *space);

static void
update_reading(struct connection *connection)
{
	bool should = connection->state == CONNECTION_LINGERING ||
		      (connection->state == CONNECTION_OPEN && !is_blocked(connection));
	if (connection->state == CONNECTION_CLOSED || should == connection->reading)
		return;
	connection->reading = should;
	if (should)
		(void)uv_read_start(&connection->uv.stream, on_alloc, on_read);
	else
		uv_read_stop(&connection->uv.stream);
}

/* Hand over the frames that are there, as far as the limits let. */
static void
deliver(struct connection *connection)
{
	const struct server_events *events = &connection->server->events;
	void *context = connection->server->context;
	struct slice frame;
	bool any = false;
	connection_ref(connection);
	while (connection->state == CONNECTION_OPEN && connection->begin < connection->end &&
	       !is_blocked(connection) && next_frame(connection, &frame)) {
		events->frame(context, connection, frame);
		any = true;
	}
	recycle_input(connection);
	if (any)
		events->batch_end(context);
	update_reading(connection);
	connection_unref(connection);
}

static void
on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *space)
{
	struct connection *connection = stream->data;
	if (bytes < 0) {
		if (bytes == UV_ENOBUFS)
			log_error("connection %s: %s", connection->peer, error_last()->message);
		connection_abort(connection);
		return;
	}
	if (connection->state != CONNECTION_OPEN)
		return;
	connection->end += (size_t)bytes;
	connection->active_ms = uv_now(connection->server->loop);
	deliver(connection);
}

void
connection_resume(struct connection *connection)
{
	list_remove(&connection->resume_link);
	if (connection->state == CONNECTION_OPEN)
		deliver(connection);
}

/* Something that may have held the peer up has gone: if nothing else does, go on from the loop. */
static void
resume_later(struct connection *connection)
{
	if (connection->state == CONNECTION_OPEN && !connection->reading &&
	    !is_blocked(connection) && list_is_empty(&connection->resume_link))
		list_push_back(&connection->server->to_resume, &connection->resume_link);
}

void *
connection_hold_frame(struct connection *connection)
{
	assert(connection->input != NULL);
	return buffer_ref(connection->input);
}

void
connection_release_frame(void *token)
{
	buffer_unref(token);
}

void
connection_request_begun(struct connection *connection)
{
	connection->in_flight++;
}

void
connection_request_ended(struct connection *connection)
{
	assert(connection->in_flight > 0);
	connection->in_flight--;
	connection->active_ms = uv_now(connection->server->loop);
	resume_later(connection);
}

/* ---- Output ---- */

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
		update_reading(connection);
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
	resume_later(connection);
	if (connection->state == CONNECTION_DRAINING && unsent_bytes(connection) == 0)
		linger(connection);
}

void
connection_close(struct connection *connection)
{
	if (connection->state != CONNECTION_OPEN)
		return;
	set_state(connection, CONNECTION_DRAINING);
	update_reading(connection);
	connection_flush(connection);
}

void
connection_sweep(struct connection *connection)
{
	uint64_t limit = connection->server->limits.idle_ms;
	uint64_t quiet = uv_now(connection->server->loop) - connection->active_ms;
	bool idle = connection->in_flight == 0 && unsent_bytes(connection) == 0;
	if (connection->state == CONNECTION_OPEN) {
		if (idle && limit > 0 && quiet >= limit)
			connection_close(connection);
		else if (connection->write_pending && limit > 0 && quiet >= limit)
			connection_abort(connection);
	} else if (quiet >= (connection->state == CONNECTION_DRAINING ? DRAIN_MS : LINGER_MS)) {
		connection_abort(connection);
	}
}

/* ---- Accepting, and what the path asks ---- */

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
	connection->loopback = address_is_loopback(&peer);
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
	writer_create(&connection->output);
	writer_create(&connection->sending);
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
	if (send_output(connection) != 0)
		log_debug("connection %s: went before it was told", connection->peer);
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
	update_reading(connection);
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

bool
connection_is_loopback(const struct connection *connection)
{
	return connection->loopback;
}

bool
connection_is_open(const struct connection *connection)
{
	return connection->state == CONNECTION_OPEN;
}

const char *
connection_peer(const struct connection *connection)
{
	return connection->peer;
}
