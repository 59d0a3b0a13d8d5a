#include "exec/cuda/planner.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "device/cuda.h"

enum {
	/* Runs that are timed, after one that is not. */
	TRIALS = 3,
	IDENTITY_BYTES = 256,
};

/* Lives as long as the GPU's context: cuDNN's plans refer to their handle. */
static struct {
	pthread_mutex_t lock;
	bool started;
	/* Of cuda_epoch: the context that the handles are of. */
	uint32_t epoch;
	cublasLtHandle_t blas;
	cudnnHandle_t dnn;
	struct findings *findings;
	/* For trials; NULL until the first. */
	cudaStream_t stream;
	cudaEvent_t begin;
	cudaEvent_t end;
} planner = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What findings depend on besides the problem. */
static void
identify(char *identity)
{
	struct cudaDeviceProp prop = { 0 };
	if (cudaGetDeviceProperties(&prop, cuda_first_index()) != cudaSuccess)
		cudaGetLastError();
	snprintf(identity, IDENTITY_BYTES,
		 "%.64s, compute capability %d.%d, cuBLASLt %zu, cuDNN %zu", prop.name, prop.major,
		 prop.minor, cublasLtGetVersion(), cudnnGetVersion());
}

/* Under the lock. */
static int
start(void)
{
	char identity[IDENTITY_BYTES];
	cublasStatus_t status = cublasLtCreate(&planner.blas);
	if (status != CUBLAS_STATUS_SUCCESS)
		return error_set(ERR_UNAVAILABLE, "cublasLtCreate: status %d", (int)status);
	if (cudnnCreate(&planner.dnn) != CUDNN_STATUS_SUCCESS)
		planner.dnn = NULL;
	if (planner.findings == NULL) {
		identify(identity);
		planner.findings = findings_new(cuda_plans_folder(), identity);
	}
	if (planner.findings == NULL) {
		cublasLtDestroy(planner.blas);
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for plans");
	}
	planner.stream = NULL;
	planner.begin = planner.end = NULL;
	planner.epoch = cuda_epoch();
	planner.started = true;
	return 0;
}

/* Under the lock: is there a planner of the GPU's context as it is now? Handles of one that was reset went with it. */
static bool
is_current(void)
{
	return planner.started && planner.epoch == cuda_epoch();
}

int
planner_enter(void)
{
	cudaError_t status = cudaSetDevice(cuda_first_index());
	if (status != cudaSuccess) {
		cudaGetLastError();
		return error_set(ERR_UNAVAILABLE, "cudaSetDevice: %s", cudaGetErrorString(status));
	}
	pthread_mutex_lock(&planner.lock);
	if (is_current() || start() == 0)
		return 0;
	pthread_mutex_unlock(&planner.lock);
	return -1;
}

void
planner_leave(void)
{
	pthread_mutex_unlock(&planner.lock);
}

cublasLtHandle_t
planner_blas(void)
{
	return planner.blas;
}

cudnnHandle_t
planner_dnn(void)
{
	return planner.dnn;
}

struct findings *
planner_findings(void)
{
	return planner.findings;
}

void
planner_settle(void)
{
	pthread_mutex_lock(&planner.lock);
	if (planner.findings != NULL)
		findings_save(planner.findings);
	pthread_mutex_unlock(&planner.lock);
}

uint32_t
planner_epoch(void)
{
	return cuda_epoch();
}

/* --- timing -------------------------------------------------------------------------------------------------------------- */

bool
planner_times(void)
{
	return cuda_times_plans();
}

/* The stream and the events of trials; they stay for the next. */
static bool
have_stream(void)
{
	if (planner.stream == NULL &&
	    cudaStreamCreateWithFlags(&planner.stream, cudaStreamNonBlocking) != cudaSuccess)
		planner.stream = NULL;
	if (planner.begin == NULL && cudaEventCreateWithFlags(&planner.begin, 0) != cudaSuccess)
		planner.begin = NULL;
	if (planner.end == NULL && cudaEventCreateWithFlags(&planner.end, 0) != cudaSuccess)
		planner.end = NULL;
	cudaGetLastError();
	return planner.stream != NULL && planner.begin != NULL && planner.end != NULL &&
	       (planner.dnn == NULL ||
		cudnnSetStream(planner.dnn, planner.stream) == CUDNN_STATUS_SUCCESS);
}

void *
planner_begin_trial(size_t bytes)
{
	void *memory = NULL;
	if (have_stream() && cudaMalloc(&memory, bytes) == cudaSuccess) {
		if (cudaMemsetAsync(memory, 0, bytes, planner.stream) == cudaSuccess)
			return memory;
		cudaFree(memory);
	}
	cudaGetLastError();
	return NULL;
}

void
planner_end_trial(void *memory)
{
	if (cudaStreamSynchronize(planner.stream) != cudaSuccess || cudaFree(memory) != cudaSuccess)
		cudaGetLastError();
}

/* One run of it, us; negative when it fails. */
static double
time_once(planner_put_f *put, void *context)
{
	float ms = 0;
	if (cudaEventRecord(planner.begin, planner.stream) == cudaSuccess &&
	    put(context, planner.stream) == 0 &&
	    cudaEventRecord(planner.end, planner.stream) == cudaSuccess &&
	    cudaEventSynchronize(planner.end) == cudaSuccess &&
	    cudaEventElapsedTime(&ms, planner.begin, planner.end) == cudaSuccess)
		return ms * 1e3;
	cudaGetLastError();
	return -1;
}

double
planner_time(planner_put_f *put, void *context)
{
	double least = time_once(put, context);
	for (int i = 0; i < TRIALS && least >= 0; i++) {
		double us = time_once(put, context);
		/* The first loads the kernel. */
		least = i == 0 || us < least ? us : least;
	}
	return least;
}
