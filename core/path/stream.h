/*
 * Streams: parts of an answer that a handler sends before it returns (ctx:send). Each goes to the client as the notification
 * `[2, "stream", [id, value]]`, id being the request's. A handler gets ahead of a client that does not read by no more than
 * limits.unsent of its connection and RECORD_WINDOW of its own. Main loop.
 */
#pragma once

#include <stddef.h>

struct client;
struct request;

/* One part: a MessagePack value. */
void
stream_part(struct request *request, const void *value, size_t bytes);

/* The client has taken what was unsent: handlers that wait for that go on. */
void
stream_drained(struct client *client);
