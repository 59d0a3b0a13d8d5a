#include "path/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/methods.h"
#include "path/recipe.h"
#include "path/schedule.h"
#include "path/tensors.h"

enum {
	/* A request's own bookkeeping; tensors' data is not in it. */
	REQUEST_ARENA_BYTES = 64 << 20,
	/* Freed requests that are kept, each with an arena chunk. */
	IDLE_REQUESTS_MAX = 1024,
};

static struct request *
take_idle(struct engine *engine)
{
	struct list *link = list_pop_front(&engine->idle_requests);
	if (link == NULL)
		return NULL;
	engine->idle_request_count--;
	return list_entry(link, struct request, of_client);
}

static struct request *
create(struct engine *engine)
{
	struct request *request = take_idle(engine);
	struct arena arena;
	if (request == NULL) {
		request = malloc(sizeof(*request));
		if (request == NULL) {
			error_set(ERR_RESOURCE_EXHAUSTED, "request: no memory");
			return NULL;
		}
		arena_create(&arena, REQUEST_ARENA_BYTES);
	} else {
		arena = request->arena;
	}
	*request = (struct request){ .engine = engine, .arena = arena, .device = -1 };
	list_create(&request->of_client);
	list_create(&request->of_deadlines);
	list_create(&request->of_caller);
	list_create(&request->callees);
	list_create(&request->of_stalled);
	list_create(&request->recipes);
	engine->request_count++;
	return request;
}

struct request *
request_new(struct client *client, struct slice frame)
{
	struct request *request = create(client->engine);
	if (request == NULL)
		return NULL;
	request->client = client;
	request->frame = frame;
	list_push_back(&client->requests, &request->of_client);
	return request;
}

struct request *
request_new_inside(struct engine *engine, void (*ended)(void *context, struct request *request),
		   void *context)
{
	struct request *request = create(engine);
	if (request == NULL)
		return NULL;
	request->ended = ended;
	request->ended_context = context;
	request->stage = ROUTE_accept;
	request->stamps[ROUTE_accept] = clock_now();
	return request;
}

static void
free_or_keep(struct request *request)
{
	struct engine *engine = request->engine;
	if (engine->idle_request_count >= IDLE_REQUESTS_MAX) {
		arena_destroy(&request->arena);
		free(request);
		return;
	}
	arena_reset(&request->arena);
	list_push_front(&engine->idle_requests, &request->of_client);
	engine->idle_request_count++;
}

void
request_delete(struct request *request)
{
	struct engine *engine = request->engine;
	assert(request->job == NULL);
	list_remove(&request->of_client);
	list_remove(&request->of_deadlines);
	list_remove(&request->of_stalled);
	if (request->batch != NULL) {
		error_set(ERR_CANCELLED, "the request is over");
		worker_batch_done(request->batch, NULL, error_last());
	}
	recipe_forget(request);
	tensors_release(request);
	if (request->pending != NULL)
		request->pending->request = NULL;
	if (request->frame_token != NULL)
		connection_release_frame(request->frame_token);
	if (request->generation != NULL)
		generation_unref(request->generation);
	if (request->result != NULL) {
		writer_destroy(request->result);
		free(request->result);
	}
	free(request->error);
	free(request->owned);
	engine->request_count--;
	free_or_keep(request);
}

void
request_fail(struct request *request)
{
	if (request->error != NULL)
		return;
	request->error = malloc(sizeof(*request->error));
	if (request->error != NULL)
		*request->error = *error_last();
}

struct writer *
request_result(struct request *request)
{
	if (request->result == NULL) {
		request->result = malloc(sizeof(*request->result));
		if (request->result == NULL) {
			error_set(ERR_RESOURCE_EXHAUSTED, "reply: no memory");
			return NULL;
		}
		writer_create(request->result);
	}
	return request->result;
}

void
request_set_deadline(struct request *request, uint64_t deadline)
{
	request->deadline = deadline;
	list_push_back(&request->engine->deadlines, &request->of_deadlines);
}

void
request_cancel(struct request *request, enum error_code code, const char *why)
{
	if (request->answered)
		return;
	free(request->error);
	request->error = NULL;
	error_set(code, "%s", why);
	request_fail(request);
	if (request->worker != NULL) {
		worker_cancel(request->worker);
		request->worker = NULL;
	}
	struct job *job = request->job;
	if (job != NULL && (job->state == JOB_QUEUED || job->state == JOB_PARKED)) {
		schedule_withdraw(job);
	} else if (job != NULL && job->state == JOB_JOINED && joint_leave(job)) {
		request->job = NULL;
		job_delete(job);
	}
	route_enter(request, ROUTE_reply);
}
