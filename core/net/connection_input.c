#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "net/connection.h"
#include "net/message.h"

enum {
	/* The least room that a read is given. */
	READ_BYTES_MIN = 8 * 1024,
	/* The most that a connection reads, and has looked through, before others have their turn. */
	READ_TURN_BYTES = 32 * 1024,
};

void
connection_drop_input(struct connection *connection)
{
	if (connection->input != NULL)
		buffer_unref(connection->input);
	connection->input = NULL;
	connection->begin = connection->end = 0;
}

/* The peer has to wait: too many requests, or too many replies that it does not take. */
static bool
is_blocked(const struct connection *connection)
{
	const struct server_limits *limits = &connection->server->limits;
	return connection->in_flight >= limits->in_flight ||
	       connection_unsent(connection) >= limits->unsent_bytes;
}

/* A buffer with room behind what has come of the frame under way; 0 or -1. */
static int
make_room(struct connection *connection)
{
	size_t have = connection->end - connection->begin;
	size_t need = framer_needs(&connection->framer);
	struct buffer *old = connection->input;
	/* The end of the frame is not known yet. */
	if (need <= have)
		need = have + READ_BYTES_MIN;
	if (old != NULL && old->room - connection->begin >= need &&
	    (connection->begin == 0 || old->room - connection->end >= READ_BYTES_MIN))
		return 0;
	if (old != NULL && old->refs == 1 && old->room >= need) {
		memmove(old->data, old->data + connection->begin, have);
	} else {
		/* At least twice what is there, so that a frame that grows is not copied each time. */
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

/* Bytes that it may read in this turn of the loop. */
static size_t
turn_left(struct connection *connection)
{
	if (connection->read_turn != connection->server->turn) {
		connection->read_turn = connection->server->turn;
		connection->read_bytes = 0;
	}
	return READ_TURN_BYTES - connection->read_bytes;
}

/* Without space libuv reads no more in this turn of the loop, and asks again in the next. */
static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *space)
{
	struct connection *connection = handle->data;
	size_t left = turn_left(connection);
	*space = uv_buf_init(NULL, 0);
	if (left == 0)
		return;
	if (connection->state != CONNECTION_OPEN) {
		/* What comes is thrown away. */
		connection_drop_input(connection);
		framer_reset(&connection->framer);
	}
	if (make_room(connection) != 0)
		return;
	struct buffer *input = connection->input;
	space->base = (char *)input->data + connection->end;
	space->len = input->room - connection->end;
	if (space->len > left)
		space->len = left;
}

/* Keep the input buffer only while something in it is needed. */
static void
recycle_input(struct connection *connection)
{
	struct buffer *input = connection->input;
	if (input == NULL || connection->begin < connection->end)
		return;
	if (input->refs == 1 || input->room - connection->end < READ_BYTES_MIN)
		connection_drop_input(connection);
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

void
connection_update_reading(struct connection *connection)
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
	connection_update_reading(connection);
	connection_unref(connection);
}

static void
on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *space)
{
	struct connection *connection = stream->data;
	if (bytes == UV_ENOBUFS && turn_left(connection) == 0)
		return;
	if (bytes < 0) {
		if (bytes == UV_ENOBUFS)
			log_error("connection %s: %s", connection->peer, error_last()->message);
		connection_abort(connection);
		return;
	}
	connection->read_bytes += (size_t)bytes;
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

void
connection_resume_later(struct connection *connection)
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
	connection_resume_later(connection);
}
