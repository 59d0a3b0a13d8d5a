/*
 * Method trace: what the node does for a while, as rows, names and events that `tidepool trace` makes a picture of.
 */
#include "base/clock.h"
#include "base/trace.h"
#include "path/engine.h"
#include "path/methods.h"
#include "path/request.h"
#include "path/tracing.h"

enum {
	SECONDS_DEFAULT = 1,
	SECONDS_MAX = 60,
	EVENTS_DEFAULT = 200 * 1000,
};

static const char *const kinds[] = {
	[TRACE_SPAN] = "span",
	[TRACE_ASYNC] = "async",
	[TRACE_INSTANT] = "instant",
	[TRACE_COUNTER] = "counter",
};

static void
write_tracks(struct writer *writer)
{
	writer_array(writer, trace_track_count());
	for (uint32_t i = 1; i <= trace_track_count(); i++) {
		writer_array(writer, 2);
		writer_string(writer, trace_track_owner(i));
		writer_string(writer, trace_track_row(i));
	}
}

static void
write_names(struct writer *writer)
{
	writer_array(writer, trace_name_count());
	for (uint32_t i = 1; i <= trace_name_count(); i++)
		writer_string(writer, trace_text(i));
}

/* Eight values an event: kind, track, name, detail, index, value, ns from the start to its begin, ns it lasted. */
static void
write_event(struct writer *writer, const struct trace_event *event, uint64_t start)
{
	writer_array(writer, 8);
	writer_uint(writer, event->kind);
	writer_uint(writer, event->track);
	writer_uint(writer, event->name);
	writer_uint(writer, event->detail);
	writer_uint(writer, event->index);
	writer_uint(writer, event->value);
	writer_int(writer, (int64_t)(event->from - start));
	writer_uint(writer, event->to > event->from ? event->to - event->from : 0);
}

static void
write_trace(struct writer *writer, const struct trace_result *trace, uint64_t start)
{
	writer_map(writer, 6);
	writer_string(writer, "kinds");
	writer_array(writer, sizeof(kinds) / sizeof(kinds[0]));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		writer_string(writer, kinds[i]);
	writer_string(writer, "tracks");
	write_tracks(writer);
	writer_string(writer, "names");
	write_names(writer);
	writer_string(writer, "dropped");
	writer_uint(writer, trace->dropped);
	writer_string(writer, "ns");
	writer_uint(writer, clock_now() - start);
	writer_string(writer, "events");
	writer_array(writer, trace->count);
	for (uint32_t i = 0; i < trace->count; i++)
		write_event(writer, &trace->events[i], start);
}

/* The time is over, or the node ends. */
static void
end_trace(struct engine *engine)
{
	struct trace_result trace = trace_stop();
	struct request *request = pending_end(engine->trace.pending);
	engine->trace.pending = NULL;
	if (request != NULL && request_result(request) != NULL) {
		write_trace(request->result, &trace, engine->trace.started_at);
		route_enter(request, ROUTE_reply);
	} else if (request != NULL) {
		route_fail(request);
	}
	trace_free();
}

static void
on_time(uv_timer_t *timer)
{
	end_trace(timer->data);
}

void
methods_trace_close(struct engine *engine)
{
	if (engine->trace.pending != NULL)
		end_trace(engine);
}

static int
call_trace(struct request *request)
{
	struct engine *engine = request->engine;
	uint32_t milliseconds = SECONDS_DEFAULT * 1000, events = EVENTS_DEFAULT;
	if (request->message.param_count > 0 &&
	    (methods_number(request, "ms", SECONDS_MAX * 1000 + 1, &milliseconds) != 0 ||
	     methods_number(request, "events", TRACE_EVENTS_MAX + 1, &events) != 0))
		return -1;
	if (trace_is_on())
		return error_set(ERR_FAILED_PRECONDITION, "trace: one is under way already");
	struct pending *pending = pending_new(request);
	if (pending == NULL)
		return -1;
	if (trace_start(events) != 0) {
		pending_end(pending);
		return -1;
	}
	engine->trace.pending = pending;
	engine->trace.started_at = clock_now();
	engine->trace.timer.data = engine;
	uv_timer_start(&engine->trace.timer, on_time, milliseconds, 0);
	return ROUTE_WAIT;
}

static int
call_stop(struct request *request)
{
	struct engine *engine = request->engine;
	bool is_on = engine->trace.pending != NULL;
	struct writer *result = request_result(request);
	if (result == NULL)
		return -1;
	if (is_on) {
		uv_timer_stop(&engine->trace.timer);
		end_trace(engine);
	}
	writer_bool(result, is_on);
	return ROUTE_REPLY;
}

const struct method methods_of_trace[] = {
	{ "trace", "({ms, events}?)",
	  "Watch streams, jobs and requests for so long; answers with what happened", call_trace,
	  false },
	{ "trace.stop", "()",
	  "End the trace that is being made before its time; true when there was one", call_stop,
	  false },
	{ 0 },
};
