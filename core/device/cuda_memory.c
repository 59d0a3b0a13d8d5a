#include "device/cuda.h"

#include <stdlib.h>

enum { RESERVE_ALIGNMENT = 2 << 20 };

/* Memory taken by device_reserve: what CUDA gave, and the aligned place in it. */
struct cuda_reservation {
	struct list link;
	void *allocated;
	void *base;
	size_t bytes;
};

static struct cuda_device *
cuda_of(const struct device *device)
{
	return (struct cuda_device *)device;
}

static int
charge(struct cuda_device *device, size_t bytes)
{
	uint64_t limit = device->base.properties.memory_bytes;
	pthread_mutex_lock(&device->lock);
	uint64_t left = limit - device->reserved;
	if (bytes <= left)
		device->reserved += bytes;
	pthread_mutex_unlock(&device->lock);
	if (bytes <= left)
		return 0;
	return error_set(ERR_RESOURCE_EXHAUSTED,
			 "%s: %zu bytes asked for, %llu of memory_bytes %llu are left",
			 device->base.properties.name, bytes, (unsigned long long)left,
			 (unsigned long long)limit);
}

static void
uncharge(struct cuda_device *device, size_t bytes)
{
	pthread_mutex_lock(&device->lock);
	device->reserved -= bytes;
	pthread_mutex_unlock(&device->lock);
}

static bool
is_aligned(const void *memory)
{
	return (uintptr_t)memory % RESERVE_ALIGNMENT == 0;
}

/* Large allocations come aligned to 2 MiB; where one does not, take more and begin inside it. */
static int
allocate(struct cuda_device *device, struct cuda_reservation *reservation)
{
	size_t bytes = reservation->bytes;
	void **memory = &reservation->allocated;
	if (cuda_check(device, cudaMalloc(memory, bytes), "cudaMalloc") != 0)
		return -1;
	if (!is_aligned(*memory)) {
		cuda_check(device, cudaFree(*memory), "cudaFree");
		bytes += RESERVE_ALIGNMENT;
		if (cuda_check(device, cudaMalloc(memory, bytes), "cudaMalloc") != 0)
			return -1;
	}
	uintptr_t address = (uintptr_t)*memory + RESERVE_ALIGNMENT - 1;
	reservation->base = (void *)(address / RESERVE_ALIGNMENT * RESERVE_ALIGNMENT);
	return 0;
}

static int
cuda_reserve(struct device *base, size_t bytes, void **memory)
{
	struct cuda_device *device = cuda_of(base);
	if (cuda_enter(device) != 0 || charge(device, bytes) != 0)
		return -1;
	struct cuda_reservation *reservation = calloc(1, sizeof(*reservation));
	if (reservation == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a reservation");
		goto uncharge;
	}
	reservation->bytes = bytes;
	if (allocate(device, reservation) != 0)
		goto free_reservation;
	pthread_mutex_lock(&device->lock);
	list_push_back(&device->reservations, &reservation->link);
	pthread_mutex_unlock(&device->lock);
	*memory = reservation->base;
	return 0;
free_reservation:
	free(reservation);
uncharge:
	uncharge(device, bytes);
	return -1;
}

static struct cuda_reservation *
take_reservation(struct cuda_device *device, const void *memory)
{
	struct cuda_reservation *found = NULL;
	pthread_mutex_lock(&device->lock);
	list_each(it, &device->reservations) {
		struct cuda_reservation *each = list_entry(it, struct cuda_reservation, link);
		if (each->base == memory)
			found = each;
	}
	if (found != NULL)
		list_remove(&found->link);
	pthread_mutex_unlock(&device->lock);
	return found;
}

static void
cuda_release(struct device *base, void *memory)
{
	struct cuda_device *device = cuda_of(base);
	struct cuda_reservation *reservation = take_reservation(device, memory);
	if (reservation == NULL)
		return;
	if (cuda_enter(device) == 0)
		cuda_check(device, cudaFree(reservation->allocated), "cudaFree");
	uncharge(device, reservation->bytes);
	free(reservation);
}

static void *
cuda_host_alloc(struct device *base, size_t bytes)
{
	struct cuda_device *device = cuda_of(base);
	void *memory;
	if (cuda_enter(device) != 0 ||
	    cuda_check(device, cudaHostAlloc(&memory, bytes | 1, cudaHostAllocPortable),
		       "cudaHostAlloc") != 0)
		return NULL;
	return memory;
}

/*
 * Make the device the thread's, lost or not: the runtime would make the context of GPU 0 for a thread that has none, which takes
 * memory of a GPU that may be no device of ours.
 */
static void
choose(const struct cuda_device *device)
{
	if (cudaSetDevice(device->index) != cudaSuccess)
		cudaGetLastError();
}

static void
cuda_host_free(struct device *base, void *memory)
{
	struct cuda_device *device = cuda_of(base);
	choose(device);
	cuda_check(device, cudaFreeHost(memory), "cudaFreeHost");
}

/* Was it refused for what the memory is, so that asking in another way may help? */
static bool
is_refused(cudaError_t status)
{
	return status != cudaSuccess && status != cudaErrorMemoryAllocation &&
	       status != cudaErrorHostMemoryAlreadyRegistered && !cuda_is_fatal(status);
}

/* A mapping that cannot be written has to be registered as such; which error says so is the driver's to choose. */
static int
cuda_host_register(struct device *base, void *memory, size_t bytes)
{
	struct cuda_device *device = cuda_of(base);
	if (cuda_enter(device) != 0)
		return -1;
	cudaError_t status = cudaHostRegister(memory, bytes, cudaHostRegisterPortable);
	if (is_refused(status)) {
		cudaGetLastError();
		status = cudaHostRegister(memory, bytes,
					  cudaHostRegisterPortable | cudaHostRegisterReadOnly);
	}
	return cuda_check(device, status, "cudaHostRegister");
}

static void
cuda_host_unregister(struct device *base, void *memory)
{
	struct cuda_device *device = cuda_of(base);
	choose(device);
	cuda_check(device, cudaHostUnregister(memory), "cudaHostUnregister");
}

const struct memory_ops cuda_memory_ops = {
	.reserve = cuda_reserve,
	.release = cuda_release,
	.host_alloc = cuda_host_alloc,
	.host_free = cuda_host_free,
	.host_register = cuda_host_register,
	.host_unregister = cuda_host_unregister,
};

void
cuda_memory_release_all(struct cuda_device *device)
{
	while (!list_is_empty(&device->reservations)) {
		struct list *link = device->reservations.next;
		cuda_release(&device->base, list_entry(link, struct cuda_reservation, link)->base);
	}
}
