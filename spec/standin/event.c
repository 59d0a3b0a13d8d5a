/*
 * Events. A record puts a mark on the stream; whoever waits for the event waits for the mark that it has then. Marks are
 * words that threads sleep on, so that one stream's mark orders no other.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "capture.h"
#include "gpu.h"
#include "stream.h"

/* One record. */
struct mark {
	_Atomic uint32_t refs;
	_Atomic uint32_t is_done;
	uint64_t ns;
};

struct CUevent_st {
	struct handle handle;
	unsigned flags;
	pthread_mutex_t lock;
	/* The last record; NULL before the first. */
	struct mark *mark;
	/* Where the last record was in a capture. */
	struct capture_point point;
};

struct mark_work {
	struct work work;
	struct mark *mark;
};

/* --- marks ------------------------------------------------------------------------------------------------------- */

static struct mark *
mark_ref(struct mark *mark)
{
	if (mark != NULL)
		atomic_fetch_add_explicit(&mark->refs, 1, memory_order_relaxed);
	return mark;
}

static void
mark_unref(struct mark *mark)
{
	if (mark != NULL && atomic_fetch_sub(&mark->refs, 1) == 1)
		free(mark);
}

static void
mark_wait(struct mark *mark)
{
	while (atomic_load_explicit(&mark->is_done, memory_order_acquire) == 0)
		syscall(SYS_futex, &mark->is_done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static cudaError_t
run_record(struct work *work)
{
	struct mark *mark = ((struct mark_work *)work)->mark;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	mark->ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	atomic_store_explicit(&mark->is_done, 1, memory_order_release);
	syscall(SYS_futex, &mark->is_done, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
	return cudaSuccess;
}

static cudaError_t
run_wait(struct work *work)
{
	mark_wait(((struct mark_work *)work)->mark);
	return cudaSuccess;
}

/* Nobody waits for a mark for ever: one that is thrown away unrun counts as done. */
static void
destroy_record(struct work *work)
{
	struct mark *mark = ((struct mark_work *)work)->mark;
	if (atomic_load(&mark->is_done) == 0)
		run_record(work);
	mark_unref(mark);
}

static void
destroy_wait(struct work *work)
{
	mark_unref(((struct mark_work *)work)->mark);
}

static struct mark *
mark_of(struct CUevent_st *event)
{
	pthread_mutex_lock(&event->lock);
	struct mark *mark = mark_ref(event->mark);
	pthread_mutex_unlock(&event->lock);
	return mark;
}

static void
set_mark(struct CUevent_st *event, struct mark *mark, struct capture_point point)
{
	pthread_mutex_lock(&event->lock);
	struct mark *old = event->mark;
	event->mark = mark;
	event->point = point;
	pthread_mutex_unlock(&event->lock);
	mark_unref(old);
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

cudaError_t
cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
	CALL_BEGIN(0);
	struct gpu *gpu = gpu_current();
	if (gpu == NULL)
		return call_end(cudaErrorNoDevice);
	if (event == NULL ||
	    (flags & ~(unsigned)(cudaEventBlockingSync | cudaEventDisableTiming)) != 0)
		return call_end(cudaErrorInvalidValue);
	struct CUevent_st *created = handle_new(gpu, HANDLE_EVENT, sizeof(*created));
	created->flags = flags;
	pthread_mutex_init(&created->lock, NULL);
	*event = created;
	return cudaSuccess;
}

cudaError_t
cudaEventDestroy(cudaEvent_t event)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = handle_check(event, HANDLE_EVENT, "cudaEventDestroy");
	if (status != cudaSuccess)
		return status;
	set_mark(event, NULL, (struct capture_point){ 0 });
	pthread_mutex_destroy(&event->lock);
	handle_free(event);
	return cudaSuccess;
}

cudaError_t
cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = handle_check(event, HANDLE_EVENT, "cudaEventRecord");
	if (status == cudaSuccess)
		status = stream_check(stream, "cudaEventRecord");
	if (status != cudaSuccess)
		return status;
	if (event->handle.gpu != stream->handle.gpu)
		return call_misuse(cudaErrorInvalidResourceHandle,
				   "cudaEventRecord: an event of device %d on a stream of %d",
				   event->handle.gpu->index, stream->handle.gpu->index);
	if (stream->capture != NULL) {
		set_mark(event, NULL, capture_here(stream));
		return cudaSuccess;
	}
	struct mark *mark = calloc(1, sizeof(*mark));
	atomic_init(&mark->refs, 2);
	struct mark_work *work = work_new(sizeof(*work), NULL, run_record, destroy_record);
	work->work.always = true;
	work->mark = mark;
	set_mark(event, mark, (struct capture_point){ 0 });
	return stream_put(stream, &work->work);
}

cudaError_t
cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = stream_check(stream, "cudaStreamWaitEvent");
	if (status == cudaSuccess)
		status = handle_check(event, HANDLE_EVENT, "cudaStreamWaitEvent");
	if (status != cudaSuccess || flags != 0)
		return status != cudaSuccess ? status : call_end(cudaErrorInvalidValue);
	struct mark *mark = mark_of(event);
	if (stream->capture != NULL || event->point.capture != 0) {
		mark_unref(mark);
		return call_end(capture_join(stream, &event->point));
	}
	if (mark == NULL)
		return cudaSuccess;
	struct mark_work *work = work_new(sizeof(*work), NULL, run_wait, destroy_wait);
	work->work.always = true;
	work->mark = mark;
	return stream_put(stream, &work->work);
}

/* cudaSuccess for an event that can be asked for. */
static cudaError_t
check(cudaEvent_t event, const char *what)
{
	cudaError_t status = handle_check(event, HANDLE_EVENT, what);
	if (status == cudaSuccess && event->point.capture != 0)
		return call_end(cudaErrorCapturedEvent);
	return status;
}

cudaError_t
cudaEventQuery(cudaEvent_t event)
{
	CALL_BEGIN(CALL_ANYWAY | CALL_UNSAFE);
	cudaError_t status = check(event, "cudaEventQuery");
	if (status != cudaSuccess)
		return status;
	struct mark *mark = mark_of(event);
	bool is_done = mark == NULL || atomic_load_explicit(&mark->is_done, memory_order_acquire);
	mark_unref(mark);
	/* The context may have been lost before the mark was passed. */
	status = gpu_error(event->handle.gpu);
	if (status != cudaSuccess)
		return call_end(status);
	return is_done ? cudaSuccess : call_end(cudaErrorNotReady);
}

cudaError_t
cudaEventSynchronize(cudaEvent_t event)
{
	CALL_BEGIN(CALL_ANYWAY | CALL_UNSAFE);
	cudaError_t status = check(event, "cudaEventSynchronize");
	if (status != cudaSuccess)
		return status;
	struct mark *mark = mark_of(event);
	if (mark != NULL)
		mark_wait(mark);
	mark_unref(mark);
	return call_end(gpu_error(event->handle.gpu));
}

cudaError_t
cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
	CALL_BEGIN(0);
	cudaError_t status = check(start, "cudaEventElapsedTime");
	if (status == cudaSuccess)
		status = check(end, "cudaEventElapsedTime");
	if (status != cudaSuccess)
		return status;
	struct mark *from = mark_of(start);
	struct mark *to = mark_of(end);
	if (from == NULL || to == NULL ||
	    ((start->flags | end->flags) & cudaEventDisableTiming) != 0)
		status = call_end(cudaErrorInvalidResourceHandle);
	else if (!atomic_load(&from->is_done) || !atomic_load(&to->is_done))
		status = call_end(cudaErrorNotReady);
	else
		*ms = (float)((double)(to->ns - from->ns) / 1e6);
	mark_unref(from);
	mark_unref(to);
	return status;
}
