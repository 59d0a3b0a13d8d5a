/*
 * Stage reply: the result or the error goes to the client, the books are closed, and the request ends.
 */
#include "base/clock.h"
#include "path/call.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/request.h"
#include "path/tracing.h"

/* The view's percentiles are at most so many requests old. */
enum { PERCENTILE_REQUESTS = 16 };

/* `{retry_after_ms=…}` for clients that were turned away. */
static void
write_error(struct request *request, struct writer *output)
{
	static const struct error no_memory = { .code = ERR_RESOURCE_EXHAUSTED,
						.message = "reply: no memory" };
	const struct error *error = request->error != NULL ? request->error : &no_memory;
	struct writer details;
	if (request->retry_after_ms == 0) {
		writer_error(output, request->message.id, error, NULL);
		return;
	}
	writer_create(&details);
	writer_map(&details, 1);
	writer_string(&details, "retry_after_ms");
	writer_uint(&details, request->retry_after_ms);
	writer_error(output, request->message.id, error,
		     &(struct slice){ details.data, details.bytes });
	writer_destroy(&details);
}

static void
send_reply(struct request *request)
{
	struct connection *connection = request->client->connection;
	struct writer *output = connection_output(connection);
	if (output == NULL)
		return;
	if (request->error == NULL && request->result != NULL &&
	    writer_finish(request->result) == 0) {
		writer_reply(output, request->message.id);
		connection_append(connection, request->result);
	} else {
		write_error(request, output);
	}
	connection_flush(connection);
}

/* Percentiles, for the first requests and then once in so many: to find them takes some microseconds. */
static void
note_percentiles(struct engine_function *function)
{
	uint64_t count = function->latency.count;
	if (count > PERCENTILE_REQUESTS && count % PERCENTILE_REQUESTS != 0)
		return;
	function->view.p50_ns = (double)histogram_quantile(&function->latency, 0.5);
	function->view.p98_ns = (double)histogram_quantile(&function->latency, 0.98);
	function->view.p99_ns = (double)histogram_quantile(&function->latency, 0.99);
}

static void
count(struct request *request)
{
	struct engine_function *function = request->generation->function;
	uint64_t taken = clock_now() - request->stamps[ROUTE_accept];
	bool ok = request->error == NULL;
	bool refused =
		!ok && request->error->code == ERR_RESOURCE_EXHAUSTED && request->job == NULL;
	if (!refused) {
		histogram_add(&function->latency, taken);
		note_percentiles(function);
	}
	function->view.refused += refused;
	function->view.requests++;
	function->view.mean_ns = (double)histogram_mean(&function->latency);
	function->view.in_time +=
		ok && (function->view.slo_ns == 0 || (double)taken <= function->view.slo_ns);
	function->errors += !ok;
}

int
path_reply(struct request *request)
{
	request->engine->errors += request->error != NULL;
	tracing_request(request);
	call_abandon(request);
	if (request->generation != NULL && (request->ended == NULL || request->depth > 0))
		count(request);
	if (request->client != NULL && request->wants_reply)
		send_reply(request);
	if (request->client != NULL)
		connection_request_ended(request->client->connection);
	list_remove(&request->of_deadlines);
	request->answered = true;
	if (request->ended != NULL)
		request->ended(request->ended_context, request);
	if (request->job == NULL)
		request_delete(request);
	return ROUTE_WAIT;
}
