#include "gpu.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "pinned.h"
#include "standin.h"
#include "stream.h"
#include "vram.h"

enum {
	DEFAULT_DEVICES = 4,
	MULTIPROCESSORS = 132,
	SHARED_BYTES = 48 << 10,
	MAX_BLOCK = 1024,
};

static struct gpu gpus[GPU_MAX];
static int device_count = DEFAULT_DEVICES;
/* The newest CUDA that the driver serves. */
static _Atomic int driver = CUDART_VERSION;
static uint64_t device_memory = UINT64_C(4) << 30;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
create_all(void)
{
	const char *devices = getenv("STANDIN_DEVICES");
	const char *memory = getenv("STANDIN_MEMORY");
	if (devices != NULL)
		device_count = atoi(devices);
	if (memory != NULL)
		device_memory = strtoull(memory, NULL, 10);
	for (int i = 0; i < GPU_MAX; i++) {
		gpus[i].index = i;
		pthread_mutex_init(&gpus[i].lock, NULL);
		list_create(&gpus[i].streams);
		atomic_init(&gpus[i].peers, 1u << i);
	}
}

int
gpu_count(void)
{
	pthread_once(&once, create_all);
	return device_count;
}

uint64_t
gpu_memory(void)
{
	return device_memory;
}

struct gpu *
gpu_at(int index)
{
	return index >= 0 && index < gpu_count() ? &gpus[index] : NULL;
}

struct gpu *
gpu_current(void)
{
	struct gpu *gpu = gpu_at(call_thread()->device);
	if (gpu == NULL)
		return NULL;
	pthread_mutex_lock(&gpu->lock);
	if (!atomic_load(&gpu->is_active)) {
		atomic_fetch_add(&gpu->context, 1);
		atomic_store(&gpu->is_active, true);
	}
	pthread_mutex_unlock(&gpu->lock);
	return gpu;
}

bool
gpu_is_sticky(int error)
{
	switch (error) {
	case cudaErrorDevicesUnavailable:
	case cudaErrorECCUncorrectable:
	case cudaErrorNvlinkUncorrectable:
	case cudaErrorIllegalAddress:
	case cudaErrorLaunchTimeout:
	case cudaErrorAssert:
	case cudaErrorHardwareStackError:
	case cudaErrorIllegalInstruction:
	case cudaErrorMisalignedAddress:
	case cudaErrorInvalidAddressSpace:
	case cudaErrorInvalidPc:
	case cudaErrorLaunchFailure:
	case cudaErrorContained:
	case cudaErrorTensorMemoryLeak:
	case cudaErrorMpsClientTerminated:
	case cudaErrorExternalDevice:
	case cudaErrorUnknown:
		return true;
	default:
		return false;
	}
}

void
gpu_fail(struct gpu *gpu, int error)
{
	int none = 0;
	atomic_compare_exchange_strong(&gpu->error, &none, error);
}

cudaError_t
gpu_error(const struct gpu *gpu)
{
	int error = atomic_load_explicit(&gpu->error, memory_order_relaxed);
	/* Whoever sees that the context is lost knows that nothing works in it any more; else this orders nothing. */
	if (error != 0)
		error = atomic_load(&gpu->error);
	return (cudaError_t)error;
}

bool
gpu_can_reach(int from, int to)
{
	return from != to && from / 2 == to / 2;
}

/* --- handles ----------------------------------------------------------------------------------------------------- */

/* All handles that ever were. */
static _Atomic(struct handle *) all_handles;

void *
handle_new(struct gpu *gpu, uint32_t kind, size_t bytes)
{
	struct handle *handle = calloc(1, bytes);
	handle->kind = kind;
	handle->gpu = gpu;
	handle->context = atomic_load(&gpu->context);
	atomic_fetch_add(&gpu->handles, 1);
	handle->next = atomic_load(&all_handles);
	while (!atomic_compare_exchange_weak(&all_handles, &handle->next, handle))
		;
	return handle;
}

cudaError_t
handle_check(const void *pointer, uint32_t kind, const char *what)
{
	const struct handle *handle = pointer;
	if (handle == NULL)
		return call_misuse(cudaErrorInvalidResourceHandle, "%s is NULL", what);
	if (handle->kind == HANDLE_FREED)
		return call_misuse(cudaErrorInvalidResourceHandle, "%s was destroyed", what);
	if (handle->kind != kind)
		return call_misuse(cudaErrorInvalidResourceHandle, "%s is none", what);
	if (handle->context != atomic_load(&handle->gpu->context) ||
	    !atomic_load(&handle->gpu->is_active))
		return call_end(cudaErrorContextIsDestroyed);
	return call_end(gpu_error(handle->gpu));
}

void
handle_free(void *pointer)
{
	struct handle *handle = pointer;
	handle->kind = HANDLE_FREED;
	atomic_fetch_sub(&handle->gpu->handles, 1);
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

cudaError_t
cudaRuntimeGetVersion(int *version)
{
	CALL_BEGIN(CALL_ANYWAY);
	*version = CUDART_VERSION;
	return cudaSuccess;
}

cudaError_t
cudaDriverGetVersion(int *version)
{
	CALL_BEGIN(CALL_ANYWAY);
	*version = atomic_load(&driver);
	return cudaSuccess;
}

cudaError_t
cudaGetDeviceCount(int *count)
{
	CALL_BEGIN(CALL_ANYWAY);
	if (atomic_load(&driver) < CUDART_VERSION)
		return call_end(cudaErrorInsufficientDriver);
	*count = gpu_count();
	return *count > 0 ? cudaSuccess : call_end(cudaErrorNoDevice);
}

cudaError_t
cudaSetDevice(int device)
{
	CALL_BEGIN(CALL_ANYWAY);
	if (gpu_at(device) == NULL)
		return call_end(cudaErrorInvalidDevice);
	call_thread()->device = device;
	return call_end(gpu_error(gpu_current()));
}

cudaError_t
cudaInitDevice(int device, unsigned int deviceFlags, unsigned int flags)
{
	CALL_BEGIN(CALL_ANYWAY);
	if (gpu_at(device) == NULL)
		return call_end(cudaErrorInvalidDevice);
	struct call_thread *thread = call_thread();
	int before = thread->device;
	thread->device = device;
	struct gpu *gpu = gpu_current();
	thread->device = before;
	return call_end(gpu_error(gpu));
}

cudaError_t
cudaGetDevice(int *device)
{
	CALL_BEGIN(CALL_ANYWAY);
	*device = call_thread()->device;
	return cudaSuccess;
}

/* What is left of a context, and then the context. */
static uint32_t
reset(struct gpu *gpu)
{
	stream_abandon_all(gpu);
	uint32_t left = vram_free_all(gpu) + atomic_exchange(&gpu->handles, 0);
	atomic_store(&gpu->is_active, false);
	atomic_store(&gpu->error, 0);
	atomic_store(&gpu->peers, 1u << gpu->index);
	return left;
}

cudaError_t
cudaDeviceReset(void)
{
	CALL_BEGIN(CALL_ANYWAY | CALL_UNSAFE);
	struct gpu *gpu = gpu_at(call_thread()->device);
	if (gpu == NULL)
		return call_end(cudaErrorNoDevice);
	reset(gpu);
	return cudaSuccess;
}

cudaError_t
cudaDeviceSynchronize(void)
{
	CALL_BEGIN(CALL_UNSAFE);
	struct gpu *gpu = gpu_current();
	if (gpu == NULL)
		return call_end(cudaErrorNoDevice);
	stream_wait_all(gpu);
	return call_end(gpu_error(gpu));
}

cudaError_t
cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
	CALL_BEGIN(0);
	if (gpu_at(device) == NULL)
		return call_end(cudaErrorInvalidDevice);
	*prop = (struct cudaDeviceProp){
		.name = "Stand-in",
		.totalGlobalMem = device_memory,
		.sharedMemPerBlock = SHARED_BYTES,
		.warpSize = 32,
		.maxThreadsPerBlock = MAX_BLOCK,
		.major = 9,
		.multiProcessorCount = MULTIPROCESSORS,
		.pciBusID = 0x43 + device,
		.asyncEngineCount = 3,
		.l2CacheSize = 50 << 20,
	};
	return cudaSuccess;
}

cudaError_t
cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
	static const struct {
		enum cudaDeviceAttr attr;
		int value;
	} known[] = {
		{ cudaDevAttrMaxThreadsPerBlock, MAX_BLOCK },
		{ cudaDevAttrMaxSharedMemoryPerBlock, SHARED_BYTES },
		{ cudaDevAttrWarpSize, 32 },
		{ cudaDevAttrMultiProcessorCount, MULTIPROCESSORS },
		{ cudaDevAttrCanMapHostMemory, 1 },
		{ cudaDevAttrConcurrentKernels, 1 },
		{ cudaDevAttrPciDeviceId, 0 },
		{ cudaDevAttrPciDomainId, 0 },
		{ cudaDevAttrMemoryClockRate, 2619000 },
		{ cudaDevAttrGlobalMemoryBusWidth, 5120 },
		{ cudaDevAttrL2CacheSize, 50 << 20 },
		{ cudaDevAttrMaxThreadsPerMultiProcessor, 2048 },
		{ cudaDevAttrAsyncEngineCount, 3 },
		{ cudaDevAttrUnifiedAddressing, 1 },
		{ cudaDevAttrComputeCapabilityMajor, 9 },
		{ cudaDevAttrComputeCapabilityMinor, 0 },
		{ cudaDevAttrCanUseHostPointerForRegisteredMem, 1 },
		{ cudaDevAttrHostRegisterSupported, 1 },
		{ cudaDevAttrHostRegisterReadOnlySupported, 1 },
	};
	CALL_BEGIN(CALL_ANYWAY);
	if (gpu_at(device) == NULL)
		return call_end(cudaErrorInvalidDevice);
	*value = 0x43 + device;
	if (attr == cudaDevAttrPciBusId)
		return cudaSuccess;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].attr != attr)
			continue;
		*value = known[i].value;
		return cudaSuccess;
	}
	return call_end(cudaErrorInvalidValue);
}

cudaError_t
cudaDeviceGetPCIBusId(char *pciBusId, int len, int device)
{
	CALL_BEGIN(CALL_ANYWAY);
	if (gpu_at(device) == NULL)
		return call_end(cudaErrorInvalidDevice);
	if (len < 13)
		return call_end(cudaErrorInvalidValue);
	snprintf(pciBusId, (size_t)len, "0000:%02X:00.0", 0x43 + device);
	return cudaSuccess;
}

cudaError_t
cudaDeviceGetP2PAttribute(int *value, enum cudaDeviceP2PAttr attr, int srcDevice, int dstDevice)
{
	CALL_BEGIN(CALL_ANYWAY);
	if (gpu_at(srcDevice) == NULL || gpu_at(dstDevice) == NULL)
		return call_end(cudaErrorInvalidDevice);
	if (srcDevice == dstDevice)
		return call_end(cudaErrorInvalidValue);
	*value = attr != cudaDevP2PAttrPerformanceRank && gpu_can_reach(srcDevice, dstDevice);
	return cudaSuccess;
}

cudaError_t
cudaDeviceCanAccessPeer(int *canAccessPeer, int device, int peerDevice)
{
	CALL_BEGIN(CALL_ANYWAY);
	if (gpu_at(device) == NULL || gpu_at(peerDevice) == NULL)
		return call_end(cudaErrorInvalidDevice);
	*canAccessPeer = gpu_can_reach(device, peerDevice);
	return cudaSuccess;
}

cudaError_t
cudaDeviceEnablePeerAccess(int peerDevice, unsigned int flags)
{
	CALL_BEGIN(CALL_UNSAFE);
	struct gpu *gpu = gpu_current();
	if (gpu == NULL || gpu_at(peerDevice) == NULL)
		return call_end(cudaErrorInvalidDevice);
	if (flags != 0)
		return call_end(cudaErrorInvalidValue);
	if (!gpu_can_reach(gpu->index, peerDevice))
		return call_end(cudaErrorPeerAccessUnsupported);
	uint32_t bit = 1u << peerDevice;
	bool had = (atomic_fetch_or(&gpu->peers, bit) & bit) != 0;
	return had ? call_end(cudaErrorPeerAccessAlreadyEnabled) : cudaSuccess;
}

cudaError_t
cudaDeviceDisablePeerAccess(int peerDevice)
{
	CALL_BEGIN(CALL_UNSAFE);
	struct gpu *gpu = gpu_current();
	if (gpu == NULL || gpu_at(peerDevice) == NULL)
		return call_end(cudaErrorInvalidDevice);
	uint32_t bit = 1u << peerDevice;
	bool had = (atomic_fetch_and(&gpu->peers, ~bit) & bit) != 0;
	return had ? cudaSuccess : call_end(cudaErrorPeerAccessNotEnabled);
}

cudaError_t
cudaDeviceGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
	CALL_BEGIN(0);
	*leastPriority = 0;
	*greatestPriority = STREAM_HIGHEST_PRIORITY;
	return cudaSuccess;
}

/* --- for specs --------------------------------------------------------------------------------------------------- */

void
standin_lose(int device, int error)
{
	struct gpu *gpu = gpu_at(device);
	assert(gpu != NULL && gpu_is_sticky(error));
	gpu_fail(gpu, error);
}

uint32_t
standin_restart(void)
{
	uint32_t left = 0;
	for (int i = 0; i < gpu_count(); i++)
		left += reset(&gpus[i]);
	return left + pinned_forget_all();
}

void
standin_driver(int version)
{
	atomic_store(&driver, version);
}

void
standin_machine(int devices, uint64_t memory_bytes)
{
	gpu_count();
	assert(devices >= 0 && devices <= GPU_MAX);
	device_count = devices;
	device_memory = memory_bytes;
}
