#include "path/stream.h"

#include "path/engine.h"
#include "path/request.h"

/* A large part goes out in the memory that it came in. */
static void
append_value(struct request *request, struct writer *output, const void *value, size_t bytes)
{
	void *taken = worker_take_payload(request->worker);
	if (taken == NULL) {
		writer_raw(output, value, bytes);
		return;
	}
	struct writer part;
	writer_create(&part);
	writer_adopt(&part, taken, bytes);
	connection_append(request->client->connection, &part);
	writer_destroy(&part);
}

/* False: the peer has gone. */
static bool
write_part(struct request *request, const void *value, size_t bytes)
{
	struct writer *output = connection_output(request->client->connection);
	if (output == NULL)
		return false;
	writer_notification(output, "stream", 2);
	writer_uint(output, request->message.id);
	append_value(request, output, value, bytes);
	connection_flush(request->client->connection);
	return true;
}

void
stream_part(struct request *request, const void *value, size_t bytes)
{
	struct client *client = request->client;
	bool is_taken = client != NULL && request->wants_reply && write_part(request, value, bytes);
	if (!is_taken || !connection_is_full(client->connection)) {
		worker_credit(request->worker, bytes);
		return;
	}
	request->stalled_bytes += bytes;
	if (list_is_empty(&request->of_stalled))
		list_push_back(&client->stalled, &request->of_stalled);
}

void
stream_drained(struct client *client)
{
	struct list *link;
	while ((link = list_pop_front(&client->stalled)) != NULL) {
		struct request *request = list_entry(link, struct request, of_stalled);
		size_t bytes = request->stalled_bytes;
		request->stalled_bytes = 0;
		if (request->worker != NULL)
			worker_credit(request->worker, bytes);
	}
}
