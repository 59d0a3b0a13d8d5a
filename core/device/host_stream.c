#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/trace.h"
#include "device/host.h"
#include "device/host_copy.h"
#include "device/host_wait.h"

/* A thread that slept is back within this time. */
enum { WAKE_NS = 300 * 1000 };

static const char *const thread_names[] = {
	[STREAM_COMPUTE] = "tide-compute",   [STREAM_COPY_IN] = "tide-copy-in",
	[STREAM_COPY_OUT] = "tide-copy-out", [STREAM_COPY_PEER] = "tide-copy-peer",
	[STREAM_WIDEN] = "tide-widen",       [STREAM_COPY_LENT] = "tide-lent",
};

static const char *const rows[] = {
	[STREAM_COMPUTE] = "compute",   [STREAM_COPY_IN] = "copy in",
	[STREAM_COPY_OUT] = "copy out", [STREAM_COPY_PEER] = "copy peer",
	[STREAM_WIDEN] = "widen",       [STREAM_COPY_LENT] = "copy lent",
};

/* --- the stream's own thread ------------------------------------------------------------------------------------- */

/* Keep the thread's error as the stream's. */
static void
keep_error(struct host_stream *stream)
{
	stream->failed = true;
	stream->error = *error_last();
}

/* Copies over links may be ahead of them: let time catch up before anybody hears that they are done. */
static void
settle(struct host_stream *stream)
{
	if (stream->clock > host_now())
		host_sleep_until(stream->clock);
}

/* Before work that takes some time. */
static void
find_core(struct host_stream *stream)
{
	if (stream->base.kind == STREAM_COMPUTE)
		host_core_enter(&stream->device->core);
	else
		host_core_avoid(&stream->device->core, &stream->allowed);
}

static void
leave_core(struct host_stream *stream)
{
	if (stream->base.kind == STREAM_COMPUTE)
		host_core_leave(&stream->device->core);
}

static void
do_copy(struct host_stream *stream, const struct host_command *command)
{
	const struct host_copy *copy = &command->as.copy;
	find_core(stream);
	if (copy->link == NULL) {
		host_copy(copy->to, copy->from, copy->bytes);
		leave_core(stream);
		return;
	}
	uint64_t ready = copy->put_ns > stream->clock ? copy->put_ns : stream->clock;
	stream->clock = host_link_copy(copy->link, ready, copy->to, copy->from, copy->bytes);
	leave_core(stream);
}

/*
 * Let work of so many operations, begun at `from`, take the time that the emulated rate gives. Work that follows on other work
 * begins when that ended, not when the thread woke from it.
 */
static void
emulate(struct host_stream *stream, uint64_t from, uint64_t flops)
{
	if (stream->device->compute_rate == 0)
		return;
	if (from < stream->emulated + WAKE_NS && from > stream->emulated)
		from = stream->emulated;
	stream->emulated =
		from + (uint64_t)((double)flops * 1e9 / (double)stream->device->compute_rate);
	if (stream->emulated > host_now())
		host_sleep_until(stream->emulated);
}

static void
do_launch(struct host_stream *stream, const struct host_command *command)
{
	settle(stream);
	find_core(stream);
	uint64_t from = host_now();
	if (command->as.launch.run(&command->as.launch, NULL) != 0)
		keep_error(stream);
	emulate(stream, from, command->as.launch.flops);
	leave_core(stream);
	if (stream->clock != 0)
		stream->clock = host_now();
}

static void
do_record(struct host_stream *stream, const struct host_command *command)
{
	settle(stream);
	host_event_reach(command->as.mark.event, command->as.mark.count,
			 stream->failed ? &stream->error : NULL);
}

static void
do_wait(struct host_stream *stream, const struct host_command *command)
{
	settle(stream);
	if (host_event_wait(command->as.mark.event, command->as.mark.count, stream->device->spin_ns,
			    &stream->error))
		stream->failed = true;
	if (stream->clock != 0)
		stream->clock = host_now();
}

static void
do_notify(struct host_stream *stream, const struct host_command *command)
{
	settle(stream);
	bool failed = stream->failed;
	stream->failed = false;
	/* Who is told may run something here at once, before this thread comes to look for more. */
	host_queue_finish(&stream->queue);
	command->as.notify.done(command->as.notify.context, failed ? &stream->error : NULL);
}

/* How each verb is carried out, whether it is skipped after an error, and what traces call it (NULL: nothing). */
static const struct {
	void (*run)(struct host_stream *stream, const struct host_command *command);
	bool skipped;
	const char *what;
} verbs[] = {
	[HOST_COPY] = { do_copy, true, "copy" },    [HOST_LAUNCH] = { do_launch, true, "run" },
	[HOST_RECORD] = { do_record, false, NULL }, [HOST_WAIT] = { do_wait, true, "wait" },
	[HOST_NOTIFY] = { do_notify, false, NULL },
};

/* Carry the command out, and note in the trace from when to when. */
static void
run_traced(struct host_stream *stream, const struct host_command *command)
{
	uint64_t from = host_now(), clock = stream->clock;
	verbs[command->verb].run(stream, command);
	if (verbs[command->verb].what == NULL)
		return;
	struct trace_event event = { .kind = TRACE_SPAN,
				     .track = stream->track,
				     .name = trace_name(verbs[command->verb].what),
				     .detail = command->label,
				     .index = command->label_part,
				     .from = from,
				     .to = host_now() };
	if (command->verb == HOST_COPY) {
		event.value = command->as.copy.bytes;
		/* Over a link it lasted as long as it had the link, not as long as the thread copied. */
		if (command->as.copy.link != NULL) {
			uint64_t put = command->as.copy.put_ns;
			event.from = put > clock ? put : clock;
			event.to = stream->clock;
		}
	}
	trace_put(&event);
}

static void
run_command(struct host_stream *stream, const struct host_command *command)
{
	if (stream->failed && verbs[command->verb].skipped)
		return;
	if (trace_is_on())
		run_traced(stream, command);
	else
		verbs[command->verb].run(stream, command);
}

static void *
run_stream(void *context)
{
	struct host_stream *stream = context;
	pthread_setname_np(pthread_self(), thread_names[stream->base.kind]);
	trace_set_thread_track(stream->track);
	/* Sleeps end when they should; the default lets them run 50 us over. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (pthread_getaffinity_np(pthread_self(), sizeof(stream->allowed), &stream->allowed) != 0)
		CPU_ZERO(&stream->allowed);
	for (;;) {
		const struct host_command *command =
			host_queue_take(&stream->queue, stream->device->spin_ns);
		if (command == NULL)
			break;
		run_command(stream, command);
	}
	return NULL;
}

/* --- making and deleting ----------------------------------------------------------------------------------------- */

/* Signals are for the main loop's thread. */
static int
start_thread(struct host_stream *stream)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int number = pthread_create(&stream->thread, NULL, run_stream, stream);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (number == 0)
		return 0;
	errno = number;
	return error_set_errno("%s: no thread for a stream", stream->device->base.properties.name);
}

struct device_stream *
host_stream_new(struct device *base, enum stream_kind kind)
{
	struct host_device *device = (struct host_device *)base;
	struct host_stream *stream = aligned_alloc(HOST_CACHE_LINE, sizeof(*stream));
	if (stream == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for a stream",
			  device->base.properties.name);
		return NULL;
	}
	memset(stream, 0, sizeof(*stream));
	stream->device = device;
	device_stream_create(&stream->base, base, kind);
	stream->track = trace_track(base->properties.name, rows[kind]);
	if (host_queue_create(&stream->queue) != 0)
		goto free_stream;
	if (start_thread(stream) != 0)
		goto destroy_queue;
	return &stream->base;
destroy_queue:
	host_queue_destroy(&stream->queue);
free_stream:
	free(stream);
	return NULL;
}

static void
host_stream_delete(struct device_stream *base)
{
	struct host_stream *stream = (struct host_stream *)base;
	host_queue_close(&stream->queue);
	pthread_join(stream->thread, NULL);
	host_queue_destroy(&stream->queue);
	free(stream);
}

/* --- putting ----------------------------------------------------------------------------------------------------- */

/* The next command, to be put when it is filled in; NULL without memory. */
static struct host_command *
new_command(struct host_stream *stream, enum host_verb verb)
{
	struct host_command *command = host_queue_slot(&stream->queue);
	if (command == NULL)
		return NULL;
	command->verb = verb;
	command->label = stream->base.label;
	command->label_part = stream->base.label_part;
	return command;
}

static int
put_copy(struct device_stream *base, struct host_link *link, void *to, const void *from,
	 size_t bytes)
{
	struct host_stream *stream = (struct host_stream *)base;
	struct host_command *command = new_command(stream, HOST_COPY);
	if (command == NULL)
		return -1;
	command->as.copy = (struct host_copy){ .to = to,
					       .from = from,
					       .bytes = bytes,
					       .link = link,
					       .put_ns = link == NULL ? 0 : host_now() };
	host_queue_put(&stream->queue);
	return 0;
}

static int
host_copy_in(struct device_stream *stream, void *to, const void *from, size_t bytes)
{
	return put_copy(stream, ((struct host_stream *)stream)->device->links.in, to, from, bytes);
}

static int
host_copy_out(struct device_stream *stream, void *to, const void *from, size_t bytes)
{
	return put_copy(stream, ((struct host_stream *)stream)->device->links.out, to, from, bytes);
}

static int
host_copy_peer(struct device_stream *stream, void *to, struct device *peer, const void *from,
	       size_t bytes)
{
	return put_copy(stream, ((struct host_stream *)stream)->device->peer_link, to, from, bytes);
}

static int
put_mark(struct device_stream *base, enum host_verb verb, struct host_event *event, uint32_t count)
{
	struct host_stream *stream = (struct host_stream *)base;
	struct host_command *command = new_command(stream, verb);
	if (command == NULL)
		return -1;
	command->as.mark = (struct host_mark){ .event = event, .count = count };
	host_queue_put(&stream->queue);
	return 0;
}

static int
check_event(const struct device_stream *stream, const struct device_event *event)
{
	if (event->ops == &host_event_ops)
		return 0;
	return error_set(ERR_FAILED_PRECONDITION, "%s cannot use an event of %s",
			 stream->device->properties.name, event->device->properties.name);
}

static int
host_record(struct device_stream *stream, struct device_event *base)
{
	struct host_event *event = (struct host_event *)base;
	if (check_event(stream, base) != 0 ||
	    host_queue_slot(&((struct host_stream *)stream)->queue) == NULL)
		return -1;
	uint32_t count = atomic_fetch_add(&event->recorded, 1) + 1;
	return put_mark(stream, HOST_RECORD, event, count);
}

static int
host_wait(struct device_stream *stream, struct device_event *base)
{
	struct host_event *event = (struct host_event *)base;
	if (check_event(stream, base) != 0)
		return -1;
	return put_mark(stream, HOST_WAIT, event, host_event_target(event));
}

static int
host_launch(struct device_stream *base, const struct device_launch *launch)
{
	struct host_stream *stream = (struct host_stream *)base;
	struct host_command *command = new_command(stream, HOST_LAUNCH);
	if (command == NULL)
		return -1;
	command->as.launch = *launch;
	host_queue_put(&stream->queue);
	return 0;
}

static int
host_notify(struct device_stream *base, stream_done_f *done, void *context)
{
	struct host_stream *stream = (struct host_stream *)base;
	struct host_command *command = new_command(stream, HOST_NOTIFY);
	if (command == NULL)
		return -1;
	command->as.notify = (struct host_notify){ .done = done, .context = context };
	host_queue_put(&stream->queue);
	return 0;
}

static int
host_run_now(struct device_stream *base, const struct device_launch *launch)
{
	struct host_stream *stream = (struct host_stream *)base;
	if (!host_queue_is_idle(&stream->queue))
		return error_set(ERR_FAILED_PRECONDITION,
				 "%s: work is put on the stream, so nothing else can run now",
				 stream->device->base.properties.name);
	if (stream->failed)
		return error_restore(&stream->error);
	return launch->run(launch, NULL);
}

const struct stream_ops host_stream_ops = {
	.delete = host_stream_delete,
	.copy_in = host_copy_in,
	.copy_out = host_copy_out,
	.copy_peer = host_copy_peer,
	.record = host_record,
	.wait = host_wait,
	.launch = host_launch,
	.notify = host_notify,
	.run_now = host_run_now,
	.drain = generic_drain,
};
