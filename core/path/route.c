#include "path/route.h"

#include <assert.h>

#include "base/clock.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/request.h"
#include "path/submit.h"
#include "path/tracing.h"

static const struct hop {
	const char *name;
	int (*run)(struct request *request);
	enum route_thread thread;
	enum route_stage next;
} hops[ROUTE_STAGES] = {
#define X(name, thread, next) [ROUTE_##name] = { #name, path_##name, ROUTE_##thread, ROUTE_##next },
	ROUTE(X)
#undef X
};

const char *
route_stage_name(enum route_stage stage)
{
	return hops[stage].name;
}

static void
stamp(struct request *request, enum route_stage stage)
{
	uint64_t now = clock_now();
	if (request->stamps[ROUTE_accept] != 0) {
		uint64_t since = request->stamps[request->stage];
		histogram_add(&request->engine->stats.hops[request->stage], now - since);
		tracing_stage(request, request->stage, since, now);
	}
	request->stamps[stage] = now;
	request->stage = stage;
}

/* Where a failed request goes: an error in a handler's calls is the handler's to deal with, any other is the client's. */
static enum route_stage
stage_after_failure(struct request *request)
{
	if (request->batch != NULL && !request->answered) {
		request->handle = HANDLE_RESULTS;
		return ROUTE_handle;
	}
	return ROUTE_reply;
}

void
route_enter(struct request *request, enum route_stage stage)
{
	for (;;) {
		stamp(request, stage);
		const struct hop *hop = &hops[stage];
		if (hop->thread == ROUTE_DEVICE && !request->job->runs_inline) {
			submit_job(request->job);
			return;
		}
		int verdict = hop->run(request);
		/* After a stage that waits, or the last one, the request may be gone. */
		if (verdict == ROUTE_WAIT || stage == ROUTE_reply)
			return;
		if (verdict == -1) {
			request_fail(request);
			stage = stage_after_failure(request);
		} else {
			stage = verdict == ROUTE_REPLY ? ROUTE_reply : hop->next;
		}
	}
}

void
route_resume(struct request *request)
{
	route_enter(request, hops[request->stage].next);
}

void
route_fail(struct request *request)
{
	request_fail(request);
	route_enter(request, stage_after_failure(request));
}

int
route_run_on_device(struct request *request)
{
	assert(hops[request->stage].thread == ROUTE_DEVICE);
	return hops[request->stage].run(request);
}
