#include "device/cuda_compute.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/cuda.h"

enum {
	STAGING_BYTES = 1 << 16,
};

int
cuda_compute_check(struct cuda_compute *compute, cudaError_t status, const char *what)
{
	return cuda_check(compute->device, status, what);
}

/* Did a library's call fail because the device is lost? The library's own word for that may be any; -1 with the error set. */
static int
check_device(struct cuda_compute *compute)
{
	return compute->recording ? 0 : device_health(&compute->device->base);
}

int
cuda_compute_check_blas(struct cuda_compute *compute, cublasStatus_t status, const char *what)
{
	if (status == CUBLAS_STATUS_SUCCESS)
		return 0;
	if (check_device(compute) != 0)
		return -1;
	return error_set(status == CUBLAS_STATUS_ALLOC_FAILED ? ERR_RESOURCE_EXHAUSTED
							      : ERR_INTERNAL,
			 "%s: %s: cuBLASLt status %d", compute->device->base.properties.name, what,
			 (int)status);
}

int
cuda_compute_check_dnn(struct cuda_compute *compute, cudnnStatus_t status, const char *what)
{
	if (status == CUDNN_STATUS_SUCCESS)
		return 0;
	if (check_device(compute) != 0)
		return -1;
	return error_set(ERR_INTERNAL, "%s: %s: %s", compute->device->base.properties.name, what,
			 cudnnGetErrorString(status));
}

/* Convolutions run without cuDNN too. */
static void
open_dnn(struct cuda_compute *compute)
{
	cudnnStatus_t status = cudnnCreate(&compute->dnn);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnSetStream(compute->dnn, compute->stream);
	else
		compute->dnn = NULL;
	if (status == CUDNN_STATUS_SUCCESS)
		return;
	log_write(LOG_WARN, "%s: cuDNN is not used: %s", compute->device->base.properties.name,
		  cudnnGetErrorString(status));
	if (compute->dnn != NULL)
		cudnnDestroy(compute->dnn);
	compute->dnn = NULL;
}

static int
open_libraries(struct cuda_compute *compute)
{
	if (cuda_compute_check(compute, cudaMalloc(&compute->workspace, CUDA_WORKSPACE_BYTES),
			       "cudaMalloc") != 0 ||
	    cuda_compute_check_blas(compute, cublasLtCreate(&compute->blas), "cublasLtCreate") != 0)
		return -1;
	compute->workspace_bytes = CUDA_WORKSPACE_BYTES;
	open_dnn(compute);
	return 0;
}

int
cuda_compute_create(struct cuda_compute *compute, struct cuda_device *device, cudaStream_t stream,
		    bool has_libraries)
{
	*compute = (struct cuda_compute){ .device = device, .stream = stream };
	pthread_mutex_init(&compute->lock, NULL);
	cuda_watch_create(&compute->watch, device, stream);
	if (cuda_compute_check(compute,
			       cudaHostAlloc((void **)&compute->fault, sizeof(*compute->fault),
					     cudaHostAllocPortable | cudaHostAllocMapped),
			       "cudaHostAlloc") == 0) {
		memset((void *)compute->fault, 0, sizeof(*compute->fault));
		if (!has_libraries || open_libraries(compute) == 0)
			return 0;
	}
	cuda_compute_destroy(compute);
	return -1;
}

static void
forget_graph(struct cuda_compute *compute, struct cuda_graph *graph)
{
	if (graph->exec != NULL)
		cuda_check(compute->device, cudaGraphExecDestroy(graph->exec),
			   "cudaGraphExecDestroy");
	*graph = (struct cuda_graph){ 0 };
}

/* What a lost device held is gone with its context; handles and host memory are not. */
void
cuda_compute_destroy(struct cuda_compute *compute)
{
	struct cuda_device *device = compute->device;
	cuda_watch_destroy(&compute->watch);
	for (int i = 0; i < CUDA_GRAPHS; i++)
		forget_graph(compute, &compute->graphs[i]);
	for (uint32_t i = 0; i < compute->staging_count; i++)
		cuda_check(device, cudaFreeHost(compute->stagings[i]), "cudaFreeHost");
	free(compute->stagings);
	if (compute->dnn != NULL)
		cudnnDestroy(compute->dnn);
	if (compute->blas != NULL)
		cublasLtDestroy(compute->blas);
	if (compute->fault != NULL)
		cuda_check(device, cudaFreeHost((void *)compute->fault), "cudaFreeHost");
	if (compute->workspace != NULL)
		cuda_check(device, cudaFree(compute->workspace), "cudaFree");
	pthread_mutex_destroy(&compute->lock);
}

void *
cuda_compute_staging(struct cuda_compute *compute, size_t bytes)
{
	if (bytes <= compute->staging_bytes && compute->staging_count != 0)
		return compute->stagings[compute->staging_count - 1];
	size_t room = compute->staging_bytes != 0 ? compute->staging_bytes : STAGING_BYTES;
	while (room < bytes)
		room *= 2;
	void **stagings =
		realloc(compute->stagings, (compute->staging_count + 1) * sizeof(stagings[0]));
	if (stagings == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for staging");
		return NULL;
	}
	compute->stagings = stagings;
	void **memory = &stagings[compute->staging_count];
	if (cuda_check(compute->device, cudaHostAlloc(memory, room, cudaHostAllocPortable),
		       "cudaHostAlloc") != 0)
		return NULL;
	compute->staging_count++;
	compute->staging_bytes = room;
	return *memory;
}

void
cuda_compute_fail(struct cuda_compute *compute, const struct error *error)
{
	pthread_mutex_lock(&compute->lock);
	if (!compute->failed)
		compute->error = *error;
	compute->failed = true;
	pthread_mutex_unlock(&compute->lock);
}

bool
cuda_compute_take_error(struct cuda_compute *compute, struct error *error)
{
	struct cuda_fault *fault = compute->fault;
	if (fault->where != 0) {
		error_set(ERR_OUT_OF_RANGE,
			  "%s: index %lld is out of range for a dimension of %lld",
			  (const char *)(uintptr_t)~fault->where, fault->index, fault->limit);
		fault->where = 0;
		cuda_compute_fail(compute, error_last());
	}
	pthread_mutex_lock(&compute->lock);
	bool failed = compute->failed;
	if (failed)
		*error = compute->error;
	compute->failed = false;
	pthread_mutex_unlock(&compute->lock);
	return failed;
}

/* --- launches ----------------------------------------------------------------------------------------------------- */

/* The entry of that key, or the one to give up for it, which then is the key's, seen never. */
static struct cuda_graph *
find_graph(struct cuda_compute *compute, uint64_t key)
{
	struct cuda_graph *oldest = &compute->graphs[0];
	for (int i = 0; i < CUDA_GRAPHS; i++) {
		struct cuda_graph *graph = &compute->graphs[i];
		if (graph->key == key)
			return graph;
		if (graph->used < oldest->used)
			oldest = graph;
	}
	forget_graph(compute, oldest);
	return oldest;
}

/* Record what the launch puts. NULL with the error set: it may still be run. */
static cudaGraphExec_t
record(struct cuda_compute *compute, const struct device_launch *launch)
{
	cudaGraph_t graph = NULL;
	cudaGraphExec_t exec = NULL;
	struct cuda_device *device = compute->device;
	if (cuda_check(device,
		       cudaStreamBeginCapture(compute->stream, cudaStreamCaptureModeThreadLocal),
		       "cudaStreamBeginCapture") != 0)
		return NULL;
	compute->recording = true;
	int result = launch->run(launch, compute);
	compute->recording = false;
	if (cuda_check(device, cudaStreamEndCapture(compute->stream, &graph),
		       "cudaStreamEndCapture") != 0)
		return NULL;
	if (result == 0)
		cuda_check(device, cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
	cuda_check(device, cudaGraphDestroy(graph), "cudaGraphDestroy");
	return exec;
}

/*
 * The first launch of a key runs, since most addresses are not seen again; the second is recorded, from then on it is
 * replayed. What cannot be recorded goes on running.
 */
int
cuda_compute_launch(struct cuda_compute *compute, const struct device_launch *launch)
{
	cuda_watch_read(&compute->watch);
	if (launch->key == 0)
		return launch->run(launch, compute);
	struct cuda_graph *graph = find_graph(compute, launch->key);
	bool seen = graph->key != 0;
	graph->used = ++compute->launches;
	if (!seen) {
		graph->key = launch->key;
		return launch->run(launch, compute);
	}
	if (graph->exec == NULL && !graph->refused)
		graph->exec = record(compute, launch);
	graph->refused = graph->exec == NULL;
	if (graph->refused)
		return launch->run(launch, compute);
	return cuda_check(compute->device, cudaGraphLaunch(graph->exec, compute->stream),
			  "cudaGraphLaunch");
}
