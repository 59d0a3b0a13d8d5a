#include "capture.h"

#include <stdlib.h>

#include "call.h"
#include "gpu.h"
#include "stream.h"

/* What was captured. Counted: executables keep it too. */
struct CUgraph_st {
	struct handle handle;
	struct work **works;
	size_t count;
	size_t room;
};

struct CUgraphExec_st {
	struct handle handle;
	struct work **works;
	size_t count;
	uint32_t touches;
};

/* One stream of a capture, and what of the others' work its next work comes after. */
struct member {
	cudaStream_t stream;
	uint32_t seen[CAPTURE_STREAMS];
};

struct capture {
	/* Never given twice. */
	uint64_t number;
	struct list link;
	cudaGraph_t graph;
	enum cudaStreamCaptureMode mode;
	/* The thread that began it. */
	struct call_thread *thread;
	bool is_invalid;
	/* members[0] is the stream that it began on. */
	struct member members[CAPTURE_STREAMS];
	uint32_t count;
};

/* A launch of an executable. */
struct graph_work {
	struct work work;
	struct work **works;
	size_t count;
};

/* Guards captures and their members' numbers. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list captures = { &captures, &captures };
static uint64_t last_number;
/* Captures in global mode, of all threads. */
static _Atomic int global_captures;

/* --- captures ---------------------------------------------------------------------------------------------------- */

bool
capture_forbids(void)
{
	struct call_thread *thread = call_thread();
	if (thread->captures == 0 && atomic_load(&global_captures) == 0)
		return false;
	pthread_mutex_lock(&lock);
	list_each(it, &captures) {
		struct capture *capture = list_entry(it, struct capture, link);
		if (capture->thread == thread || capture->mode == cudaStreamCaptureModeGlobal)
			capture->is_invalid = true;
	}
	pthread_mutex_unlock(&lock);
	return true;
}

static uint32_t
member_of(const struct capture *capture, cudaStream_t stream)
{
	uint32_t at = 0;
	while (capture->members[at].stream != stream)
		at++;
	return at;
}

cudaError_t
capture_add(cudaStream_t stream, struct work *work)
{
	struct capture *capture = stream->capture;
	if (capture->is_invalid) {
		work_unref(work);
		return cudaErrorStreamCaptureInvalidated;
	}
	struct CUgraph_st *graph = capture->graph;
	if (graph->count == graph->room) {
		graph->room = graph->room * 2 + 64;
		graph->works = realloc(graph->works, graph->room * sizeof(graph->works[0]));
	}
	graph->works[graph->count++] = work;
	uint32_t self = member_of(capture, stream);
	capture->members[self].seen[self]++;
	return cudaSuccess;
}

struct capture_point
capture_here(cudaStream_t stream)
{
	struct capture *capture = stream->capture;
	const struct member *member = &capture->members[member_of(capture, stream)];
	struct capture_point point = { .capture = capture->number };
	for (int i = 0; i < CAPTURE_STREAMS; i++)
		point.seen[i] = member->seen[i];
	return point;
}

static struct capture *
find(uint64_t number)
{
	struct capture *found = NULL;
	pthread_mutex_lock(&lock);
	list_each(it, &captures) {
		struct capture *capture = list_entry(it, struct capture, link);
		if (capture->number == number)
			found = capture;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

cudaError_t
capture_join(cudaStream_t stream, const struct capture_point *point)
{
	struct capture *capture = find(point->capture);
	if (capture == NULL || (stream->capture != NULL && stream->capture != capture)) {
		if (stream->capture != NULL)
			stream->capture->is_invalid = true;
		return capture == NULL ? cudaErrorStreamCaptureIsolation
				       : cudaErrorStreamCaptureMerge;
	}
	if (stream->capture == NULL) {
		if (capture->count == CAPTURE_STREAMS)
			return call_misuse(cudaErrorNotSupported,
					   "a capture of more than %d streams", CAPTURE_STREAMS);
		capture->members[capture->count++].stream = stream;
		stream->capture = capture;
	}
	struct member *member = &capture->members[member_of(capture, stream)];
	for (int i = 0; i < CAPTURE_STREAMS; i++) {
		if (member->seen[i] < point->seen[i])
			member->seen[i] = point->seen[i];
	}
	return cudaSuccess;
}

/* Has the first stream waited for all that the others did? */
static bool
is_joined(const struct capture *capture)
{
	for (uint32_t i = 1; i < capture->count; i++) {
		if (capture->members[0].seen[i] < capture->members[i].seen[i])
			return false;
	}
	return true;
}

/* --- graphs ------------------------------------------------------------------------------------------------------ */

static void
unref_all(struct work **works, size_t count)
{
	for (size_t i = 0; i < count; i++)
		work_unref(works[i]);
	free(works);
}

static struct work **
ref_all(struct work *const *works, size_t count)
{
	struct work **copy = malloc((count + 1) * sizeof(copy[0]));
	for (size_t i = 0; i < count; i++)
		copy[i] = work_ref(works[i]);
	return copy;
}

static cudaError_t
run_graph(struct work *base)
{
	struct graph_work *work = (struct graph_work *)base;
	cudaError_t status = cudaSuccess;
	for (size_t i = 0; i < work->count && status == cudaSuccess; i++)
		status = work_run(work->works[i]);
	return status;
}

static void
destroy_graph(struct work *base)
{
	struct graph_work *work = (struct graph_work *)base;
	unref_all(work->works, work->count);
}

static void
free_graph(struct CUgraph_st *graph)
{
	unref_all(graph->works, graph->count);
	handle_free(graph);
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

cudaError_t
cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = stream_check(stream, "cudaStreamBeginCapture");
	if (status != cudaSuccess)
		return status;
	if (stream->capture != NULL)
		return call_end(cudaErrorIllegalState);
	struct call_thread *thread = call_thread();
	struct capture *capture = calloc(1, sizeof(*capture));
	capture->graph = handle_new(stream->handle.gpu, HANDLE_GRAPH, sizeof(struct CUgraph_st));
	capture->mode = mode;
	capture->thread = thread;
	capture->members[0].stream = stream;
	capture->count = 1;
	pthread_mutex_lock(&lock);
	capture->number = ++last_number;
	list_push_back(&captures, &capture->link);
	pthread_mutex_unlock(&lock);
	stream->capture = capture;
	thread->captures += mode != cudaStreamCaptureModeRelaxed;
	atomic_fetch_add(&global_captures, mode == cudaStreamCaptureModeGlobal);
	return cudaSuccess;
}

/* Take the capture apart; what it captured. */
static struct CUgraph_st *
end_capture(struct capture *capture)
{
	struct CUgraph_st *graph = capture->graph;
	for (uint32_t i = 0; i < capture->count; i++)
		capture->members[i].stream->capture = NULL;
	capture->thread->captures -= capture->mode != cudaStreamCaptureModeRelaxed;
	atomic_fetch_sub(&global_captures, capture->mode == cudaStreamCaptureModeGlobal);
	pthread_mutex_lock(&lock);
	list_remove(&capture->link);
	pthread_mutex_unlock(&lock);
	free(capture);
	return graph;
}

/* However it ends, the stream captures no more. */
cudaError_t
cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *pGraph)
{
	static struct call call_here = { .name = "cudaStreamEndCapture", .flags = CALL_ANYWAY };
	cudaError_t planned = call_begin(&call_here);
	*pGraph = NULL;
	if (planned != cudaSuccess && stream->capture != NULL)
		free_graph(end_capture(stream->capture));
	if (planned != cudaSuccess)
		return planned;
	cudaError_t status = handle_check(stream, HANDLE_STREAM, "cudaStreamEndCapture");
	if (status != cudaSuccess && !gpu_is_sticky(status))
		return status;
	struct capture *capture = stream->capture;
	if (capture == NULL)
		return call_end(cudaErrorIllegalState);
	if (capture->members[0].stream != stream)
		return call_end(cudaErrorStreamCaptureUnmatched);
	if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != call_thread())
		return call_end(cudaErrorStreamCaptureWrongThread);
	if (status == cudaSuccess && capture->is_invalid)
		status = cudaErrorStreamCaptureInvalidated;
	else if (status == cudaSuccess && !is_joined(capture))
		status = cudaErrorStreamCaptureUnjoined;
	struct CUgraph_st *graph = end_capture(capture);
	if (status == cudaSuccess)
		*pGraph = graph;
	else
		free_graph(graph);
	return call_end(status);
}

cudaError_t
cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t checked = stream_check(stream, "cudaStreamIsCapturing");
	if (checked != cudaSuccess)
		return checked;
	*status = cudaStreamCaptureStatusNone;
	if (stream->capture != NULL)
		*status = stream->capture->is_invalid ? cudaStreamCaptureStatusInvalidated
						      : cudaStreamCaptureStatusActive;
	return cudaSuccess;
}

cudaError_t
cudaGraphDestroy(cudaGraph_t graph)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = handle_check(graph, HANDLE_GRAPH, "cudaGraphDestroy");
	if (status == cudaSuccess)
		free_graph(graph);
	return status;
}

cudaError_t
cudaGraphInstantiate(cudaGraphExec_t *pGraphExec, cudaGraph_t graph, unsigned long long flags)
{
	CALL_BEGIN(0);
	cudaError_t status = handle_check(graph, HANDLE_GRAPH, "cudaGraphInstantiate");
	if (status != cudaSuccess)
		return status;
	struct CUgraphExec_st *exec = handle_new(graph->handle.gpu, HANDLE_EXEC, sizeof(*exec));
	exec->works = ref_all(graph->works, graph->count);
	exec->count = graph->count;
	for (size_t i = 0; i < exec->count; i++)
		exec->touches |= exec->works[i]->touches;
	*pGraphExec = exec;
	return cudaSuccess;
}

cudaError_t
cudaGraphUpload(cudaGraphExec_t graphExec, cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = handle_check(graphExec, HANDLE_EXEC, "cudaGraphUpload");
	return status == cudaSuccess ? stream_check(stream, "cudaGraphUpload") : status;
}

cudaError_t
cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t stream)
{
	static struct call work_call = { .name = "work:graph" };
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = handle_check(graphExec, HANDLE_EXEC, "cudaGraphLaunch");
	if (status == cudaSuccess)
		status = stream_check(stream, "cudaGraphLaunch");
	if (status != cudaSuccess)
		return status;
	struct graph_work *work = work_new(sizeof(*work), &work_call, run_graph, destroy_graph);
	work->work.touches = graphExec->touches;
	work->works = ref_all(graphExec->works, graphExec->count);
	work->count = graphExec->count;
	return stream_put(stream, &work->work);
}

cudaError_t
cudaGraphExecDestroy(cudaGraphExec_t graphExec)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = handle_check(graphExec, HANDLE_EXEC, "cudaGraphExecDestroy");
	if (status != cudaSuccess)
		return status;
	unref_all(graphExec->works, graphExec->count);
	handle_free(graphExec);
	return cudaSuccess;
}
