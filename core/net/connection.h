/*
 * A connection from the inside: what server.c, connection.c (its life), connection_input.c and connection_output.c share.
 * The path uses server.h. Loop thread only.
 *
 * States go one way. OPEN: frames in, replies out. DRAINING: nothing more is read or taken in; what is unsent goes out.
 * LINGERING: our side is shut, input is thrown away until the peer's end comes, so that a last reply is not lost to a
 * reset. CLOSED: the handle closes; the memory stays until the last reference goes.
 */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "net/address.h"
#include "net/buffer.h"
#include "net/framer.h"
#include "net/server.h"
#include "net/writer.h"

enum connection_state {
	CONNECTION_OPEN,
	CONNECTION_DRAINING,
	CONNECTION_LINGERING,
	CONNECTION_CLOSED,
};

struct connection {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	struct server *server;
	/* In the server's lists: of all, of those to flush, of those that may go on reading. */
	struct list link;
	struct list flush_link;
	struct list resume_link;
	/* One is the handle's, until it has closed. */
	uint32_t refs;
	enum connection_state state;
	/* The handle reads. */
	bool reading;
	/* The opened event was called, so the closed one will be. */
	bool announced;
	/* Somebody waits for the output to drain. */
	bool tells_drained;
	char peer[64];
	void *user;
	/* Bytes that came in and are not delivered: input->data[begin … end). input is NULL when there are none. */
	struct buffer *input;
	size_t begin;
	size_t end;
	/* The turn of the server's in which it has last read, and what it has read in it. */
	uint64_t read_turn;
	size_t read_bytes;
	struct framer framer;
	/* Requests taken in and not answered. */
	uint32_t in_flight;
	/*
	 * Replies that the kernel has not taken: what waits to be sent slice by slice, the oldest
	 * first (connection_output.c), its bytes, and what was written after that.
	 */
	struct list parcels;
	size_t parcel_bytes;
	struct writer output;
	/* A slice of the first parcel, of so many bytes, is on its way. */
	uv_write_t write;
	size_t slice_bytes;
	bool write_pending;
	uv_shutdown_t shutdown;
	/* Loop time, ms, of the last sign of life, or of the last change of state. */
	uint64_t active_ms;
};

/* What the connections of one server share. */
struct server {
	uv_loop_t *loop;
	struct server_limits limits;
	struct server_events events;
	void *context;
	struct buffer_pool *pool;
	/* The owner, each connection and each handle that has not closed. */
	uint32_t refs;
	struct list listeners;
	struct list connections;
	struct list to_flush;
	struct list to_resume;
	uint32_t connection_count;
	/* Turns of the loop so far. */
	uint64_t turn;
	/* Before and after the loop waits: flush and resume. */
	uv_prepare_t prepare;
	uv_check_t check;
	/* Looks for idle connections. */
	uv_timer_t sweep;
	bool stopped;
};

struct server *
server_ref(struct server *server);
void
server_unref(struct server *server);

/*
 * Take in the peer that waits at listener, or turn it away when there are too many. -1 with the error set when it could
 * not be taken off the listener, which then waits for another try.
 */
int
connection_accept(struct server *server, uv_stream_t *listener, int family)
	__attribute__((warn_unused_result));
/* Close at once; what is unsent is lost. The closed event is called. */
void
connection_abort(struct connection *connection);
/* Close if idle for too long, if the peer takes no replies for as long, or if closing takes too long. */
void
connection_sweep(struct connection *connection);

/* Go on with frames that wait, and with reading. */
void
connection_resume(struct connection *connection);
/* Something that may have held the peer up has gone: if nothing else does, connection_resume from the loop. */
void
connection_resume_later(struct connection *connection);
/* Read, or do not, as state and limits say. */
void
connection_update_reading(struct connection *connection);
/* Let go of the input buffer and what is in it. */
void
connection_drop_input(struct connection *connection);

/* Send a slice of what is in the output, as far as the kernel takes it at once; the rest follows by itself. */
void
connection_send(struct connection *connection);
/* Let go of what is unsent. */
void
connection_drop_output(struct connection *connection);
/* Bytes of replies that the kernel has not taken. */
size_t
connection_unsent(const struct connection *connection);
