#include "exec/cuda/planner.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "device/cuda.h"

/* Lives as long as the process: cuDNN's plans refer to their handle. */
static struct {
	pthread_mutex_t lock;
	bool started;
	cublasLtHandle_t blas;
	cudnnHandle_t dnn;
} planner = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Under the lock. */
static int
start(void)
{
	cublasStatus_t status = cublasLtCreate(&planner.blas);
	if (status != CUBLAS_STATUS_SUCCESS)
		return error_set(ERR_UNAVAILABLE, "cublasLtCreate: status %d", (int)status);
	if (cudnnCreate(&planner.dnn) != CUDNN_STATUS_SUCCESS)
		planner.dnn = NULL;
	planner.started = true;
	return 0;
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
	if (planner.started || start() == 0)
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
