/*
 * The server: listens on TCP and Unix sockets, frames what comes in, writes what goes out. Loop thread only. What a frame
 * means is the path's business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/message.h"

struct uv_loop_s;
struct server;
struct connection;

struct server_limits {
	/* Most bytes of one frame, and nesting (at most FRAMER_DEPTH_MAX). A frame over them ends the connection with an error
	 * reply. */
	size_t frame_bytes;
	uint32_t depth;
	/* One more is told RESOURCE_EXHAUSTED and closed. */
	uint32_t connections;
	/* Requests of one connection that may wait for replies; reading stops there and goes on below it. */
	uint32_t in_flight;
	/* Bytes of replies that may wait to be sent on one connection; reading stops there. */
	size_t unsent_bytes;
	/* Close a connection that sent nothing and waits for nothing for this long, ms; 0: never. */
	uint64_t idle_ms;
};

/* What the server tells the path; all but drained are needed. They may write, flush and close; not delete the server. */
struct server_events {
	void (*opened)(void *context, struct connection *connection);
	/* One whole frame. It stays in place while the callee holds connection_hold_frame; else it is gone on return. */
	void (*frame)(void *context, struct connection *connection, struct slice frame);
	/* All frames of this read were delivered: time to act on what was gathered. */
	void (*batch_end)(void *context);
	/* Since connection_is_full said so, the peer has taken enough; may be NULL. */
	void (*drained)(void *context, struct connection *connection);
	/*
	 * The connection has ended, whoever ended it: its requests may be cancelled. connection_user can be freed; the
	 * connection itself lives until its last reference goes.
	 */
	void (*closed)(void *context, struct connection *connection);
};

struct server_options {
	struct uv_loop_s *loop;
	struct server_limits limits;
	struct server_events events;
	void *context;
};

/*
 * Listens on nothing yet. NULL with INVALID_ARGUMENT naming a limit, or RESOURCE_EXHAUSTED. Makes the process ignore
 * SIGPIPE.
 */
struct server *
server_new(const struct server_options *options);
/* Stop listening; close connections once their unsent bytes are out. Requests in flight get no more replies out. */
void
server_stop(struct server *server);
/*
 * server_stop, and close what is open at once, with its closed events during the call and none after. The memory goes
 * when the loop has run the handles' ends and the path has let go of the connections.
 */
void
server_delete(struct server *server);

/*
 * "127.0.0.1:7420", "[::1]:7420", port 0 for any; or a path for a Unix socket, mode 0600, a stale one replaced. *port: the
 * port bound, 0 for a path. -1 with INVALID_ARGUMENT, FAILED_PRECONDITION when the address is in use, PERMISSION_DENIED.
 */
int
server_listen(struct server *server, const char *address, int *port)
	__attribute__((warn_unused_result));

struct connection *
connection_ref(struct connection *connection);
void
connection_unref(struct connection *connection);
/* Any pointer of the path's (who it authenticated as, its requests). */
void
connection_set_user(struct connection *connection, void *user);
void *
connection_user(const struct connection *connection);
/* "127.0.0.1:53412" or "unix"; lives as long as the connection. */
const char *
connection_peer(const struct connection *connection);

/*
 * Only within the frame event: keep the buffer that the frame lies in until the matching release; counted. Returns the token
 * to release, which may be done after the connection and the server have gone.
 */
void *
connection_hold_frame(struct connection *connection);
void
connection_release_frame(void *token);

/* A request was taken in / answered: counts against limits.in_flight. */
void
connection_request_begun(struct connection *connection);
void
connection_request_ended(struct connection *connection);

/*
 * The connection's output: write whole messages into it, then call connection_flush; flushes of one loop turn go out in
 * one write. NULL when the peer has gone or is being closed: drop the reply.
 */
struct writer *
connection_output(struct connection *connection);
/* Append what the writer holds, of which nothing is left in it: a copy, or the memory itself when that is much. */
void
connection_append(struct connection *connection, struct writer *from);
void
connection_flush(struct connection *connection);
/* More than limits.unsent_bytes wait to be sent; once that is over, the drained event says so. */
bool
connection_is_full(struct connection *connection);
/* Deliver no more frames, send what is unsent, then close; the closed event comes later, from the loop. */
void
connection_close(struct connection *connection);
