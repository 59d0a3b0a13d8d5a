#include <stdlib.h>

#include "device/cuda.h"
#include "device/cuda_compute.h"

struct cuda_stream {
	struct device_stream base;
	struct cuda_device *device;
	cudaStream_t native;
	/* Of a stream that runs kernels; NULL for copies. */
	struct cuda_compute *compute;
	/* The putting thread's: what a launch's run has met since the last notify. What the GPU itself meets loses the
	 * device. */
	bool failed;
	struct error error;
};

struct cuda_event {
	struct device_event base;
	struct cuda_device *device;
	cudaEvent_t native;
	/* Records put, and how many of them a query has seen reached; modulo 2^32. */
	_Atomic uint32_t recorded;
	_Atomic uint32_t reached;
	/* What had gone wrong before the last record, NULL when nothing; read and written under failure_lock. */
	_Atomic(struct error *) failure;
};

struct cuda_notify {
	/* In the device's notifies or spare_notifies. */
	struct list link;
	struct cuda_device *device;
	/* Of the stream that it was put on; NULL for copies. */
	struct cuda_compute *compute;
	stream_done_f *done;
	void *context;
	/* Set by whoever calls done: the GPU and the loss of it may race. */
	atomic_bool taken;
	bool failed;
	struct error error;
};

/* Guards the failures of all events; they are rare. */
static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;

static struct cuda_stream *
stream_of(struct device_stream *stream)
{
	return (struct cuda_stream *)stream;
}

static void
keep_error(struct cuda_stream *stream)
{
	stream->failed = true;
	stream->error = *error_last();
}

/* --- events ------------------------------------------------------------------------------------------------------ */

struct device_event *
cuda_event_new(struct device *base)
{
	struct cuda_device *device = (struct cuda_device *)base;
	if (cuda_enter(device) != 0)
		return NULL;
	struct cuda_event *event = calloc(1, sizeof(*event));
	if (event == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for an event");
		return NULL;
	}
	event->device = device;
	if (cuda_check(device, cudaEventCreateWithFlags(&event->native, cudaEventDisableTiming),
		       "cudaEventCreateWithFlags") != 0) {
		free(event);
		return NULL;
	}
	return &event->base;
}

/* Replace what went wrong; error NULL: nothing did. -1 without memory for it. */
static int
set_failure(struct cuda_event *event, const struct error *error)
{
	struct error *next = NULL;
	if (error != NULL) {
		next = malloc(sizeof(*next));
		if (next == NULL)
			return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for an event's error");
		*next = *error;
	}
	pthread_mutex_lock(&failure_lock);
	free(atomic_exchange(&event->failure, next));
	pthread_mutex_unlock(&failure_lock);
	return 0;
}

static bool
copy_failure(struct cuda_event *event, struct error *error)
{
	if (atomic_load(&event->failure) == NULL)
		return false;
	pthread_mutex_lock(&failure_lock);
	const struct error *failure = atomic_load(&event->failure);
	if (failure != NULL)
		*error = *failure;
	pthread_mutex_unlock(&failure_lock);
	return failure != NULL;
}

static void
cuda_event_delete(struct device_event *base)
{
	struct cuda_event *event = (struct cuda_event *)base;
	struct cuda_device *device = event->device;
	if (cuda_enter(device) == 0)
		cuda_check(device, cudaEventDestroy(event->native), "cudaEventDestroy");
	free(atomic_load(&event->failure));
	free(event);
}

static int
cuda_event_query(struct device_event *base)
{
	struct cuda_event *event = (struct cuda_event *)base;
	/* Counted before CUDA is asked: what it then says is true of at least that many records. */
	uint32_t recorded = atomic_load(&event->recorded);
	if (atomic_load(&event->reached) == recorded)
		return 1;
	if (cuda_enter(event->device) != 0)
		return -1;
	cudaError_t status = cudaEventQuery(event->native);
	if (status == cudaErrorNotReady) {
		/* The runtime would tell it the next who asks. */
		cudaGetLastError();
		return 0;
	}
	if (cuda_check(event->device, status, "cudaEventQuery") != 0)
		return -1;
	atomic_store(&event->reached, recorded);
	return 1;
}

const struct event_ops cuda_event_ops = {
	.delete = cuda_event_delete,
	.query = cuda_event_query,
};

/* --- notifies ---------------------------------------------------------------------------------------------------- */

/* One that is not in use; NULL without memory. */
static struct cuda_notify *
take_spare(struct cuda_device *device)
{
	pthread_mutex_lock(&device->lock);
	struct list *spare = list_pop_front(&device->spare_notifies);
	pthread_mutex_unlock(&device->lock);
	if (spare != NULL)
		return list_entry(spare, struct cuda_notify, link);
	struct cuda_notify *notify = malloc(sizeof(*notify));
	if (notify == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a notify");
	else
		list_create(&notify->link);
	return notify;
}

/* To the device's notifies or spare_notifies. */
static void
move_notify(struct cuda_notify *notify, struct list *to)
{
	pthread_mutex_lock(&notify->device->lock);
	list_remove(&notify->link);
	list_push_back(to, &notify->link);
	pthread_mutex_unlock(&notify->device->lock);
}

void
cuda_notifies_free(struct cuda_device *device)
{
	struct list *link;
	while ((link = list_pop_front(&device->spare_notifies)) != NULL)
		free(list_entry(link, struct cuda_notify, link));
}

static void
finish(struct cuda_notify *notify, const struct error *error)
{
	if (!atomic_exchange(&notify->taken, true))
		notify->done(notify->context, error);
	move_notify(notify, &notify->device->spare_notifies);
}

/* cudaHostFn_t: on a thread of the CUDA runtime. */
static void
deliver(void *context)
{
	struct cuda_notify *notify = context;
	struct error error;
	bool failed = notify->compute != NULL && cuda_compute_take_error(notify->compute, &error);
	if (failed && !notify->failed)
		notify->error = error;
	finish(notify, failed || notify->failed ? &notify->error : NULL);
}

/* A lost device takes no new notifies, so none of these is used again behind the back of a late deliver. */
void
cuda_fail_notifies(struct cuda_device *device)
{
	for (;;) {
		pthread_mutex_lock(&device->lock);
		struct list *link = list_pop_front(&device->notifies);
		pthread_mutex_unlock(&device->lock);
		if (link == NULL)
			return;
		finish(list_entry(link, struct cuda_notify, link), &device->loss);
	}
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

/*
 * Copies, and what widens them, go first: computing waits for them, and takes the whole GPU else. Copies between host and
 * device have engines of their own, which heed no priority; those between peers may not.
 */
static int
priority_of(struct cuda_device *device, enum stream_kind kind, int *priority)
{
	int least, greatest;
	if (cuda_check(device, cudaDeviceGetStreamPriorityRange(&least, &greatest),
		       "cudaDeviceGetStreamPriorityRange") != 0)
		return -1;
	*priority = kind == STREAM_COMPUTE ? least : greatest;
	return 0;
}

static int
create_compute(struct cuda_stream *stream)
{
	stream->compute = calloc(1, sizeof(*stream->compute));
	if (stream->compute == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a stream");
	if (cuda_compute_create(stream->compute, stream->device, stream->native,
				stream->base.kind == STREAM_COMPUTE) == 0)
		return 0;
	free(stream->compute);
	return -1;
}

struct device_stream *
cuda_stream_new(struct device *base, enum stream_kind kind)
{
	struct cuda_device *device = (struct cuda_device *)base;
	int priority;
	if (cuda_enter(device) != 0 || priority_of(device, kind, &priority) != 0)
		return NULL;
	struct cuda_stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a stream");
		return NULL;
	}
	stream->device = device;
	device_stream_create(&stream->base, base, kind);
	if (cuda_check(
		    device,
		    cudaStreamCreateWithPriority(&stream->native, cudaStreamNonBlocking, priority),
		    "cudaStreamCreateWithPriority") != 0)
		goto free_stream;
	bool runs_kernels = kind == STREAM_COMPUTE || kind == STREAM_WIDEN;
	if (runs_kernels && create_compute(stream) != 0)
		goto destroy_stream;
	return &stream->base;
destroy_stream:
	cuda_check(device, cudaStreamDestroy(stream->native), "cudaStreamDestroy");
free_stream:
	free(stream);
	return NULL;
}

static void
cuda_stream_delete(struct device_stream *base)
{
	struct cuda_stream *stream = stream_of(base);
	struct cuda_device *device = stream->device;
	bool is_dry =
		cuda_enter(device) == 0 && cuda_check(device, cudaStreamSynchronize(stream->native),
						      "cudaStreamSynchronize") == 0;
	/* Before the stream, which libraries' handles name. */
	if (stream->compute != NULL)
		cuda_compute_destroy(stream->compute);
	free(stream->compute);
	if (is_dry)
		cuda_check(device, cudaStreamDestroy(stream->native), "cudaStreamDestroy");
	free(stream);
}

/* Before work is put: 0 to put it, 1 when an earlier error makes it void, -1 when the device is lost. */
static int
before_work(struct cuda_stream *stream)
{
	if (cuda_enter(stream->device) != 0)
		return -1;
	return stream->failed ? 1 : 0;
}

static int
put_copy(struct device_stream *base, void *to, const void *from, size_t bytes,
	 enum cudaMemcpyKind kind)
{
	struct cuda_stream *stream = stream_of(base);
	int before = before_work(stream);
	if (before != 0)
		return before < 0 ? -1 : 0;
	return cuda_check(stream->device, cudaMemcpyAsync(to, from, bytes, kind, stream->native),
			  "cudaMemcpyAsync");
}

static int
cuda_copy_in(struct device_stream *stream, void *to, const void *from, size_t bytes)
{
	return put_copy(stream, to, from, bytes, cudaMemcpyHostToDevice);
}

static int
cuda_copy_out(struct device_stream *stream, void *to, const void *from, size_t bytes)
{
	return put_copy(stream, to, from, bytes, cudaMemcpyDeviceToHost);
}

static int
cuda_copy_peer(struct device_stream *base, void *to, struct device *peer_base, const void *from,
	       size_t bytes)
{
	struct cuda_stream *stream = stream_of(base);
	struct cuda_device *peer = (struct cuda_device *)peer_base->target;
	int before = before_work(stream);
	if (before != 0)
		return before < 0 ? -1 : 0;
	if (cuda_connect(stream->device, peer) != 0)
		return -1;
	return cuda_check(stream->device,
			  cudaMemcpyPeerAsync(to, stream->device->index, from, peer->index, bytes,
					      stream->native),
			  "cudaMemcpyPeerAsync");
}

static int
check_event(const struct cuda_stream *stream, const struct device_event *event)
{
	if (event->ops == &cuda_event_ops)
		return 0;
	return error_set(ERR_FAILED_PRECONDITION, "%s cannot use an event of %s",
			 stream->base.device->properties.name, event->device->properties.name);
}

static int
cuda_record(struct device_stream *base, struct device_event *event_base)
{
	struct cuda_stream *stream = stream_of(base);
	struct cuda_event *event = (struct cuda_event *)event_base;
	if (check_event(stream, event_base) != 0 || cuda_enter(stream->device) != 0)
		return -1;
	bool clean = !stream->failed && atomic_load(&event->failure) == NULL;
	if (!clean && set_failure(event, stream->failed ? &stream->error : NULL) != 0)
		return -1;
	if (cuda_check(stream->device, cudaEventRecord(event->native, stream->native),
		       "cudaEventRecord") != 0)
		return -1;
	atomic_fetch_add(&event->recorded, 1);
	return 0;
}

static int
cuda_wait(struct device_stream *base, struct device_event *event_base)
{
	struct cuda_stream *stream = stream_of(base);
	struct cuda_event *event = (struct cuda_event *)event_base;
	int before = before_work(stream);
	if (before != 0 || check_event(stream, event_base) != 0)
		return before == 1 ? 0 : -1;
	if (copy_failure(event, &stream->error)) {
		stream->failed = true;
		return 0;
	}
	if (atomic_load(&event->reached) == atomic_load(&event->recorded))
		return 0;
	return cuda_check(stream->device, cudaStreamWaitEvent(stream->native, event->native, 0),
			  "cudaStreamWaitEvent");
}

static int
cuda_launch(struct device_stream *base, const struct device_launch *launch)
{
	struct cuda_stream *stream = stream_of(base);
	int before = before_work(stream);
	if (before != 0)
		return before < 0 ? -1 : 0;
	/* On a copy stream it is host work that a copy after it needs: bringing an image from disk. */
	int result = stream->compute == NULL ? launch->run(launch, NULL)
					     : cuda_compute_launch(stream->compute, launch);
	if (result != 0)
		keep_error(stream);
	return 0;
}

static struct cuda_notify *
new_notify(struct cuda_stream *stream, stream_done_f *done, void *context)
{
	struct cuda_notify *notify = take_spare(stream->device);
	if (notify == NULL)
		return NULL;
	notify->device = stream->device;
	notify->compute = stream->compute;
	notify->done = done;
	notify->context = context;
	notify->failed = stream->failed;
	if (stream->failed)
		notify->error = stream->error;
	atomic_store(&notify->taken, false);
	return notify;
}

static int
cuda_notify(struct device_stream *base, stream_done_f *done, void *context)
{
	struct cuda_stream *stream = stream_of(base);
	struct cuda_device *device = stream->device;
	if (cuda_enter(device) != 0)
		return -1;
	struct cuda_notify *notify = new_notify(stream, done, context);
	if (notify == NULL)
		return -1;
	move_notify(notify, &device->notifies);
	int result = cuda_check(device, cudaLaunchHostFunc(stream->native, deliver, notify),
				"cudaLaunchHostFunc");
	/* The device may have been lost, and its notifies failed, before this one was among them. */
	if (atomic_load(&device->base.lost)) {
		cuda_fail_notifies(device);
		return 0;
	}
	if (result != 0) {
		move_notify(notify, &device->spare_notifies);
		return -1;
	}
	stream->failed = false;
	return 0;
}

/* CUDA calls no notify any more once the device is lost: whoever waits has to ask. */
static void
cuda_drain(struct device_stream *base)
{
	struct cuda_stream *stream = stream_of(base);
	if (cuda_enter(stream->device) == 0)
		cuda_check(stream->device, cudaStreamSynchronize(stream->native),
			   "cudaStreamSynchronize");
}

const struct stream_ops cuda_stream_ops = {
	.delete = cuda_stream_delete,
	.copy_in = cuda_copy_in,
	.copy_out = cuda_copy_out,
	.copy_peer = cuda_copy_peer,
	.record = cuda_record,
	.wait = cuda_wait,
	.launch = cuda_launch,
	.notify = cuda_notify,
	.run_now = generic_run_now,
	.drain = cuda_drain,
};
