#include "vram.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "call.h"
#include "standin.h"
#include "stream.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

#if defined(__SANITIZE_THREAD__)
#define GATED false
#else
#define GATED true
#endif

/* Of addresses for each device; ThreadSanitizer grants fewer. */
#if defined(__SANITIZE_THREAD__)
#define ARENA_BYTES ((size_t)8 << 30)
#else
#define ARENA_BYTES ((size_t)64 << 30)
#endif

enum {
	PAGE = 4096,
	/* As cudaMalloc aligns. */
	ALIGNMENT = 512,
	LARGE = 2 << 20,
	/* Memory up to that size is filled with NaNs, so that nobody takes it for zeros. */
	FILL_BYTES = 32 << 20,
	FILL = 0xff,
};

/* One allocation; pages around it cannot be touched. */
struct block {
	unsigned char *base;
	size_t bytes;
	bool is_live;
};

static struct arena {
	pthread_mutex_t lock;
	unsigned char *base;
	/* Addresses from here on were never given out. */
	unsigned char *next;
	/* By address. */
	struct block *blocks;
	size_t count;
	size_t room;
	uint64_t live_bytes;
	/* Streams that work with it. */
	int open;
} arenas[GPU_MAX];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool is_misaligned;

static void
create_all(void)
{
	for (int i = 0; i < GPU_MAX; i++) {
		size_t bytes = ARENA_BYTES + LARGE;
		unsigned char *base = mmap(NULL, bytes, PROT_NONE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert(base != MAP_FAILED);
		base += LARGE - (uintptr_t)base % LARGE;
		pthread_mutex_init(&arenas[i].lock, NULL);
		arenas[i].base = arenas[i].next = base;
	}
}

static struct arena *
arena_of(int device)
{
	pthread_once(&once, create_all);
	return &arenas[device];
}

/* --- the gate ---------------------------------------------------------------------------------------------------- */

static void
protect(const struct block *block, int protection)
{
	size_t shift = (uintptr_t)block->base % PAGE;
	size_t bytes = (shift + block->bytes + PAGE - 1) / PAGE * PAGE;
	int result = mprotect(block->base - shift, bytes, protection);
	assert(result == 0);
	(void)result;
}

static void
protect_all(struct arena *arena, int protection)
{
	for (size_t i = 0; i < arena->count; i++) {
		if (arena->blocks[i].is_live)
			protect(&arena->blocks[i], protection);
	}
}

static void
turn(uint32_t devices, int by)
{
	for (int i = 0; GATED && i < GPU_MAX; i++) {
		if ((devices >> i & 1) == 0)
			continue;
		struct arena *arena = arena_of(i);
		pthread_mutex_lock(&arena->lock);
		if (arena->open == 0)
			protect_all(arena, PROT_READ | PROT_WRITE);
		arena->open += by;
		if (arena->open == 0)
			protect_all(arena, PROT_NONE);
		pthread_mutex_unlock(&arena->lock);
	}
}

void
vram_open(uint32_t devices)
{
	turn(devices, 1);
}

void
vram_close(uint32_t devices)
{
	turn(devices, -1);
}

/* --- blocks ------------------------------------------------------------------------------------------------------ */

/* Addresses are used up, and none is in use: begin anew. */
static void
recycle(struct arena *arena)
{
	if (arena->live_bytes > 0)
		return;
	arena->next = arena->base;
	arena->count = 0;
}

/* Where the next block of that size begins: large ones at a multiple of 2 MiB; NULL when the addresses are used up. */
static unsigned char *
place(const struct arena *arena, size_t bytes)
{
	size_t alignment = bytes >= LARGE ? LARGE : PAGE;
	uintptr_t at = ((uintptr_t)arena->next + PAGE + alignment - 1) / alignment * alignment;
	if (atomic_load(&is_misaligned))
		at += ALIGNMENT;
	uintptr_t end = (uintptr_t)arena->base + ARENA_BYTES;
	return bytes + 2 * (size_t)PAGE > end - at ? NULL : (unsigned char *)at;
}

static struct block *
add_block(struct arena *arena, size_t bytes)
{
	unsigned char *base = place(arena, bytes);
	if (base == NULL) {
		recycle(arena);
		base = place(arena, bytes);
	}
	if (base == NULL)
		return NULL;
	if (arena->count == arena->room) {
		arena->room = arena->room * 2 + 64;
		arena->blocks = realloc(arena->blocks, arena->room * sizeof(struct block));
	}
	struct block *block = &arena->blocks[arena->count++];
	*block = (struct block){ .base = base, .bytes = bytes, .is_live = true };
	arena->next = base + (bytes + PAGE - 1) / PAGE * PAGE;
	arena->live_bytes += bytes;
	return block;
}

/* Its last page ends after the block does. */
static size_t
slack(const struct block *block)
{
	return (PAGE - ((uintptr_t)block->base + block->bytes) % PAGE) % PAGE;
}

static void
prepare(const struct arena *arena, const struct block *block)
{
	protect(block, PROT_READ | PROT_WRITE);
	if (block->bytes <= FILL_BYTES)
		memset(block->base, FILL, block->bytes);
	ASAN_POISON_MEMORY_REGION(block->base + block->bytes, slack(block));
	if (GATED && arena->open == 0)
		protect(block, PROT_NONE);
}

static void
free_block(struct arena *arena, struct block *block)
{
	ASAN_UNPOISON_MEMORY_REGION(block->base + block->bytes, slack(block));
	protect(block, PROT_NONE);
	size_t shift = (uintptr_t)block->base % PAGE;
	madvise(block->base - shift, shift + block->bytes, MADV_DONTNEED);
	block->is_live = false;
	arena->live_bytes -= block->bytes;
}

/* The last block that begins at address or before. */
static struct block *
block_before(const struct arena *arena, const void *address)
{
	size_t low = 0, high = arena->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if ((uintptr_t)arena->blocks[middle].base <= (uintptr_t)address)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NULL : &arena->blocks[low - 1];
}

uint32_t
vram_free_all(struct gpu *gpu)
{
	struct arena *arena = arena_of(gpu->index);
	uint32_t left = 0;
	pthread_mutex_lock(&arena->lock);
	for (size_t i = 0; i < arena->count; i++) {
		if (!arena->blocks[i].is_live)
			continue;
		free_block(arena, &arena->blocks[i]);
		left++;
	}
	pthread_mutex_unlock(&arena->lock);
	return left;
}

/* --- what an address is ------------------------------------------------------------------------------------------ */

static enum vram_place
find_in(struct arena *arena, const void *address, size_t bytes)
{
	enum vram_place place = VRAM_OUTSIDE;
	pthread_mutex_lock(&arena->lock);
	const struct block *block = block_before(arena, address);
	uintptr_t at = (uintptr_t)address;
	if (block != NULL && at - (uintptr_t)block->base <= block->bytes &&
	    bytes <= block->bytes - (at - (uintptr_t)block->base))
		place = block->is_live ? VRAM_LIVE : VRAM_FREED;
	pthread_mutex_unlock(&arena->lock);
	return place;
}

enum vram_place
vram_find(const void *address, size_t bytes, int *device)
{
	for (int i = 0; i < GPU_MAX; i++) {
		struct arena *arena = arena_of(i);
		if ((uintptr_t)address - (uintptr_t)arena->base >= ARENA_BYTES)
			continue;
		*device = i;
		return find_in(arena, address, bytes);
	}
	return VRAM_ELSEWHERE;
}

cudaError_t
vram_check(const struct gpu *gpu, const void *address, size_t bytes, const char *what)
{
	static const char *const words[] = {
		[VRAM_ELSEWHERE] = "is no device memory",
		[VRAM_FREED] = "was freed",
		[VRAM_OUTSIDE] = "is beyond what was allocated",
	};
	int device = -1;
	enum vram_place place = vram_find(address, bytes, &device);
	if (place != VRAM_LIVE)
		return call_misuse(cudaErrorInvalidValue, "%s: %p (%zu bytes) %s", what, address,
				   bytes, words[place]);
	if ((atomic_load(&gpu->peers) >> device & 1) != 0)
		return cudaSuccess;
	return call_misuse(cudaErrorInvalidValue, "%s: %p is of device %d, out of reach of %d",
			   what, address, device, gpu->index);
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

cudaError_t
cudaMemGetInfo(size_t *free, size_t *total)
{
	CALL_BEGIN(0);
	struct gpu *gpu = gpu_current();
	if (gpu == NULL)
		return call_end(cudaErrorNoDevice);
	*total = gpu_memory();
	*free = gpu_memory() - standin_allocated(gpu->index);
	return cudaSuccess;
}

cudaError_t
cudaMalloc(void **devPtr, size_t size)
{
	CALL_BEGIN(CALL_UNSAFE);
	struct gpu *gpu = gpu_current();
	if (gpu == NULL || devPtr == NULL)
		return call_end(gpu == NULL ? cudaErrorNoDevice : cudaErrorInvalidValue);
	*devPtr = NULL;
	if (size == 0)
		return cudaSuccess;
	struct arena *arena = arena_of(gpu->index);
	struct block *block = NULL;
	pthread_mutex_lock(&arena->lock);
	if (size <= gpu_memory() - arena->live_bytes)
		block = add_block(arena, size);
	if (block != NULL) {
		prepare(arena, block);
		*devPtr = block->base;
	}
	pthread_mutex_unlock(&arena->lock);
	return block == NULL ? call_end(cudaErrorMemoryAllocation) : cudaSuccess;
}

/* Waits for the device first, as CUDA does. */
cudaError_t
cudaFree(void *devPtr)
{
	CALL_BEGIN(CALL_UNSAFE);
	int device = 0;
	if (devPtr == NULL)
		return cudaSuccess;
	enum vram_place place = vram_find(devPtr, 1, &device);
	if (place != VRAM_LIVE)
		return call_misuse(cudaErrorInvalidValue, "cudaFree: %p %s", devPtr,
				   place == VRAM_FREED ? "was freed before"
						       : "is no device memory");
	stream_wait_all(gpu_at(device));
	struct arena *arena = arena_of(device);
	pthread_mutex_lock(&arena->lock);
	struct block *block = block_before(arena, devPtr);
	bool is_start = block->base == devPtr;
	if (is_start)
		free_block(arena, block);
	pthread_mutex_unlock(&arena->lock);
	return is_start ? cudaSuccess
			: call_misuse(cudaErrorInvalidValue, "cudaFree: %p is inside memory",
				      devPtr);
}

/* --- for specs --------------------------------------------------------------------------------------------------- */

void
standin_misalign(bool on)
{
	atomic_store(&is_misaligned, on);
}

uint64_t
standin_allocated(int device)
{
	struct arena *arena = arena_of(device);
	pthread_mutex_lock(&arena->lock);
	uint64_t bytes = arena->live_bytes;
	pthread_mutex_unlock(&arena->lock);
	return bytes;
}
