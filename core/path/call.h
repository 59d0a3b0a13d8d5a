/*
 * Calls between functions (ctx.call): the handler's request, the caller, gets a request of the node's own for the function that
 * it calls, which goes the same path. A caller that waits holds no place in its worker, so functions may call each other in
 * any way; a chain that is too long ends in an error that names it. Main loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct request;

enum {
	/* Functions that one call may lead through, the first one counted. */
	CALL_DEPTH_MAX = 16,
};

/* The caller's handler asks: payload is MessagePack of [function, value, ms or nil]. It is answered in any case. */
void
call_begin(struct request *caller, uint32_t number, const void *payload, size_t bytes);

/* The caller is over: what it has called and not got an answer to is cancelled. */
void
call_abandon(struct request *caller);
