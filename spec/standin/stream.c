#include "stream.h"

#include <stdlib.h>

#include "capture.h"
#include "vram.h"

enum { STREAM_FLAGS = cudaStreamNonBlocking };

/* --- work -------------------------------------------------------------------------------------------------------- */

void *
work_new(size_t bytes, struct call *call, cudaError_t (*run)(struct work *work),
	 void (*destroy)(struct work *work))
{
	struct work *work = calloc(1, bytes);
	atomic_init(&work->refs, 1);
	work->call = call;
	work->run = run;
	work->destroy = destroy;
	return work;
}

struct work *
work_ref(struct work *work)
{
	atomic_fetch_add_explicit(&work->refs, 1, memory_order_relaxed);
	return work;
}

void
work_unref(struct work *work)
{
	if (atomic_fetch_sub(&work->refs, 1) != 1)
		return;
	if (work->destroy != NULL)
		work->destroy(work);
	free(work);
}

cudaError_t
work_run(struct work *work)
{
	cudaError_t status = work->call == NULL ? cudaSuccess : call_work(work->call);
	return status == cudaSuccess ? work->run(work) : status;
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

/* The next piece; NULL when the stream is to end. *open: devices whose memory this thread has open, let go before it waits. */
static struct work *
take(struct CUstream_st *stream, uint32_t *open)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->first == NULL && *open != 0) {
		pthread_mutex_unlock(&stream->lock);
		vram_close(*open);
		*open = 0;
		pthread_mutex_lock(&stream->lock);
	}
	while (stream->first == NULL && !stream->stop) {
		stream->is_busy = false;
		pthread_cond_broadcast(&stream->idle);
		pthread_cond_wait(&stream->wake, &stream->lock);
	}
	struct work *work = stream->first;
	if (work != NULL) {
		stream->first = work->next;
		if (stream->first == NULL)
			stream->last = &stream->first;
		stream->is_busy = true;
	} else {
		stream->is_busy = false;
		pthread_cond_broadcast(&stream->idle);
	}
	pthread_mutex_unlock(&stream->lock);
	return work;
}

static void *
run_stream(void *context)
{
	struct CUstream_st *stream = context;
	struct gpu *gpu = stream->handle.gpu;
	uint32_t open = 0;
	call_thread()->device = gpu->index;
	for (struct work *work; (work = take(stream, &open)) != NULL; work_unref(work)) {
		uint32_t touches = work->touches | atomic_load(&gpu->peers);
		if (work->call != NULL && (touches & ~open) != 0) {
			vram_open(touches & ~open);
			open |= touches;
		}
		if (gpu_error(gpu) != cudaSuccess && !work->always)
			continue;
		cudaError_t status = work_run(work);
		/* What goes wrong on the device itself no context outlives. */
		if (status != cudaSuccess)
			gpu_fail(gpu, gpu_is_sticky(status) ? (int)status : cudaErrorUnknown);
	}
	return NULL;
}

/* --- for the rest ------------------------------------------------------------------------------------------------ */

cudaError_t
stream_check(cudaStream_t stream, const char *what)
{
	if (stream == NULL)
		return call_misuse(cudaErrorNotSupported, "%s: the legacy stream is not for work",
				   what);
	return handle_check(stream, HANDLE_STREAM, what);
}

cudaError_t
stream_put(cudaStream_t stream, struct work *work)
{
	if (stream->capture != NULL)
		return call_end(capture_add(stream, work));
	pthread_mutex_lock(&stream->lock);
	*stream->last = work;
	stream->last = &work->next;
	stream->is_busy = true;
	pthread_cond_signal(&stream->wake);
	pthread_mutex_unlock(&stream->lock);
	return cudaSuccess;
}

void
stream_wait(cudaStream_t stream)
{
	pthread_mutex_lock(&stream->lock);
	while (stream->is_busy)
		pthread_cond_wait(&stream->idle, &stream->lock);
	pthread_mutex_unlock(&stream->lock);
}

void
stream_wait_all(struct gpu *gpu)
{
	pthread_mutex_lock(&gpu->lock);
	list_each(it, &gpu->streams)
		stream_wait(list_entry(it, struct CUstream_st, link));
	pthread_mutex_unlock(&gpu->lock);
}

/* End the thread when its work is done. */
static void
end(struct CUstream_st *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->stop = true;
	pthread_cond_signal(&stream->wake);
	pthread_mutex_unlock(&stream->lock);
	pthread_join(stream->thread, NULL);
	pthread_cond_destroy(&stream->wake);
	pthread_cond_destroy(&stream->idle);
	pthread_mutex_destroy(&stream->lock);
}

void
stream_abandon_all(struct gpu *gpu)
{
	int none = 0;
	/* Work that is queued is passed over. */
	atomic_compare_exchange_strong(&gpu->error, &none, cudaErrorContextIsDestroyed);
	pthread_mutex_lock(&gpu->lock);
	for (struct list *link; (link = list_pop_front(&gpu->streams)) != NULL;)
		end(list_entry(link, struct CUstream_st, link));
	pthread_mutex_unlock(&gpu->lock);
}

/* Threads that a lost device has left. */
__attribute__((destructor(200))) static void
end_all(void)
{
	for (int i = 0; i < gpu_count(); i++)
		stream_abandon_all(gpu_at(i));
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

static cudaError_t
create(cudaStream_t *created, unsigned flags, int priority)
{
	struct gpu *gpu = gpu_current();
	if (gpu == NULL)
		return call_end(cudaErrorNoDevice);
	if (created == NULL || (flags & ~(unsigned)STREAM_FLAGS) != 0)
		return call_end(cudaErrorInvalidValue);
	struct CUstream_st *stream = handle_new(gpu, HANDLE_STREAM, sizeof(*stream));
	stream->flags = flags;
	stream->priority = priority;
	stream->last = &stream->first;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->wake, NULL);
	pthread_cond_init(&stream->idle, NULL);
	if (pthread_create(&stream->thread, NULL, run_stream, stream) != 0)
		return call_end(cudaErrorOperatingSystem);
	pthread_mutex_lock(&gpu->lock);
	list_push_back(&gpu->streams, &stream->link);
	pthread_mutex_unlock(&gpu->lock);
	*created = stream;
	return cudaSuccess;
}

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags)
{
	CALL_BEGIN(0);
	return create(pStream, flags, 0);
}

cudaError_t
cudaStreamCreateWithPriority(cudaStream_t *pStream, unsigned int flags, int priority)
{
	CALL_BEGIN(0);
	return create(pStream, flags, priority);
}

cudaError_t
cudaStreamDestroy(cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = stream_check(stream, "cudaStreamDestroy");
	if (status != cudaSuccess)
		return status;
	struct gpu *gpu = stream->handle.gpu;
	pthread_mutex_lock(&gpu->lock);
	list_remove(&stream->link);
	pthread_mutex_unlock(&gpu->lock);
	end(stream);
	handle_free(stream);
	return cudaSuccess;
}

cudaError_t
cudaStreamSynchronize(cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY | CALL_UNSAFE);
	cudaError_t status = stream_check(stream, "cudaStreamSynchronize");
	if (status != cudaSuccess)
		return status;
	stream_wait(stream);
	return call_end(gpu_error(stream->handle.gpu));
}

cudaError_t
cudaStreamQuery(cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY | CALL_UNSAFE);
	cudaError_t status = stream_check(stream, "cudaStreamQuery");
	if (status != cudaSuccess)
		return status;
	pthread_mutex_lock(&stream->lock);
	bool is_busy = stream->is_busy;
	pthread_mutex_unlock(&stream->lock);
	return is_busy ? call_end(cudaErrorNotReady) : cudaSuccess;
}

/* --- host functions ---------------------------------------------------------------------------------------------- */

struct host_work {
	struct work work;
	cudaHostFn_t function;
	void *context;
};

static cudaError_t
run_host(struct work *base)
{
	struct host_work *work = (struct host_work *)base;
	call_thread()->in_host_function = true;
	work->function(work->context);
	call_thread()->in_host_function = false;
	return cudaSuccess;
}

cudaError_t
cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *userData)
{
	static struct call work_call = { .name = "work:host" };
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = stream_check(stream, "cudaLaunchHostFunc");
	if (status != cudaSuccess || fn == NULL)
		return status != cudaSuccess ? status : call_end(cudaErrorInvalidValue);
	struct host_work *work = work_new(sizeof(*work), &work_call, run_host, NULL);
	work->function = fn;
	work->context = userData;
	return stream_put(stream, &work->work);
}

uint32_t
standin_streams(int device, int priority)
{
	struct gpu *gpu = gpu_at(device);
	uint32_t count = 0;
	if (gpu == NULL)
		return 0;
	pthread_mutex_lock(&gpu->lock);
	list_each(it, &gpu->streams)
		count += list_entry(it, struct CUstream_st, link)->priority == priority;
	pthread_mutex_unlock(&gpu->lock);
	return count;
}
