#include "device/device.h"

#include <assert.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/driver.h"

static struct device *
cuda_open(const struct device_options *options)
{
	return module_open("cuda", options);
}

/* The kinds: name and opener, by enum device_kind. */
static const struct {
	const char *name;
	struct device *(*open)(const struct device_options *options);
} kinds[] = {
	[DEVICE_KIND_HOST] = { "host", host_open },
	[DEVICE_KIND_CUDA] = { "cuda", cuda_open },
	[DEVICE_KIND_SIM] = { "sim", sim_open },
};

enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

/* --- device ----------------------------------------------------------------------------------------------------- */

void
device_create(struct device *device, enum device_kind kind, const struct device_ops *ops,
	      const struct memory_ops *memory, const struct stream_ops *stream,
	      const struct event_ops *event)
{
	device->ops = ops;
	device->memory = memory;
	device->stream = stream;
	device->event = event;
	device->properties = (struct device_properties){ .kind = kind };
	device->target = device;
	atomic_init(&device->lost, false);
	atomic_init(&device->children, 0);
}

struct device *
device_open(enum device_kind kind, const struct device_options *options)
{
	if ((unsigned)kind >= KIND_COUNT) {
		error_set(ERR_INVALID_ARGUMENT, "device kind %d is none", (int)kind);
		return NULL;
	}
	return kinds[kind].open(options);
}

void
device_close(struct device *device)
{
	assert(atomic_load(&device->children) == 0);
	device->ops->close(device);
}

int
device_recover(struct device *device)
{
	assert(atomic_load(&device->children) == 0);
	return device->ops->recover(device);
}

const struct device_properties *
device_properties(const struct device *device)
{
	return &device->properties;
}

const char *
device_kind_name(enum device_kind kind)
{
	return (unsigned)kind < KIND_COUNT ? kinds[kind].name : "none";
}

int
device_kind_from_name(const char *name)
{
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		if (strcmp(kinds[kind].name, name) == 0)
			return kind;
	}
	return -1;
}

static const char *const maths[] = { "fp32", "tf32", "fp16", "bf16" };

enum { MATHS = sizeof(maths) / sizeof(maths[0]) };

const char *
device_math_name(enum device_math math)
{
	return (unsigned)math < MATHS ? maths[math] : "none";
}

int
device_math_from_name(const char *name)
{
	for (int math = 0; math < MATHS; math++) {
		if (strcmp(maths[math], name) == 0)
			return math;
	}
	return -1;
}

static const char *const layouts[] = { "auto", "nchw", "nhwc" };

enum { LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

const char *
device_layout_name(enum device_layout layout)
{
	return (unsigned)layout < LAYOUTS ? layouts[layout] : "none";
}

int
device_layout_from_name(const char *name)
{
	for (int layout = 0; layout < LAYOUTS; layout++) {
		if (strcmp(layouts[layout], name) == 0)
			return layout;
	}
	return -1;
}

const void *
device_module_symbol(enum device_kind kind, const char *name)
{
	return module_symbol(device_kind_name(kind), name);
}

bool
device_has_peer(const struct device *device, const struct device *peer)
{
	const struct device *to = device->target;
	const struct device *from = peer->target;
	return to != from && to->ops == from->ops && to->ops->has_peer(to, from);
}

uint64_t
device_peer_rate(const struct device *device, const struct device *peer)
{
	const struct device *to = device->target;
	return device_has_peer(device, peer) ? to->ops->peer_rate(to, peer->target) : 0;
}

int
device_reserve(struct device *device, size_t bytes, void **base)
{
	if (bytes == 0)
		return error_set(ERR_INVALID_ARGUMENT, "%s: cannot reserve 0 bytes",
				 device->properties.name);
	return device->memory->reserve(device, bytes, base);
}

void
device_release(struct device *device, void *base)
{
	device->memory->release(device, base);
}

void *
device_host_alloc(struct device *device, size_t bytes)
{
	return device->memory->host_alloc(device, bytes);
}

void
device_host_free(struct device *device, void *memory)
{
	if (memory != NULL)
		device->memory->host_free(device, memory);
}

int
device_host_register(struct device *device, void *memory, size_t bytes)
{
	return device->memory->host_register(device, memory, bytes);
}

void
device_host_unregister(struct device *device, void *memory)
{
	device->memory->host_unregister(device, memory);
}

int
device_health(struct device *device)
{
	return device->ops->health(device);
}

/* --- stream ------------------------------------------------------------------------------------------------------ */

struct device_stream *
stream_new(struct device *device, enum stream_kind kind)
{
	struct device_stream *stream = device->ops->stream_new(device, kind);
	if (stream != NULL)
		atomic_fetch_add(&device->children, 1);
	return stream;
}

void
device_stream_create(struct device_stream *stream, struct device *device, enum stream_kind kind)
{
	stream->ops = device->stream;
	stream->device = device;
	stream->kind = kind;
	stream->label = stream->label_part = 0;
}

void
stream_delete(struct device_stream *stream)
{
	if (stream == NULL)
		return;
	struct device *device = stream->device;
	stream->ops->delete (stream);
	atomic_fetch_sub(&device->children, 1);
}

int
stream_copy_in(struct device_stream *stream, void *device_to, const void *host_from, size_t bytes)
{
	return bytes == 0 ? 0 : stream->ops->copy_in(stream, device_to, host_from, bytes);
}

int
stream_copy_out(struct device_stream *stream, void *host_to, const void *device_from, size_t bytes)
{
	return bytes == 0 ? 0 : stream->ops->copy_out(stream, host_to, device_from, bytes);
}

int
stream_copy_peer(struct device_stream *stream, void *device_to, struct device *peer,
		 const void *peer_from, size_t bytes)
{
	if (!device_has_peer(stream->device, peer))
		return error_set(ERR_FAILED_PRECONDITION, "%s has no link to %s",
				 stream->device->properties.name, peer->properties.name);
	if (bytes == 0)
		return 0;
	return stream->ops->copy_peer(stream, device_to, peer, peer_from, bytes);
}

int
stream_record(struct device_stream *stream, struct device_event *event)
{
	return stream->ops->record(stream, event);
}

int
stream_wait(struct device_stream *stream, struct device_event *event)
{
	return stream->ops->wait(stream, event);
}

int
stream_launch(struct device_stream *stream, const struct device_launch *launch)
{
	return stream->ops->launch(stream, launch);
}

void
stream_label(struct device_stream *stream, uint32_t name)
{
	stream->label = name;
	stream->label_part = 0;
}

void
stream_label_part(struct device_stream *stream, uint32_t part)
{
	stream->label_part = part;
}

int
stream_notify(struct device_stream *stream, stream_done_f *done, void *context)
{
	return stream->ops->notify(stream, done, context);
}

/* A stream_done_f. The stream that comes last tells; it sees what the others wrote. */
static void
joined(void *context, const struct error *error)
{
	struct stream_join *join = context;
	if (error != NULL && __atomic_exchange_n(&join->failed, 1, __ATOMIC_RELAXED) == 0)
		join->error = *error;
	if (__atomic_sub_fetch(&join->left, 1, __ATOMIC_ACQ_REL) == 0)
		join->done(join->context, join->failed != 0 ? &join->error : NULL);
}

void
stream_notify_all(struct device_stream *const *streams, uint32_t count, struct stream_join *join,
		  stream_done_f *done, void *context)
{
	*join = (struct stream_join){ .done = done, .context = context };
	for (uint32_t i = 0; i < count; i++)
		join->left += streams[i] != NULL;
	assert(join->left > 0);
	for (uint32_t i = 0; i < count; i++)
		if (streams[i] != NULL && stream_notify(streams[i], joined, join) != 0)
			joined(join, error_last());
}

int
stream_run_now(struct device_stream *stream, const struct device_launch *launch)
{
	if (!stream->device->properties.runs_inline)
		return error_set(ERR_FAILED_PRECONDITION, "%s runs nothing on the caller's thread",
				 stream->device->properties.name);
	return stream->ops->run_now(stream, launch);
}

/* What stream_synchronize waits for. state: SYNC_*; failed and error are written before SYNC_DONE. */
struct sync {
	_Atomic uint32_t state;
	bool failed;
	struct error error;
};

enum {
	SYNC_OPEN,
	SYNC_SLEEPS,
	SYNC_DONE,
};

/* A stream_done_f. *sync may be gone as soon as its state is SYNC_DONE. */
static void
sync_done(void *context, const struct error *error)
{
	struct sync *sync = context;
	sync->failed = error != NULL;
	if (error != NULL)
		sync->error = *error;
	if (atomic_exchange(&sync->state, SYNC_DONE) == SYNC_SLEEPS)
		syscall(SYS_futex, &sync->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int
stream_synchronize(struct device_stream *stream)
{
	struct sync sync;
	atomic_init(&sync.state, SYNC_OPEN);
	if (stream_notify(stream, sync_done, &sync) != 0)
		return -1;
	stream->ops->drain(stream);
	uint32_t open = SYNC_OPEN;
	atomic_compare_exchange_strong(&sync.state, &open, SYNC_SLEEPS);
	while (atomic_load(&sync.state) != SYNC_DONE)
		syscall(SYS_futex, &sync.state, FUTEX_WAIT_PRIVATE, SYNC_SLEEPS, NULL, NULL, 0);
	return sync.failed ? error_restore(&sync.error) : 0;
}

/* --- event ------------------------------------------------------------------------------------------------------- */

struct device_event *
event_new(struct device *device)
{
	struct device_event *event = device->ops->event_new(device);
	if (event == NULL)
		return NULL;
	event->ops = device->event;
	event->device = device;
	atomic_fetch_add(&device->children, 1);
	return event;
}

void
event_delete(struct device_event *event)
{
	if (event == NULL)
		return;
	struct device *device = event->device;
	event->ops->delete (event);
	atomic_fetch_sub(&device->children, 1);
}

int
event_query(struct device_event *event)
{
	if (atomic_load(&event->device->lost))
		return device_health(event->device);
	return event->ops->query(event);
}

/* --- defaults ---------------------------------------------------------------------------------------------------- */

bool
generic_has_peer(const struct device *device, const struct device *peer)
{
	return false;
}

uint64_t
generic_peer_rate(const struct device *device, const struct device *peer)
{
	uint64_t to = device->properties.peer_rate;
	uint64_t from = peer->properties.peer_rate;
	return to < from ? to : from;
}

int
generic_health(struct device *device)
{
	return 0;
}

int
generic_recover(struct device *device)
{
	return 0;
}

int
generic_host_register(struct device *device, void *memory, size_t bytes)
{
	return 0;
}

void
generic_host_unregister(struct device *device, void *memory)
{
}

int
generic_run_now(struct device_stream *stream, const struct device_launch *launch)
{
	return error_set(ERR_UNIMPLEMENTED, "%s runs nothing on the caller's thread",
			 stream->device->properties.name);
}

void
generic_drain(struct device_stream *stream)
{
}
