/*
 * A listener: one address that a server listens on. Loop thread only.
 */
#pragma once

#include <uv.h>

#include "base/list.h"

struct server;

struct listener {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	struct server *server;
	struct list link;
	int family;
	/* A peer could not be taken in for want of memory. */
	bool waiting;
};

/* As server_listen. */
int
listener_open(struct server *server, const char *address, int *port)
	__attribute__((warn_unused_result));

/* Take in the peer that waits, if one does. */
void
listener_retry(struct listener *listener);

/* Frees it once the handle has closed; the file of a Unix socket is removed. */
void
listener_close(struct listener *listener);
