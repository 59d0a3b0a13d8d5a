#include "device/fault.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/driver.h"

struct fault_device {
	struct device base;
	struct device *inner;
	/* Guards plan. */
	pthread_mutex_t lock;
	struct fault_plan plan;
};

struct fault_stream {
	struct device_stream base;
	struct device_stream *inner;
};

/* The counters of a plan, by their place in it. */
#define COUNTER(name) offsetof(struct fault_plan, name)

static struct fault_device *
fault_of(const struct device *device)
{
	return (struct fault_device *)device;
}

static struct device_stream *
inner_stream(struct device_stream *stream)
{
	struct device_stream *inner = ((struct fault_stream *)stream)->inner;
	/* What is put is called the same in traces. */
	inner->label = stream->label;
	inner->label_part = stream->label_part;
	return inner;
}

/* Count one call down; true when it is the one that fails. */
static bool
strikes(struct fault_device *fault, size_t counter)
{
	pthread_mutex_lock(&fault->lock);
	uint32_t *left = (uint32_t *)((char *)&fault->plan + counter);
	bool struck = *left == 1;
	if (*left > 0)
		--*left;
	pthread_mutex_unlock(&fault->lock);
	return struck;
}

/* --- device ------------------------------------------------------------------------------------------------------ */

static int
lost_error(const struct fault_device *fault)
{
	return error_set(ERR_UNAVAILABLE, "%s is lost (injected)", fault->base.properties.name);
}

static int
fault_health(struct device *device)
{
	struct fault_device *fault = fault_of(device);
	if (atomic_load(&fault->base.lost))
		return lost_error(fault);
	return device_health(fault->inner);
}

/* As fault_health, then whether this is the call that fails. */
static int
check(struct device *device, size_t counter, const char *what)
{
	if (fault_health(device) != 0)
		return -1;
	if (strikes(fault_of(device), counter))
		return error_set(ERR_RESOURCE_EXHAUSTED, "%s: %s fails (injected)",
				 device->properties.name, what);
	return 0;
}

static void
fault_close(struct device *device)
{
	struct fault_device *fault = fault_of(device);
	device_close(fault->inner);
	pthread_mutex_destroy(&fault->lock);
	free(fault);
}

static int
fault_recover(struct device *device)
{
	struct fault_device *fault = fault_of(device);
	if (device_recover(fault->inner) != 0)
		return -1;
	atomic_store(&fault->base.lost, false);
	return 0;
}

static struct device_event *
fault_event_new(struct device *device)
{
	if (check(device, COUNTER(fail_new), "event_new") != 0)
		return NULL;
	struct device *inner = fault_of(device)->inner;
	return inner->ops->event_new(inner);
}

static struct device_stream *
fault_stream_new(struct device *device, enum stream_kind kind)
{
	if (check(device, COUNTER(fail_new), "stream_new") != 0)
		return NULL;
	struct fault_stream *stream = malloc(sizeof(*stream));
	if (stream == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a stream");
		return NULL;
	}
	stream->inner = stream_new(fault_of(device)->inner, kind);
	if (stream->inner == NULL) {
		free(stream);
		return NULL;
	}
	device_stream_create(&stream->base, device, kind);
	return &stream->base;
}

static const struct device_ops fault_ops = {
	.close = fault_close,
	.has_peer = generic_has_peer,
	.peer_rate = generic_peer_rate,
	.recover = fault_recover,
	.health = fault_health,
	.stream_new = fault_stream_new,
	.event_new = fault_event_new,
};

/* --- memory ------------------------------------------------------------------------------------------------------ */

static int
fault_reserve(struct device *device, size_t bytes, void **base)
{
	if (check(device, COUNTER(fail_reserve), "reserve") != 0)
		return -1;
	return device_reserve(fault_of(device)->inner, bytes, base);
}

static void
fault_release(struct device *device, void *base)
{
	device_release(fault_of(device)->inner, base);
}

static void *
fault_host_alloc(struct device *device, size_t bytes)
{
	if (check(device, COUNTER(fail_host_alloc), "host_alloc") != 0)
		return NULL;
	return device_host_alloc(fault_of(device)->inner, bytes);
}

static void
fault_host_free(struct device *device, void *memory)
{
	device_host_free(fault_of(device)->inner, memory);
}

static int
fault_host_register(struct device *device, void *memory, size_t bytes)
{
	if (fault_health(device) != 0)
		return -1;
	return device_host_register(fault_of(device)->inner, memory, bytes);
}

static void
fault_host_unregister(struct device *device, void *memory)
{
	device_host_unregister(fault_of(device)->inner, memory);
}

static const struct memory_ops fault_memory_ops = {
	.reserve = fault_reserve,
	.release = fault_release,
	.host_alloc = fault_host_alloc,
	.host_free = fault_host_free,
	.host_register = fault_host_register,
	.host_unregister = fault_host_unregister,
};

/* --- streams ----------------------------------------------------------------------------------------------------- */

/* Count one verb put; fails once the device is lost. */
static int
count_verb(struct device_stream *stream)
{
	struct fault_device *fault = fault_of(stream->device);
	if (strikes(fault, COUNTER(lose_after)))
		atomic_store(&fault->base.lost, true);
	return fault_health(stream->device);
}

static void
fault_stream_delete(struct device_stream *stream)
{
	stream_delete(inner_stream(stream));
	free(stream);
}

static int
run_failed_copy(const struct device_launch *launch, void *native)
{
	return error_set(ERR_DATA_LOSS, "a copy fails (injected)");
}

static int
run_failed_launch(const struct device_launch *launch, void *native)
{
	return error_set(ERR_INTERNAL, "a launch fails (injected)");
}

/* work: the plan's slow_copy_us as a pointer, so that nothing has to outlive the run. */
static int
run_sleep(const struct device_launch *launch, void *native)
{
	uint64_t us = (uintptr_t)launch->work;
	struct timespec time = { .tv_sec = (time_t)(us / 1000000),
				 .tv_nsec = (long)(us % 1000000) * 1000 };
	nanosleep(&time, NULL);
	return 0;
}

static int
put_sleep(struct device_stream *stream, uint32_t us)
{
	const struct device_launch sleep = { .run = run_sleep,
					     .work = (const void *)(uintptr_t)us };
	return us == 0 ? 0 : stream_launch(inner_stream(stream), &sleep);
}

/* What the plan has for a copy: 0 to put it, 1 when its failure was put instead, -1 when it is refused. */
static int
before_copy(struct device_stream *stream)
{
	struct fault_device *fault = fault_of(stream->device);
	if (count_verb(stream) != 0 || check(stream->device, COUNTER(refuse_copy), "copy") != 0)
		return -1;
	pthread_mutex_lock(&fault->lock);
	uint32_t slow_us = fault->plan.slow_copy_us;
	pthread_mutex_unlock(&fault->lock);
	if (put_sleep(stream, slow_us) != 0)
		return -1;
	if (!strikes(fault, COUNTER(fail_copy)))
		return 0;
	const struct device_launch failure = { .run = run_failed_copy };
	return stream_launch(inner_stream(stream), &failure) == 0 ? 1 : -1;
}

static int
fault_copy_in(struct device_stream *stream, void *to, const void *from, size_t bytes)
{
	int before = before_copy(stream);
	if (before != 0)
		return before < 0 ? -1 : 0;
	return stream_copy_in(inner_stream(stream), to, from, bytes);
}

static int
fault_copy_out(struct device_stream *stream, void *to, const void *from, size_t bytes)
{
	int before = before_copy(stream);
	if (before != 0)
		return before < 0 ? -1 : 0;
	return stream_copy_out(inner_stream(stream), to, from, bytes);
}

static int
fault_copy_peer(struct device_stream *stream, void *to, struct device *peer, const void *from,
		size_t bytes)
{
	int before = before_copy(stream);
	if (before != 0)
		return before < 0 ? -1 : 0;
	return stream_copy_peer(inner_stream(stream), to, peer->target, from, bytes);
}

static int
fault_record(struct device_stream *stream, struct device_event *event)
{
	if (count_verb(stream) != 0)
		return -1;
	return stream_record(inner_stream(stream), event);
}

static int
fault_wait(struct device_stream *stream, struct device_event *event)
{
	if (count_verb(stream) != 0)
		return -1;
	return stream_wait(inner_stream(stream), event);
}

static int
fault_launch(struct device_stream *stream, const struct device_launch *launch)
{
	if (count_verb(stream) != 0)
		return -1;
	const struct device_launch failure = { .run = run_failed_launch };
	bool fails = strikes(fault_of(stream->device), COUNTER(fail_launch));
	return stream_launch(inner_stream(stream), fails ? &failure : launch);
}

/* A notify on its way. */
struct fault_notify {
	struct fault_device *fault;
	stream_done_f *done;
	void *context;
};

/* Nothing that was under way when the device was lost counts as done. */
static void
pass_notify(void *context, const struct error *error)
{
	struct fault_notify notify = *(struct fault_notify *)context;
	free(context);
	if (atomic_load(&notify.fault->base.lost)) {
		lost_error(notify.fault);
		error = error_last();
	}
	notify.done(notify.context, error);
}

/*
 * A lost device still tells when its target has passed what was put before: until then the target works on memory that
 * whoever is told gives to others. (A real device that is lost works on nothing.)
 */
static int
fault_notify(struct device_stream *stream, stream_done_f *done, void *context)
{
	(void)count_verb(stream);
	struct fault_notify *notify = malloc(sizeof(*notify));
	if (notify == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a notify");
	*notify = (struct fault_notify){ fault_of(stream->device), done, context };
	if (stream_notify(inner_stream(stream), pass_notify, notify) == 0)
		return 0;
	free(notify);
	return -1;
}

static int
fault_run_now(struct device_stream *stream, const struct device_launch *launch)
{
	if (count_verb(stream) != 0)
		return -1;
	if (strikes(fault_of(stream->device), COUNTER(fail_launch)))
		return run_failed_launch(launch, NULL);
	return stream_run_now(inner_stream(stream), launch);
}

static void
fault_drain(struct device_stream *stream)
{
	struct device_stream *inner = inner_stream(stream);
	inner->ops->drain(inner);
}

static const struct stream_ops fault_stream_ops = {
	.delete = fault_stream_delete,
	.copy_in = fault_copy_in,
	.copy_out = fault_copy_out,
	.copy_peer = fault_copy_peer,
	.record = fault_record,
	.wait = fault_wait,
	.launch = fault_launch,
	.notify = fault_notify,
	.run_now = fault_run_now,
	.drain = fault_drain,
};

/* --- making ------------------------------------------------------------------------------------------------------ */

struct device *
fault_new(struct device *target)
{
	struct fault_device *fault = calloc(1, sizeof(*fault));
	if (fault == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a device");
		return NULL;
	}
	/* Events are the target's own, so that its streams take them. */
	device_create(&fault->base, target->properties.kind, &fault_ops, &fault_memory_ops,
		      &fault_stream_ops, target->event);
	fault->base.properties = target->properties;
	fault->base.target = target->target;
	fault->inner = target;
	pthread_mutex_init(&fault->lock, NULL);
	return &fault->base;
}

void
fault_set(struct device *device, const struct fault_plan *plan)
{
	assert(device->ops == &fault_ops);
	struct fault_device *fault = fault_of(device);
	pthread_mutex_lock(&fault->lock);
	fault->plan = *plan;
	pthread_mutex_unlock(&fault->lock);
}

void
fault_lose(struct device *device)
{
	assert(device->ops == &fault_ops);
	atomic_store(&device->lost, true);
}
