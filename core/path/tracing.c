#include "path/tracing.h"

#include "base/clock.h"
#include "base/trace.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/request.h"

static uint32_t requests_track;

void
tracing_open(void)
{
	requests_track = trace_track("node", "requests");
	trace_set_thread_track(trace_track("node", "main loop"));
}

void
tracing_device(struct engine_device *device)
{
	const char *name = device_properties(device->device)->name;
	device->rows.jobs = trace_track(name, "jobs");
	device->rows.loads = trace_track(name, "loads");
	device->rows.loads_ahead = trace_track(name, "loads ahead");
	device->rows.memory = trace_track(name, "memory");
}

static const char *
function_of(const struct request *request)
{
	return request->generation == NULL ? NULL : request->generation->function->name;
}

/* Requests are told apart by where they lie: two that are under way at once never share it. */
static uint64_t
identity(const void *of)
{
	return (uint64_t)(uintptr_t)of;
}

void
tracing_stage(const struct request *request, enum route_stage stage, uint64_t since, uint64_t now)
{
	if (!trace_is_on() || request->generation == NULL)
		return;
	trace_put(&(struct trace_event){ .kind = TRACE_ASYNC,
					 .track = requests_track,
					 .name = trace_name(route_stage_name(stage)),
					 .detail = trace_name(function_of(request)),
					 .value = identity(request),
					 .from = since,
					 .to = now });
}

void
tracing_request(const struct request *request)
{
	if (!trace_is_on() || request->generation == NULL)
		return;
	trace_put(&(struct trace_event){
		.kind = TRACE_ASYNC,
		.track = requests_track,
		.name = trace_name(function_of(request)),
		.detail = trace_name(
			request->error == NULL ? "ok" : error_code_name(request->error->code)),
		.value = identity(request),
		.from = request->stamps[ROUTE_accept],
		.to = clock_now() });
}

static const char *
source_of(const struct job *job)
{
	if (job->brings)
		return job->peer == NULL     ? "host"
		       : job->relays         ? "relay"
		       : job->shares_sources ? "both"
					     : "peer";
	for (uint32_t m = 0; m < job->model_count; m++)
		if (job->waits[m])
			return "prefetched";
	return "resident";
}

void
tracing_job(const struct job *job, uint64_t now)
{
	if (!trace_is_on())
		return;
	trace_put(&(struct trace_event){ .kind = TRACE_SPAN,
					 .track = job->device->rows.jobs,
					 .name = trace_name(function_of(job->request)),
					 .detail = trace_name(source_of(job)),
					 .value = (uint64_t)job->view.id,
					 .from = job->started_at,
					 .to = now });
}

void
tracing_load(const struct engine_device *device, const struct engine_model *model, uint64_t from,
	     uint64_t bytes, bool is_ahead)
{
	if (!trace_is_on())
		return;
	trace_put(&(struct trace_event){ .kind = TRACE_SPAN,
					 .track = is_ahead ? device->rows.loads_ahead
							   : device->rows.loads,
					 .name = trace_name(model->name),
					 .detail = trace_name(is_ahead ? "prefetch" : "job"),
					 .value = bytes,
					 .from = from,
					 .to = clock_now() });
}

void
tracing_evict(const struct engine_device *device, const struct engine_model *model, uint64_t bytes)
{
	if (!trace_is_on())
		return;
	trace_put(&(struct trace_event){ .kind = TRACE_INSTANT,
					 .track = device->rows.loads,
					 .name = trace_name("evict"),
					 .detail = trace_name(model->name),
					 .value = bytes,
					 .from = clock_now() });
}

void
tracing_memory(const struct engine_device *device, uint64_t used)
{
	if (!trace_is_on())
		return;
	trace_put(&(struct trace_event){ .kind = TRACE_COUNTER,
					 .track = device->rows.memory,
					 .name = trace_name("used bytes"),
					 .value = used,
					 .from = clock_now() });
}

void
tracing_dispatch(uint64_t from, uint32_t jobs)
{
	if (!trace_is_on())
		return;
	trace_put(&(struct trace_event){ .kind = TRACE_SPAN,
					 .track = trace_thread_track(),
					 .name = trace_name("dispatch"),
					 .value = jobs,
					 .from = from,
					 .to = clock_now() });
}
