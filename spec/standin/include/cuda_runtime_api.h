/*
 * The part of the CUDA runtime API that Tidepool calls, declared anew for builds without a CUDA Toolkit: same names, types
 * and values, as spec/standin/headers_spec.lua checks against NVIDIA's headers where those are installed. What the calls do
 * is in the CUDA Runtime API reference; what the stand-in does beyond it, in spec/standin/README.md.
 */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUDART_VERSION 13000

typedef enum cudaError {
	cudaSuccess = 0,
	cudaErrorInvalidValue = 1,
	cudaErrorMemoryAllocation = 2,
	cudaErrorInitializationError = 3,
	cudaErrorCudartUnloading = 4,
	cudaErrorInvalidConfiguration = 9,
	cudaErrorInvalidMemcpyDirection = 21,
	cudaErrorInsufficientDriver = 35,
	cudaErrorDevicesUnavailable = 46,
	cudaErrorNoDevice = 100,
	cudaErrorInvalidDevice = 101,
	cudaErrorDeviceUninitialized = 201,
	cudaErrorNoKernelImageForDevice = 209,
	cudaErrorECCUncorrectable = 214,
	cudaErrorPeerAccessUnsupported = 217,
	cudaErrorNvlinkUncorrectable = 220,
	cudaErrorContained = 226,
	cudaErrorOperatingSystem = 304,
	cudaErrorInvalidResourceHandle = 400,
	cudaErrorIllegalState = 401,
	cudaErrorNotReady = 600,
	cudaErrorIllegalAddress = 700,
	cudaErrorLaunchOutOfResources = 701,
	cudaErrorLaunchTimeout = 702,
	cudaErrorPeerAccessAlreadyEnabled = 704,
	cudaErrorPeerAccessNotEnabled = 705,
	cudaErrorContextIsDestroyed = 709,
	cudaErrorAssert = 710,
	cudaErrorTooManyPeers = 711,
	cudaErrorHostMemoryAlreadyRegistered = 712,
	cudaErrorHostMemoryNotRegistered = 713,
	cudaErrorHardwareStackError = 714,
	cudaErrorIllegalInstruction = 715,
	cudaErrorMisalignedAddress = 716,
	cudaErrorInvalidAddressSpace = 717,
	cudaErrorInvalidPc = 718,
	cudaErrorLaunchFailure = 719,
	cudaErrorTensorMemoryLeak = 721,
	cudaErrorNotPermitted = 800,
	cudaErrorNotSupported = 801,
	cudaErrorMpsClientTerminated = 810,
	cudaErrorStreamCaptureUnsupported = 900,
	cudaErrorStreamCaptureInvalidated = 901,
	cudaErrorStreamCaptureMerge = 902,
	cudaErrorStreamCaptureUnmatched = 903,
	cudaErrorStreamCaptureUnjoined = 904,
	cudaErrorStreamCaptureIsolation = 905,
	cudaErrorStreamCaptureImplicit = 906,
	cudaErrorCapturedEvent = 907,
	cudaErrorStreamCaptureWrongThread = 908,
	cudaErrorExternalDevice = 911,
	cudaErrorUnknown = 999,
} cudaError_t;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef void (*cudaHostFn_t)(void *userData);

enum {
	cudaHostAllocDefault = 0,
	cudaHostAllocPortable = 1,
	cudaHostAllocMapped = 2,
	cudaHostAllocWriteCombined = 4,
	cudaHostRegisterDefault = 0,
	cudaHostRegisterPortable = 1,
	cudaHostRegisterMapped = 2,
	cudaHostRegisterReadOnly = 8,
	cudaStreamDefault = 0,
	cudaStreamNonBlocking = 1,
	cudaEventDefault = 0,
	cudaEventBlockingSync = 1,
	cudaEventDisableTiming = 2,
	cudaDeviceScheduleBlockingSync = 4,
	cudaInitDeviceFlagsAreValid = 1,
};

enum cudaMemcpyKind {
	cudaMemcpyHostToHost = 0,
	cudaMemcpyHostToDevice = 1,
	cudaMemcpyDeviceToHost = 2,
	cudaMemcpyDeviceToDevice = 3,
	cudaMemcpyDefault = 4,
};

enum cudaStreamCaptureMode {
	cudaStreamCaptureModeGlobal = 0,
	cudaStreamCaptureModeThreadLocal = 1,
	cudaStreamCaptureModeRelaxed = 2,
};

enum cudaStreamCaptureStatus {
	cudaStreamCaptureStatusNone = 0,
	cudaStreamCaptureStatusActive = 1,
	cudaStreamCaptureStatusInvalidated = 2,
};

enum cudaDeviceAttr {
	cudaDevAttrMaxThreadsPerBlock = 1,
	cudaDevAttrMaxSharedMemoryPerBlock = 8,
	cudaDevAttrWarpSize = 10,
	cudaDevAttrMultiProcessorCount = 16,
	cudaDevAttrCanMapHostMemory = 19,
	cudaDevAttrConcurrentKernels = 31,
	cudaDevAttrPciBusId = 33,
	cudaDevAttrPciDeviceId = 34,
	cudaDevAttrMemoryClockRate = 36,
	cudaDevAttrGlobalMemoryBusWidth = 37,
	cudaDevAttrL2CacheSize = 38,
	cudaDevAttrMaxThreadsPerMultiProcessor = 39,
	cudaDevAttrAsyncEngineCount = 40,
	cudaDevAttrUnifiedAddressing = 41,
	cudaDevAttrPciDomainId = 50,
	cudaDevAttrComputeCapabilityMajor = 75,
	cudaDevAttrComputeCapabilityMinor = 76,
	cudaDevAttrCanUseHostPointerForRegisteredMem = 91,
	cudaDevAttrHostRegisterSupported = 99,
	cudaDevAttrHostRegisterReadOnlySupported = 113,
};

enum cudaDeviceP2PAttr {
	cudaDevP2PAttrPerformanceRank = 1,
	cudaDevP2PAttrAccessSupported = 2,
	cudaDevP2PAttrNativeAtomicSupported = 3,
	cudaDevP2PAttrCudaArrayAccessSupported = 4,
};

enum cudaMemoryType {
	cudaMemoryTypeUnregistered = 0,
	cudaMemoryTypeHost = 1,
	cudaMemoryTypeDevice = 2,
	cudaMemoryTypeManaged = 3,
};

/* The members that Tidepool reads; NVIDIA's has many more. */
struct cudaDeviceProp {
	char name[256];
	size_t totalGlobalMem;
	size_t sharedMemPerBlock;
	int warpSize;
	int maxThreadsPerBlock;
	int major;
	int minor;
	int multiProcessorCount;
	int pciBusID;
	int pciDeviceID;
	int pciDomainID;
	int asyncEngineCount;
	int l2CacheSize;
};

struct cudaPointerAttributes {
	enum cudaMemoryType type;
	int device;
	void *devicePointer;
	void *hostPointer;
};

/* Errors. */
const char *
cudaGetErrorString(cudaError_t error);
const char *
cudaGetErrorName(cudaError_t error);
cudaError_t
cudaGetLastError(void);
cudaError_t
cudaPeekAtLastError(void);

/* Devices. */
cudaError_t
cudaRuntimeGetVersion(int *version);
cudaError_t
cudaDriverGetVersion(int *version);
cudaError_t
cudaGetDeviceCount(int *count);
cudaError_t
cudaInitDevice(int device, unsigned int deviceFlags, unsigned int flags);
cudaError_t
cudaSetDevice(int device);
cudaError_t
cudaGetDevice(int *device);
cudaError_t
cudaDeviceReset(void);
cudaError_t
cudaDeviceSynchronize(void);
cudaError_t
cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device);
cudaError_t
cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device);
cudaError_t
cudaDeviceGetP2PAttribute(int *value, enum cudaDeviceP2PAttr attr, int srcDevice, int dstDevice);
cudaError_t
cudaDeviceGetPCIBusId(char *pciBusId, int len, int device);
cudaError_t
cudaDeviceCanAccessPeer(int *canAccessPeer, int device, int peerDevice);
cudaError_t
cudaDeviceEnablePeerAccess(int peerDevice, unsigned int flags);
cudaError_t
cudaDeviceDisablePeerAccess(int peerDevice);
cudaError_t
cudaDeviceGetStreamPriorityRange(int *leastPriority, int *greatestPriority);

/* Memory. */
cudaError_t
cudaMemGetInfo(size_t *free, size_t *total);
cudaError_t
cudaMalloc(void **devPtr, size_t size);
cudaError_t
cudaFree(void *devPtr);
cudaError_t
cudaHostAlloc(void **pHost, size_t size, unsigned int flags);
cudaError_t
cudaFreeHost(void *ptr);
cudaError_t
cudaHostRegister(void *ptr, size_t size, unsigned int flags);
cudaError_t
cudaHostUnregister(void *ptr);
cudaError_t
cudaHostGetDevicePointer(void **pDevice, void *pHost, unsigned int flags);
cudaError_t
cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr);
cudaError_t
cudaMemcpy(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind);
cudaError_t
cudaMemset(void *devPtr, int value, size_t count);
cudaError_t
cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
		cudaStream_t stream);
cudaError_t
cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream);
cudaError_t
cudaMemcpyPeerAsync(void *dst, int dstDevice, const void *src, int srcDevice, size_t count,
		    cudaStream_t stream);

/* Streams and events. */
cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags);
cudaError_t
cudaStreamCreateWithPriority(cudaStream_t *pStream, unsigned int flags, int priority);
cudaError_t
cudaStreamDestroy(cudaStream_t stream);
cudaError_t
cudaStreamSynchronize(cudaStream_t stream);
cudaError_t
cudaStreamQuery(cudaStream_t stream);
cudaError_t
cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags);
cudaError_t
cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *userData);
cudaError_t
cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags);
cudaError_t
cudaEventDestroy(cudaEvent_t event);
cudaError_t
cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t
cudaEventQuery(cudaEvent_t event);
cudaError_t
cudaEventSynchronize(cudaEvent_t event);
cudaError_t
cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end);

/* Graphs. */
cudaError_t
cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t
cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *pGraph);
cudaError_t
cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status);
cudaError_t
cudaGraphDestroy(cudaGraph_t graph);
cudaError_t
cudaGraphInstantiate(cudaGraphExec_t *pGraphExec, cudaGraph_t graph, unsigned long long flags);
cudaError_t
cudaGraphUpload(cudaGraphExec_t graphExec, cudaStream_t stream);
cudaError_t
cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t stream);
cudaError_t
cudaGraphExecDestroy(cudaGraphExec_t graphExec);

#ifdef __cplusplus
}
#endif
