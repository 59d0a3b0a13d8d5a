#include "pinned.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "call.h"
#include "gpu.h"
#include "stream.h"
#include "vram.h"

enum {
	PAGE = 4096,
	ALLOC_FLAGS = cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined,
	REGISTER_FLAGS =
		cudaHostRegisterPortable | cudaHostRegisterMapped | 4 | cudaHostRegisterReadOnly,
};

/* Kept when it is gone, for the copies that still name it. */
struct pinned {
	struct list link;
	unsigned char *base;
	size_t bytes;
	/* Registered, not allocated. */
	bool is_registered;
	_Atomic uint32_t users;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list pieces = { &pieces, &pieces };
static struct list gone = { &gone, &gone };

static bool
overlaps(const struct pinned *piece, const void *address, size_t bytes)
{
	uintptr_t at = (uintptr_t)address, base = (uintptr_t)piece->base;
	return at < base + piece->bytes && base < at + bytes;
}

static bool
holds(const struct pinned *piece, const void *address, size_t bytes)
{
	uintptr_t at = (uintptr_t)address, base = (uintptr_t)piece->base;
	return at >= base && at - base <= piece->bytes && bytes <= piece->bytes - (at - base);
}

/* The piece that test says yes to. Under the lock. */
static struct pinned *
find(bool (*test)(const struct pinned *piece, const void *address, size_t bytes),
     const void *address, size_t bytes)
{
	list_each(it, &pieces) {
		struct pinned *piece = list_entry(it, struct pinned, link);
		if (test(piece, address, bytes))
			return piece;
	}
	return NULL;
}

struct pinned *
pinned_enter(const void *address, size_t bytes)
{
	pthread_mutex_lock(&lock);
	struct pinned *piece = find(holds, address, bytes);
	if (piece != NULL)
		atomic_fetch_add_explicit(&piece->users, 1, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	return piece;
}

void
pinned_leave(struct pinned *pinned)
{
	if (pinned != NULL)
		atomic_fetch_sub_explicit(&pinned->users, 1, memory_order_release);
}

bool
pinned_holds(const void *address, size_t bytes)
{
	pthread_mutex_lock(&lock);
	bool found = find(holds, address, bytes) != NULL;
	pthread_mutex_unlock(&lock);
	return found;
}

static void
add(void *base, size_t bytes, bool is_registered)
{
	struct pinned *piece = calloc(1, sizeof(*piece));
	piece->base = base;
	piece->bytes = bytes;
	piece->is_registered = is_registered;
	list_push_back(&pieces, &piece->link);
}

/* Take the piece that begins at base out of the list; NULL when there is none. */
static struct pinned *
take(const void *base, bool is_registered)
{
	pthread_mutex_lock(&lock);
	struct pinned *piece = find(holds, base, 1);
	if (piece != NULL && (piece->base != base || piece->is_registered != is_registered))
		piece = NULL;
	if (piece != NULL) {
		list_remove(&piece->link);
		list_push_back(&gone, &piece->link);
	}
	pthread_mutex_unlock(&lock);
	return piece;
}

uint32_t
pinned_forget_all(void)
{
	uint32_t count = 0;
	while (!list_is_empty(&pieces)) {
		struct pinned *piece = list_entry(list_pop_front(&pieces), struct pinned, link);
		if (!piece->is_registered)
			free(piece->base);
		free(piece);
		count++;
	}
	return count;
}

/* Are those bytes mapped, and may they be written if asked? From the kernel's list of mappings. */
static bool
is_mapped(const void *address, size_t bytes, bool writable)
{
	char line[512], flags[5];
	unsigned long low, high;
	uintptr_t at = (uintptr_t)address, end = at + bytes;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps != NULL && at < end && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %4s", &low, &high, flags) != 3 || at < low || at >= high)
			continue;
		if (flags[0] != 'r' || (writable && flags[1] != 'w'))
			break;
		at = high;
	}
	if (maps != NULL)
		fclose(maps);
	return at >= end;
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

cudaError_t
cudaHostAlloc(void **pHost, size_t size, unsigned int flags)
{
	CALL_BEGIN(CALL_UNSAFE);
	if (gpu_current() == NULL)
		return call_end(cudaErrorNoDevice);
	if (pHost == NULL || (flags & ~(unsigned)ALLOC_FLAGS) != 0)
		return call_end(cudaErrorInvalidValue);
	*pHost = NULL;
	if (size == 0)
		return cudaSuccess;
	if (posix_memalign(pHost, PAGE, size) != 0)
		return call_end(cudaErrorMemoryAllocation);
	pthread_mutex_lock(&lock);
	add(*pHost, size, false);
	pthread_mutex_unlock(&lock);
	return cudaSuccess;
}

/* Waits for all devices first, as CUDA does for those that may use it. */
cudaError_t
cudaFreeHost(void *ptr)
{
	CALL_BEGIN(CALL_UNSAFE | CALL_ANYWAY);
	if (ptr == NULL)
		return cudaSuccess;
	for (int i = 0; i < gpu_count(); i++)
		stream_wait_all(gpu_at(i));
	struct pinned *piece = take(ptr, false);
	if (piece == NULL)
		return call_misuse(cudaErrorInvalidValue, "cudaFreeHost: %p was not allocated",
				   ptr);
	free(piece->base);
	return cudaSuccess;
}

cudaError_t
cudaHostRegister(void *ptr, size_t size, unsigned int flags)
{
	CALL_BEGIN(CALL_UNSAFE);
	if (gpu_current() == NULL)
		return call_end(cudaErrorNoDevice);
	bool writable = (flags & cudaHostRegisterReadOnly) == 0;
	if (ptr == NULL || size == 0 || (flags & ~(unsigned)REGISTER_FLAGS) != 0 ||
	    !is_mapped(ptr, size, writable))
		return call_end(cudaErrorInvalidValue);
	pthread_mutex_lock(&lock);
	bool had = find(overlaps, ptr, size) != NULL;
	if (!had)
		add(ptr, size, true);
	pthread_mutex_unlock(&lock);
	return had ? call_end(cudaErrorHostMemoryAlreadyRegistered) : cudaSuccess;
}

cudaError_t
cudaHostUnregister(void *ptr)
{
	CALL_BEGIN(CALL_UNSAFE | CALL_ANYWAY);
	struct pinned *piece = take(ptr, true);
	if (piece == NULL)
		return call_end(cudaErrorHostMemoryNotRegistered);
	/* What a lost context has in its queues it drops. */
	for (int i = 0; i < gpu_count(); i++) {
		if (gpu_error(gpu_at(i)) != cudaSuccess)
			stream_wait_all(gpu_at(i));
	}
	if (atomic_load(&piece->users) > 0)
		return call_misuse(cudaErrorInvalidValue, "cudaHostUnregister: %p is being copied",
				   ptr);
	return cudaSuccess;
}

cudaError_t
cudaHostGetDevicePointer(void **pDevice, void *pHost, unsigned int flags)
{
	CALL_BEGIN(0);
	if (flags != 0 || !pinned_holds(pHost, 1))
		return call_end(cudaErrorInvalidValue);
	*pDevice = pHost;
	return cudaSuccess;
}

cudaError_t
cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr)
{
	CALL_BEGIN(0);
	int device = call_thread()->device;
	*attributes = (struct cudaPointerAttributes){ .device = device };
	if (vram_find(ptr, 1, &attributes->device) == VRAM_LIVE) {
		attributes->type = cudaMemoryTypeDevice;
		attributes->devicePointer = (void *)ptr;
	} else if (pinned_holds(ptr, 1)) {
		attributes->type = cudaMemoryTypeHost;
		attributes->devicePointer = attributes->hostPointer = (void *)ptr;
	}
	return cudaSuccess;
}
