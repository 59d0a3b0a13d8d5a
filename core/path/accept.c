/*
 * Stage accept: connections come and go here, and a frame becomes a request.
 */
#include "path/accept.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "path/engine.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/stream.h"

static void
on_opened(void *context, struct connection *connection)
{
	struct engine *engine = context;
	struct client *client = calloc(1, sizeof(*client));
	if (client == NULL) {
		connection_close(connection);
		return;
	}
	client->engine = engine;
	client->connection = connection_ref(connection);
	/* Whoever may open a Unix socket's file owns the node. */
	client->authenticated =
		engine->config->token == NULL || strcmp(connection_peer(connection), "unix") == 0;
	list_create(&client->requests);
	list_create(&client->stalled);
	list_push_back(&engine->clients, &client->of_engine);
	connection_set_user(connection, client);
}

static void
on_closed(void *context, struct connection *connection)
{
	(void)context;
	struct client *client = connection_user(connection);
	if (client == NULL)
		return;
	connection_set_user(connection, NULL);
	while (!list_is_empty(&client->requests)) {
		struct request *request =
			list_entry(client->requests.next, struct request, of_client);
		list_remove(&request->of_client);
		list_remove(&request->of_stalled);
		request->client = NULL;
		request_cancel(request, ERR_CANCELLED, "the client has gone");
	}
	list_remove(&client->of_engine);
	connection_unref(client->connection);
	free(client);
}

static void
on_frame(void *context, struct connection *connection, struct slice frame)
{
	(void)context;
	struct client *client = connection_user(connection);
	if (client == NULL)
		return;
	struct request *request = request_new(client, frame);
	if (request == NULL) {
		log_error("accept: %s", error_last()->message);
		connection_close(connection);
		return;
	}
	route_enter(request, ROUTE_accept);
}

static void
on_drained(void *context, struct connection *connection)
{
	(void)context;
	struct client *client = connection_user(connection);
	if (client != NULL)
		stream_drained(client);
}

static void
on_batch_end(void *context)
{
	struct engine *engine = context;
	engine->activity++;
	schedule_dispatch(engine);
}

const struct server_events accept_events = {
	.opened = on_opened,
	.frame = on_frame,
	.batch_end = on_batch_end,
	.drained = on_drained,
	.closed = on_closed,
};

int
path_accept(struct request *request)
{
	struct connection *connection = request->client->connection;
	request->frame_token = connection_hold_frame(connection);
	connection_request_begun(connection);
	request->engine->requests++;
	if (request->engine->stopping)
		return error_set(ERR_UNAVAILABLE, "node: shutting down");
	return ROUTE_NEXT;
}
