/*
 * Simulated streams and events. What is put on a stream waits in a ring; putting never does anything itself: the stream is
 * scheduled for now, so that callbacks run only inside the calls of sim.h.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "device/sim_parts.h"

/* --- events ------------------------------------------------------------------------------------------------------- */

struct device_event *
sim_event_new(struct device *device)
{
	struct sim_event *event = calloc(1, sizeof(*event));
	if (event == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for an event",
			  device->properties.name);
		return NULL;
	}
	list_create(&event->waiters);
	return &event->base;
}

static void
sim_event_delete(struct device_event *base)
{
	struct sim_event *event = (struct sim_event *)base;
	assert(list_is_empty(&event->waiters));
	free(event->failure);
	free(event);
}

/* Counts wrap. */
static bool
is_reached(const struct sim_event *event, uint32_t count)
{
	return (int32_t)(event->reached - count) >= 0;
}

static int
sim_event_query(struct device_event *base)
{
	const struct sim_event *event = (struct sim_event *)base;
	return is_reached(event, event->recorded);
}

const struct event_ops sim_event_ops = {
	.delete = sim_event_delete,
	.query = sim_event_query,
};

/* Note what had gone wrong before the record; error NULL: nothing. */
static void
set_failure(struct sim_event *event, const struct error *error)
{
	free(event->failure);
	event->failure = NULL;
	if (error == NULL)
		return;
	event->failure = malloc(sizeof(*event->failure));
	if (event->failure != NULL)
		*event->failure = *error;
}

static void
reach(struct sim_event *event, uint32_t count, const struct error *error)
{
	set_failure(event, error);
	event->reached = count;
	list_each_safe(it, &event->waiters) {
		struct sim_stream *stream = list_entry(it, struct sim_stream, of_event);
		if (!is_reached(event, stream->ops[stream->first].mark.count))
			continue;
		list_remove(it);
		stream->state = SIM_READY;
		sim_schedule(stream, clock_now());
	}
}

/* --- doing what was put ------------------------------------------------------------------------------------------- */

static void
pop(struct sim_stream *stream)
{
	stream->first = (stream->first + 1) & (stream->room - 1);
	stream->count--;
}

static void
fail(struct sim_stream *stream, const struct error *error)
{
	if (stream->failed)
		return;
	stream->failed = true;
	stream->error = *error;
}

/* A copy at the head begins; true when it takes no time, being skipped. */
static bool
begin_copy(struct sim_stream *stream, const struct sim_op *op)
{
	if (stream->failed) {
		pop(stream);
		return true;
	}
	uint64_t latency = stream->device->copy_latency_ns;
	if (stream->is_warm || latency == 0) {
		stream->state = SIM_COPIES;
		sim_flow_begin(stream, op);
	} else {
		stream->state = SIM_STARTS;
		sim_schedule(stream, clock_now() + latency);
	}
	stream->is_warm = true;
	return false;
}

static void
end_launch(struct sim_stream *stream, const struct device_launch *launch)
{
	if (launch->run(launch, NULL) != 0)
		fail(stream, error_last());
}

static bool
begin_launch(struct sim_stream *stream, const struct sim_op *op)
{
	sim_flow_end(stream);
	if (!stream->failed && op->launch.duration_ns > 0) {
		stream->state = SIM_RUNS;
		sim_schedule(stream, clock_now() + op->launch.duration_ns);
		return false;
	}
	if (!stream->failed)
		end_launch(stream, &op->launch);
	pop(stream);
	return true;
}

static bool
begin_wait(struct sim_stream *stream, const struct sim_op *op)
{
	struct sim_event *event = op->mark.event;
	if (is_reached(event, op->mark.count)) {
		if (event->failure != NULL)
			fail(stream, event->failure);
		pop(stream);
		return true;
	}
	sim_flow_end(stream);
	stream->state = SIM_WAITS;
	list_push_back(&event->waiters, &stream->of_event);
	return false;
}

static void
notify(struct sim_stream *stream, const struct sim_op *op)
{
	struct sim_op done = *op;
	struct error error;
	bool failed = stream->failed;
	if (failed)
		error = stream->error;
	stream->failed = false;
	pop(stream);
	done.notify.done(done.notify.context, failed ? &error : NULL);
}

/* Do the operation at the head; true when the stream can go on at once. */
static bool
begin(struct sim_stream *stream)
{
	const struct sim_op *op = &stream->ops[stream->first];
	switch (op->kind) {
	case SIM_COPY:
		return begin_copy(stream, op);
	case SIM_LAUNCH:
		return begin_launch(stream, op);
	case SIM_WAIT:
		return begin_wait(stream, op);
	case SIM_RECORD:
		reach(op->mark.event, op->mark.count, stream->failed ? &stream->error : NULL);
		pop(stream);
		return true;
	case SIM_NOTIFY:
		notify(stream, op);
		return true;
	}
	return false;
}

static void
advance(struct sim_stream *stream)
{
	stream->state = SIM_READY;
	while (stream->count > 0 && begin(stream))
		;
	if (stream->count > 0)
		return;
	sim_flow_end(stream);
	stream->is_warm = false;
}

void
sim_stream_go_on(struct sim_stream *stream)
{
	const struct sim_op *op = stream->count > 0 ? &stream->ops[stream->first] : NULL;
	switch (stream->state) {
	case SIM_STARTS:
		stream->state = SIM_COPIES;
		sim_flow_begin(stream, op);
		return;
	case SIM_RUNS:
		end_launch(stream, &op->launch);
		pop(stream);
		break;
	case SIM_COPIES:
		pop(stream);
		break;
	case SIM_READY:
	case SIM_WAITS:
		break;
	}
	advance(stream);
}

/* --- putting ------------------------------------------------------------------------------------------------------ */

static int
grow(struct sim_stream *stream)
{
	uint32_t room = stream->room == 0 ? 16 : stream->room * 2;
	struct sim_op *ops = malloc(room * sizeof(*ops));
	if (ops == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for %u operations",
				 stream->base.device->properties.name, room);
	for (uint32_t i = 0; i < stream->count; i++)
		ops[i] = stream->ops[(stream->first + i) & (stream->room - 1)];
	free(stream->ops);
	stream->ops = ops;
	stream->room = room;
	stream->first = 0;
	return 0;
}

static int
put(struct sim_stream *stream, const struct sim_op *op)
{
	if (stream->count == stream->room && grow(stream) != 0)
		return -1;
	stream->ops[(stream->first + stream->count++) & (stream->room - 1)] = *op;
	if (stream->state == SIM_READY && stream->place == SIM_NOT_SCHEDULED)
		sim_schedule(stream, clock_now());
	return 0;
}

static int
put_copy(struct device_stream *base, size_t bytes, struct sim_link *own, struct sim_link *shared)
{
	struct sim_op op = { .kind = SIM_COPY, .copy = { .bytes = bytes } };
	if (own->rate > 0)
		op.copy.links[op.copy.link_count++] = own;
	if (shared != NULL && shared->rate > 0)
		op.copy.links[op.copy.link_count++] = shared;
	return put((struct sim_stream *)base, &op);
}

static int
sim_copy_in(struct device_stream *base, void *to, const void *from, size_t bytes)
{
	struct sim_device *device = ((struct sim_stream *)base)->device;
	return put_copy(base, bytes, &device->in, device->shared ? &device->shared->in : NULL);
}

static int
sim_copy_out(struct device_stream *base, void *to, const void *from, size_t bytes)
{
	struct sim_device *device = ((struct sim_stream *)base)->device;
	return put_copy(base, bytes, &device->out, device->shared ? &device->shared->out : NULL);
}

static int
sim_copy_peer(struct device_stream *base, void *to, struct device *peer, const void *from,
	      size_t bytes)
{
	struct sim_link *link = sim_peer_link(((struct sim_stream *)base)->device, peer->target);
	return link == NULL ? -1 : put_copy(base, bytes, link, NULL);
}

static int
sim_record(struct device_stream *base, struct device_event *target)
{
	struct sim_event *event = (struct sim_event *)target;
	struct sim_op op = { .kind = SIM_RECORD, .mark = { event, event->recorded + 1 } };
	if (put((struct sim_stream *)base, &op) != 0)
		return -1;
	event->recorded++;
	return 0;
}

static int
sim_wait(struct device_stream *base, struct device_event *target)
{
	struct sim_event *event = (struct sim_event *)target;
	struct sim_op op = { .kind = SIM_WAIT, .mark = { event, event->recorded } };
	return put((struct sim_stream *)base, &op);
}

static int
sim_launch(struct device_stream *base, const struct device_launch *launch)
{
	struct sim_op op = { .kind = SIM_LAUNCH, .launch = *launch };
	return put((struct sim_stream *)base, &op);
}

static int
sim_notify(struct device_stream *base, stream_done_f *done, void *context)
{
	struct sim_op op = { .kind = SIM_NOTIFY, .notify = { done, context } };
	return put((struct sim_stream *)base, &op);
}

/* Nobody else moves time while a thread waits for a stream. */
static void
sim_drain(struct device_stream *base)
{
	const struct sim_stream *stream = (struct sim_stream *)base;
	while (stream->count > 0 && sim_step())
		;
}

/* --- making and deleting ------------------------------------------------------------------------------------------ */

struct device_stream *
sim_stream_new(struct device *device, enum stream_kind kind)
{
	struct sim_stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for a stream",
			  device->properties.name);
		return NULL;
	}
	if (sim_schedule_join() != 0) {
		free(stream);
		return NULL;
	}
	device_stream_create(&stream->base, device, kind);
	stream->device = (struct sim_device *)device;
	stream->place = SIM_NOT_SCHEDULED;
	list_create(&stream->of_event);
	list_create(&stream->flow.of_component);
	for (uint32_t i = 0; i < FLOW_LINKS_MAX; i++)
		list_create(&stream->flow.of_link[i]);
	return &stream->base;
}

static void
sim_stream_delete(struct device_stream *base)
{
	struct sim_stream *stream = (struct sim_stream *)base;
	sim_drain(base);
	assert(stream->count == 0);
	sim_unschedule(stream);
	sim_schedule_leave();
	free(stream->ops);
	free(stream);
}

const struct stream_ops sim_stream_ops = {
	.delete = sim_stream_delete,
	.copy_in = sim_copy_in,
	.copy_out = sim_copy_out,
	.copy_peer = sim_copy_peer,
	.record = sim_record,
	.wait = sim_wait,
	.launch = sim_launch,
	.notify = sim_notify,
	.run_now = generic_run_now,
	.drain = sim_drain,
};
