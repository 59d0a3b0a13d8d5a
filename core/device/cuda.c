#include "device/cuda.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "device/cuda_links.h"

enum {
	/* Of free memory, what a device may use when it is not told: the rest is for kernels and libraries. */
	DEFAULT_PERCENT = 90,
	PEER_BITS = 64,
};

static struct cuda_device *
cuda_of(const struct device *device)
{
	return (struct cuda_device *)device;
}

/* --- errors ------------------------------------------------------------------------------------------------------ */

bool
cuda_is_fatal(cudaError_t status)
{
	switch (status) {
	case cudaErrorCudartUnloading:
	case cudaErrorDevicesUnavailable:
	case cudaErrorDeviceUninitialized:
	case cudaErrorECCUncorrectable:
	case cudaErrorNvlinkUncorrectable:
#if CUDART_VERSION >= 13000
	case cudaErrorContained:
	case cudaErrorTensorMemoryLeak:
#endif
	case cudaErrorIllegalAddress:
	case cudaErrorLaunchTimeout:
	case cudaErrorAssert:
	case cudaErrorHardwareStackError:
	case cudaErrorIllegalInstruction:
	case cudaErrorMisalignedAddress:
	case cudaErrorInvalidAddressSpace:
	case cudaErrorInvalidPc:
	case cudaErrorLaunchFailure:
	case cudaErrorContextIsDestroyed:
	case cudaErrorMpsClientTerminated:
	case cudaErrorExternalDevice:
	case cudaErrorUnknown:
		return true;
	default:
		return false;
	}
}

static enum error_code
code_of(cudaError_t status)
{
	return status == cudaErrorMemoryAllocation ? ERR_RESOURCE_EXHAUSTED : ERR_INTERNAL;
}

static void
lose(struct cuda_device *device, cudaError_t status, const char *what)
{
	error_set(ERR_UNAVAILABLE, "%s is lost: %s: %s", device->base.properties.name, what,
		  cudaGetErrorString(status));
	pthread_mutex_lock(&device->lock);
	bool first = !atomic_load(&device->base.lost);
	if (first) {
		device->loss = *error_last();
		atomic_store(&device->base.lost, true);
	}
	pthread_mutex_unlock(&device->lock);
	cuda_fail_notifies(device);
}

int
cuda_check(struct cuda_device *device, cudaError_t status, const char *what)
{
	if (status == cudaSuccess)
		return 0;
	/* The runtime remembers an error for the next who asks; nobody else is to see this one. */
	cudaGetLastError();
	if (cuda_is_fatal(status))
		lose(device, status, what);
	else
		error_set(code_of(status), "%s: %s: %s", device->base.properties.name, what,
			  cudaGetErrorString(status));
	return -1;
}

int
cuda_enter(struct cuda_device *device)
{
	if (atomic_load(&device->base.lost))
		return error_restore(&device->loss);
	return cuda_check(device, cudaSetDevice(device->index), "cudaSetDevice");
}

static int
cuda_health(struct device *base)
{
	struct cuda_device *device = cuda_of(base);
	if (cuda_enter(device) != 0)
		return -1;
	cuda_check(device, cudaEventQuery(device->pulse), "cudaEventQuery");
	return atomic_load(&base->lost) ? error_restore(&device->loss) : 0;
}

/* --- topology ---------------------------------------------------------------------------------------------------- */

static bool
cuda_has_peer(const struct device *device, const struct device *peer)
{
	int can = 0;
	cudaError_t status =
		cudaDeviceCanAccessPeer(&can, cuda_of(device)->index, cuda_of(peer)->index);
	if (status != cudaSuccess)
		cudaGetLastError();
	return status == cudaSuccess && can != 0;
}

/* NVLinks; peers without go by PCIe, whose rate is the smaller one of both links. */
static uint64_t
cuda_peer_rate(const struct device *device, const struct device *peer)
{
	uint64_t own = device->properties.link_rate, other = peer->properties.link_rate;
	uint64_t rate = cuda_links_peer_rate(cuda_of(device)->pci_id, cuda_of(peer)->pci_id);
	if (rate != 0)
		return rate;
	return own < other ? own : other;
}

int
cuda_connect(struct cuda_device *device, const struct cuda_device *peer)
{
	if (peer->index >= PEER_BITS)
		return 0;
	uint64_t bit = UINT64_C(1) << peer->index;
	/* Access to a GPU that was reset went with its context. */
	uint32_t resets = cuda_resets();
	if (atomic_exchange(&device->resets_seen, resets) != resets)
		atomic_store(&device->peers, 0);
	if ((atomic_load(&device->peers) & bit) != 0)
		return 0;
	cudaError_t status = cudaDeviceEnablePeerAccess(peer->index, 0);
	if (cuda_is_fatal(status))
		return cuda_check(device, status, "cudaDeviceEnablePeerAccess");
	/* More peers than a GPU may have, for one: the copy is made all the same. */
	if (status != cudaSuccess && status != cudaErrorPeerAccessAlreadyEnabled)
		log_warn("%s: copies from %s may go through the host: %s",
			 device->base.properties.name, peer->base.properties.name,
			 cudaGetErrorString(status));
	if (status != cudaSuccess)
		cudaGetLastError();
	atomic_fetch_or(&device->peers, bit);
	return 0;
}

/*
 * The number of the PCI switch above the GPU, made of the address of its upstream port, which every GPU below it shares;
 * DEVICE_NO_SWITCH when there is none. Above a GPU in /sys come the switch's downstream port, its upstream port, and more.
 */
static int
find_switch(const char *pci_id)
{
	char path[64 + CUDA_PCI_ID_BYTES], real[PATH_MAX];
	unsigned domain, bus, slot, function;
	/* CUDA writes capitals, and maybe more digits of the domain than Linux. */
	if (sscanf(pci_id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return DEVICE_NO_SWITCH;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%04x:%02x:%02x.%x", domain, bus, slot,
		 function);
	if (realpath(path, real) == NULL)
		return DEVICE_NO_SWITCH;
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(real, '/');
		if (slash == NULL)
			return DEVICE_NO_SWITCH;
		*slash = 0;
	}
	const char *name = strrchr(real, '/');
	if (name == NULL || sscanf(name, "/%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) != 4)
		return DEVICE_NO_SWITCH;
	return (int)((domain & 0x7fff) << 16 | bus << 8 | slot << 3 | function);
}

/* --- device ------------------------------------------------------------------------------------------------------ */

static void
free_device(struct cuda_device *device)
{
	cuda_notifies_free(device);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

/* A context that was lost stays so until it is made anew: the next who opens the GPU is to find it well. */
static void
reset(const struct cuda_device *device)
{
	/* The first tells of the context's error, and chooses the device all the same. */
	(void)cudaSetDevice(device->index);
	(void)cudaDeviceReset();
	cudaGetLastError();
	cuda_count_reset(device->index);
}

static void
cuda_close(struct device *base)
{
	struct cuda_device *device = cuda_of(base);
	cuda_memory_release_all(device);
	if (cuda_enter(device) == 0)
		cuda_check(device, cudaEventDestroy(device->pulse), "cudaEventDestroy");
	else
		reset(device);
	free_device(device);
}

/* Why there is no GPU: where no driver is installed the runtime calls its version insufficient. -1 with the error set. */
static int
tell_of_driver(cudaError_t status)
{
	enum { MAJOR = 1000, MINOR = 10 };
	int own = CUDART_VERSION, driver = 0;
	if (status != cudaErrorInsufficientDriver || cudaDriverGetVersion(&driver) != cudaSuccess)
		return error_set(ERR_UNAVAILABLE, "device kind cuda: %s",
				 cudaGetErrorString(status));
	if (driver == 0)
		return error_set(ERR_UNAVAILABLE,
				 "device kind cuda: no NVIDIA driver is installed");
	return error_set(
		ERR_UNAVAILABLE,
		"device kind cuda: the driver serves CUDA up to %d.%d, this was built with %d.%d",
		driver / MAJOR, driver % MAJOR / MINOR, own / MAJOR, own % MAJOR / MINOR);
}

/* Is there a driver, and an index-th GPU? */
static int
check_machine(int index)
{
	int count = 0;
	cudaError_t status = cudaGetDeviceCount(&count);
	if (status != cudaSuccess) {
		cudaGetLastError();
		return tell_of_driver(status);
	}
	if (index < 0 || index >= count)
		return error_set(ERR_NOT_FOUND, "cuda %d: this machine has %d", index, count);
	return 0;
}

static int
fill_properties(struct cuda_device *device, const struct device_options *options)
{
	struct device_properties *properties = &device->base.properties;
	struct cudaDeviceProp prop;
	char *pci_id = device->pci_id;
	size_t free_bytes, total_bytes;
	int index = device->index;
	if (cuda_check(device, cudaGetDeviceProperties(&prop, index), "cudaGetDeviceProperties") !=
		    0 ||
	    cuda_check(device, cudaDeviceGetPCIBusId(pci_id, CUDA_PCI_ID_BYTES, index),
		       "cudaDeviceGetPCIBusId") != 0 ||
	    cuda_check(device, cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo") != 0)
		return -1;
	snprintf(properties->name, sizeof(properties->name), "cuda %d (%.24s, %.16s)", index,
		 prop.name, pci_id);
	properties->memory_bytes =
		options->memory_bytes ? options->memory_bytes : free_bytes / 100 * DEFAULT_PERCENT;
	properties->switch_id = find_switch(pci_id);
	properties->link_rate =
		options->link_rate != 0 ? options->link_rate : cuda_links_host_rate(pci_id);
	return 0;
}

static int
open_context(struct cuda_device *device)
{
	unsigned flags = cudaDeviceScheduleBlockingSync;
	if (cuda_check(device, cudaInitDevice(device->index, flags, cudaInitDeviceFlagsAreValid),
		       "cudaInitDevice") != 0)
		return -1;
	return cuda_enter(device);
}

static int
make_pulse(struct cuda_device *device)
{
	return cuda_check(device, cudaEventCreateWithFlags(&device->pulse, cudaEventDisableTiming),
			  "cudaEventCreateWithFlags");
}

/* Create the GPU's primary context and what the device keeps in it. */
static int
start(struct cuda_device *device, const struct device_options *options)
{
	if (open_context(device) != 0 || fill_properties(device, options) != 0)
		return -1;
	return make_pulse(device);
}

/* Any error loses it again: half a context is none. */
static int
cuda_recover(struct device *base)
{
	struct cuda_device *device = cuda_of(base);
	struct error loss = device->loss;
	assert(list_is_empty(&device->reservations) && list_is_empty(&device->notifies));
	reset(device);
	atomic_store(&device->peers, 0);
	atomic_store(&base->lost, false);
	if (open_context(device) == 0 && make_pulse(device) == 0)
		return 0;
	device->loss = atomic_load(&base->lost) ? device->loss : loss;
	atomic_store(&base->lost, true);
	return error_set(ERR_UNAVAILABLE, "%s cannot be opened again: %s", base->properties.name,
			 error_last()->message);
}

static const struct device_ops cuda_ops = {
	.close = cuda_close,
	.has_peer = cuda_has_peer,
	.peer_rate = cuda_peer_rate,
	.recover = cuda_recover,
	.health = cuda_health,
	.stream_new = cuda_stream_new,
	.event_new = cuda_event_new,
};

/* What the module exports. */
struct device *
tidepool_module_open(const struct device_options *options);

struct device *
tidepool_module_open(const struct device_options *options)
{
	if (check_machine(options->index) != 0)
		return NULL;
	struct cuda_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a device");
		return NULL;
	}
	device_create(&device->base, DEVICE_KIND_CUDA, &cuda_ops, &cuda_memory_ops,
		      &cuda_stream_ops, &cuda_event_ops);
	device->index = device->base.properties.index = options->index;
	snprintf(device->base.properties.name, DEVICE_NAME_BYTES, "cuda %d", device->index);
	pthread_mutex_init(&device->lock, NULL);
	list_create(&device->reservations);
	list_create(&device->notifies);
	list_create(&device->spare_notifies);
	if (start(device, options) != 0) {
		error_wrap("cuda %d cannot be opened", device->index);
		free_device(device);
		return NULL;
	}
	cuda_share(options);
	return &device->base;
}
