/*
 * Stage handle: what the function wants. A handler runs in its worker, and each batch of calls that it waits for becomes a
 * job; a function without a handler is one model run, made here from the request's tensors.
 */
#include <assert.h>

#include "path/batch.h"
#include "path/call.h"
#include "path/direct.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/handle.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/stream.h"

static const struct worker_script *
caller_of(const struct request *request)
{
	return request->caller != NULL ? request->caller->generation->script : NULL;
}

static int
start_handler(struct request *request)
{
	struct worker_job job = { .payload = request->value.data,
				  .bytes = request->value.bytes,
				  .deadline = request->deadline,
				  .owner = request,
				  .origin = caller_of(request),
				  .streams = request->client != NULL && request->wants_reply };
	request->worker = worker_invoke(request->generation->script, &job);
	if (request->worker == NULL)
		return -1;
	request->handle = HANDLE_RUNNING;
	return ROUTE_WAIT;
}

static int
start_direct(struct request *request)
{
	request->handle = HANDLE_RESULTS;
	return direct_make_job(request) == 0 ? ROUTE_NEXT : -1;
}

/* A batch that has nothing for a device is answered at once. */
static int
start_batch(struct request *request)
{
	if (batch_make_job(request) != 0)
		return -1;
	request->handle = HANDLE_RESULTS;
	if (request->job != NULL)
		return ROUTE_NEXT;
	request->handle = HANDLE_RUNNING;
	batch_answer(request);
	return ROUTE_WAIT;
}

static int
give_results(struct request *request)
{
	if (request->generation->script == NULL)
		return direct_write_result(request) == 0 ? ROUTE_REPLY : -1;
	request->handle = HANDLE_RUNNING;
	batch_answer(request);
	return ROUTE_WAIT;
}

int
path_handle(struct request *request)
{
	switch (request->handle) {
	case HANDLE_JOINT:
		return joint_give_results(request->job->joint) == 0 ? ROUTE_REPLY : -1;
	case HANDLE_NEW:
		return request->generation->script != NULL ? start_handler(request)
							   : start_direct(request);
	case HANDLE_BATCH:
		return start_batch(request);
	case HANDLE_RESULTS:
		return give_results(request);
	case HANDLE_DONE:
		return ROUTE_REPLY;
	case HANDLE_RUNNING:
		break;
	}
	assert(!"a request in a worker is not handled");
	return -1;
}

static void
on_batch(void *context, void *owner, const struct call_batch *batch)
{
	struct engine *engine = context;
	struct request *request = owner;
	engine->activity++;
	request->batch = batch;
	request->handle = HANDLE_BATCH;
	route_enter(request, ROUTE_handle);
}

static void
on_ask(void *context, void *owner, uint32_t call, const void *payload, size_t bytes)
{
	struct engine *engine = context;
	engine->activity++;
	call_begin(owner, call, payload, bytes);
}

static void
on_part(void *context, void *owner, const void *payload, size_t bytes)
{
	struct engine *engine = context;
	engine->activity++;
	stream_part(owner, payload, bytes);
}

static void
on_reply(void *context, void *owner, const void *payload, size_t bytes)
{
	struct engine *engine = context;
	struct request *request = owner;
	engine->activity++;
	struct writer *result = request_result(request);
	void *taken = result == NULL ? NULL : worker_take_payload(request->worker);
	request->worker = NULL;
	request->handle = HANDLE_DONE;
	if (result == NULL) {
		route_fail(request);
		return;
	}
	if (taken != NULL)
		writer_adopt(result, taken, bytes);
	else
		writer_raw(result, payload, bytes);
	route_enter(request, ROUTE_handle);
}

static void
on_failed(void *context, void *owner, const struct error *error)
{
	(void)context;
	struct request *request = owner;
	request->worker = NULL;
	request_cancel(request, error->code, error->message);
}

static void
on_log(void *context, void *owner, const char *text, size_t length)
{
	(void)context;
	functions_log(owner, text, length);
}

static void
on_violated(void *context, void *owner, enum worker_violation violation)
{
	(void)context;
	struct generation *generation = owner;
	if (generation->function != NULL)
		generation->function->violations[violation]++;
}

const struct worker_events handle_events = {
	.batch = on_batch,
	.ask = on_ask,
	.part = on_part,
	.reply = on_reply,
	.failed = on_failed,
	.log = on_log,
	.violated = on_violated,
};
