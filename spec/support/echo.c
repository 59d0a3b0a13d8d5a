#include "echo.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "base/error.h"
#include "net/message.h"

struct echo {
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t stop;
	struct server *server;
	/* The loop's own count, which it publishes a batch at a time. */
	uint64_t frames;
	/* For counts, which others read. */
	pthread_mutex_t mutex;
	struct echo_counts counts;
};

/* A request answered later, from its frame where it lies. */
struct later {
	uv_timer_t timer;
	struct echo *echo;
	struct connection *connection;
	void *frame;
	struct message message;
};

/* What a connection's user points to. */
struct peer {
	uint64_t in_flight;
};

static void
count(struct echo *echo, uint64_t *counter)
{
	pthread_mutex_lock(&echo->mutex);
	(*counter)++;
	pthread_mutex_unlock(&echo->mutex);
}

static void
on_opened(void *context, struct connection *connection)
{
	struct echo *echo = context;
	connection_set_user(connection, calloc(1, sizeof(struct peer)));
	count(echo, &echo->counts.opened);
}

static void
on_closed(void *context, struct connection *connection)
{
	struct echo *echo = context;
	free(connection_user(connection));
	connection_set_user(connection, NULL);
	count(echo, &echo->counts.closed);
}

static void
begin(struct echo *echo, struct connection *connection)
{
	struct peer *peer = connection_user(connection);
	connection_request_begun(connection);
	if (++peer->in_flight <= echo->counts.in_flight_max)
		return;
	pthread_mutex_lock(&echo->mutex);
	echo->counts.in_flight_max = peer->in_flight;
	pthread_mutex_unlock(&echo->mutex);
}

static void
end(struct connection *connection)
{
	struct peer *peer = connection_user(connection);
	if (peer != NULL)
		peer->in_flight--;
	connection_request_ended(connection);
}

static void
answer(struct connection *connection, const struct message *message)
{
	struct writer *output = connection_output(connection);
	if (output == NULL)
		return;
	writer_reply(output, message->id);
	writer_array(output, message->param_count);
	for (uint32_t i = 0; i < message->param_count; i++)
		writer_raw(output, message->params[i].data, message->params[i].bytes);
	connection_flush(connection);
}

static void
on_later_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
on_later(uv_timer_t *timer)
{
	struct later *later = timer->data;
	answer(later->connection, &later->message);
	end(later->connection);
	connection_release_frame(later->frame);
	connection_unref(later->connection);
	uv_close((uv_handle_t *)timer, on_later_closed);
}

static void
answer_later(struct echo *echo, struct connection *connection, const struct message *message)
{
	struct later *later = calloc(1, sizeof(*later));
	later->echo = echo;
	later->connection = connection_ref(connection);
	later->frame = connection_hold_frame(connection);
	later->message = *message;
	uv_timer_init(&echo->loop, &later->timer);
	later->timer.data = later;
	uv_timer_start(&later->timer, on_later, 20, 0);
}

static bool
is(const struct message *message, const char *method)
{
	return message->method.bytes == strlen(method) &&
	       memcmp(message->method.data, method, message->method.bytes) == 0;
}

static void
answer_bytes(struct connection *connection, const struct message *message)
{
	struct writer *output = connection_output(connection);
	struct reader reader;
	uint64_t bytes = 0;
	if (output == NULL)
		return;
	reader_create(&reader, message->params[0]);
	if (message->param_count != 1 || reader_uint(&reader, "params[0]", &bytes) != 0)
		return;
	writer_reply(output, message->id);
	struct writer value;
	writer_create(&value);
	void *space = writer_bytes_space(&value, bytes);
	if (space != NULL)
		memset(space, 'x', bytes);
	connection_append(connection, &value);
	writer_destroy(&value);
	connection_flush(connection);
}

static void
answer_other(struct connection *connection, const struct message *message)
{
	struct writer *output = connection_output(connection);
	struct slice details = { (const unsigned char *)"\x2a", 1 };
	if (output != NULL && is(message, "fail")) {
		error_set(ERR_NOT_FOUND, "function \"%s\": not deployed", "f");
		writer_error(output, message->id, error_last(), &details);
		connection_flush(connection);
		return;
	}
	if (output != NULL && is(message, "push")) {
		writer_notification(output, "event", 1);
		writer_raw(output, message->params[0].data, message->params[0].bytes);
	}
	answer(connection, message);
	if (is(message, "close"))
		connection_close(connection);
}

static void
on_frame(void *context, struct connection *connection, struct slice frame)
{
	struct echo *echo = context;
	struct message message;
	echo->frames++;
	if (message_decode(frame, &message) != 0) {
		writer_error(connection_output(connection), message.id, error_last(), NULL);
		connection_flush(connection);
		return;
	}
	if (message.kind != MESSAGE_REQUEST)
		return;
	begin(echo, connection);
	if (is(&message, "never"))
		return;
	if (is(&message, "later")) {
		answer_later(echo, connection, &message);
		return;
	}
	if (is(&message, "bytes"))
		answer_bytes(connection, &message);
	else
		answer_other(connection, &message);
	end(connection);
}

static void
on_batch_end(void *context)
{
	struct echo *echo = context;
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	pthread_mutex_lock(&echo->mutex);
	echo->counts.batches++;
	echo->counts.frames = echo->frames;
	echo->counts.cpu_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	pthread_mutex_unlock(&echo->mutex);
}

static void
on_stop(uv_async_t *async)
{
	struct echo *echo = async->data;
	server_stop(echo->server);
	server_delete(echo->server);
	uv_close((uv_handle_t *)async, NULL);
}

static void *
run(void *argument)
{
	struct echo *echo = argument;
	uv_run(&echo->loop, UV_RUN_DEFAULT);
	return NULL;
}

static const struct server_limits roomy = {
	.frame_bytes = 64 << 20,
	.depth = 32,
	.connections = 1000,
	.in_flight = 1000,
	.unsent_bytes = 64 << 20,
};

struct echo *
echo_start(const char *address, const struct server_limits *limits, int *port)
{
	struct echo *echo = calloc(1, sizeof(*echo));
	pthread_mutex_init(&echo->mutex, NULL);
	uv_loop_init(&echo->loop);
	struct server_options options = {
		.loop = &echo->loop,
		.limits = limits != NULL ? *limits : roomy,
		.events = { .opened = on_opened,
			    .frame = on_frame,
			    .batch_end = on_batch_end,
			    .closed = on_closed },
		.context = echo,
	};
	echo->server = server_new(&options);
	if (echo->server == NULL || server_listen(echo->server, address, port) != 0) {
		if (echo->server != NULL)
			server_delete(echo->server);
		uv_run(&echo->loop, UV_RUN_DEFAULT);
		uv_loop_close(&echo->loop);
		free(echo);
		return NULL;
	}
	uv_async_init(&echo->loop, &echo->stop, on_stop);
	echo->stop.data = echo;
	pthread_create(&echo->thread, NULL, run, echo);
	return echo;
}

struct echo_counts
echo_counts(struct echo *echo)
{
	pthread_mutex_lock(&echo->mutex);
	struct echo_counts counts = echo->counts;
	pthread_mutex_unlock(&echo->mutex);
	return counts;
}

void
echo_stop(struct echo *echo)
{
	uv_async_send(&echo->stop);
	pthread_join(echo->thread, NULL);
	if (uv_loop_close(&echo->loop) != 0) {
		fprintf(stderr, "echo: a handle is still open\n");
		abort();
	}
	pthread_mutex_destroy(&echo->mutex);
	free(echo);
}
