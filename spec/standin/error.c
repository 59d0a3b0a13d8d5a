/* The errors' names and words, and the one that a thread met last. */
#include "call.h"
#include "gpu.h"
#include "standin.h"

static const struct {
	cudaError_t error;
	const char *name;
	const char *text;
} errors[] = {
#define ERROR(name, text)                                                                          \
	{                                                                                          \
		name, #name, text                                                                  \
	}
	ERROR(cudaSuccess, "no error"),
	ERROR(cudaErrorInvalidValue, "invalid argument"),
	ERROR(cudaErrorMemoryAllocation, "out of memory"),
	ERROR(cudaErrorInitializationError, "initialization error"),
	ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
	ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
	ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient"),
	ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
	ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
	ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
	ERROR(cudaErrorPeerAccessUnsupported,
	      "peer access is not supported between these two devices"),
	ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
	ERROR(cudaErrorNotReady, "device not ready"),
	ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
	ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
	ERROR(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled"),
	ERROR(cudaErrorPeerAccessNotEnabled, "peer access has not been enabled"),
	ERROR(cudaErrorContextIsDestroyed, "context is destroyed"),
	ERROR(cudaErrorTooManyPeers, "peer resources exhausted"),
	ERROR(cudaErrorHostMemoryAlreadyRegistered, "memory is already page-locked"),
	ERROR(cudaErrorHostMemoryNotRegistered, "memory was not registered"),
	ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
	ERROR(cudaErrorNotPermitted, "operation not permitted"),
	ERROR(cudaErrorNotSupported, "operation not supported"),
	ERROR(cudaErrorStreamCaptureUnsupported,
	      "operation not permitted when stream is capturing"),
	ERROR(cudaErrorStreamCaptureInvalidated,
	      "operation failed due to a previous error during capture"),
	ERROR(cudaErrorStreamCaptureUnmatched, "capture was not initiated in this stream"),
	ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
	ERROR(cudaErrorStreamCaptureIsolation,
	      "dependency created on uncaptured work in another stream"),
	ERROR(cudaErrorCapturedEvent,
	      "operation not permitted on an event last recorded in a capturing stream"),
	ERROR(cudaErrorStreamCaptureWrongThread,
	      "attempt to terminate a capture from another thread"),
	ERROR(cudaErrorUnknown, "unknown error"),
#undef ERROR
};

enum { ERROR_COUNT = sizeof(errors) / sizeof(errors[0]) };

const char *
cudaGetErrorString(cudaError_t error)
{
	for (int i = 0; i < ERROR_COUNT; i++) {
		if (errors[i].error == error)
			return errors[i].text;
	}
	return "unrecognized error code";
}

const char *
cudaGetErrorName(cudaError_t error)
{
	for (int i = 0; i < ERROR_COUNT; i++) {
		if (errors[i].error == error)
			return errors[i].name;
	}
	return "unrecognized error code";
}

cudaError_t
cudaPeekAtLastError(void)
{
	struct call_thread *thread = call_thread();
	struct gpu *gpu = gpu_at(thread->device);
	if (gpu != NULL && gpu_error(gpu) != cudaSuccess)
		return gpu_error(gpu);
	return thread->last;
}

cudaError_t
cudaGetLastError(void)
{
	cudaError_t last = cudaPeekAtLastError();
	call_thread()->last = cudaSuccess;
	return last;
}

int
standin_last_error(void)
{
	return cudaPeekAtLastError();
}
