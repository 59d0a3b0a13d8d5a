/* Launches: what is wrong with one is seen here, before it is put on its stream. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "call.h"
#include "grid.h"
#include "pinned.h"
#include "stream.h"
#include "vram.h"

enum {
	MAX_YZ = 65535,
	MAX_BLOCK_Z = 64,
	PAGE = 4096,
};

struct kernel_work {
	struct work work;
	struct grid_launch launch;
};

static cudaError_t
run_kernel(struct work *base)
{
	return grid_run(&((struct kernel_work *)base)->launch);
}

static void
destroy_kernel(struct work *base)
{
	free((void *)((struct kernel_work *)base)->launch.closure);
}

/* --- checks ------------------------------------------------------------------------------------------------------------- */

static cudaError_t
check_shape(const struct grid_launch *launch)
{
	const struct grid_index *grid = &launch->grid, *block = &launch->block;
	uint64_t threads = (uint64_t)block->x * block->y * block->z;
	if (threads == 0 || threads > GRID_MAX_BLOCK || block->z > MAX_BLOCK_Z || grid->x == 0 ||
	    grid->x > INT32_MAX || grid->y == 0 || grid->y > MAX_YZ || grid->z == 0 ||
	    grid->z > MAX_YZ)
		return cudaErrorInvalidConfiguration;
	if (launch->bytes > GRID_MAX_PARAMETERS || launch->shared > GRID_MAX_SHARED)
		return cudaErrorInvalidValue;
	return cudaSuccess;
}

/* Is that word the address of host memory which exists? Small numbers are none, nor are two halves that are. */
static bool
is_host_address(uintptr_t word)
{
	unsigned char there;
	if (word < UINT64_C(0x500000000000) || word >= UINT64_C(0x800000000000))
		return false;
	return mincore((void *)(word / PAGE * PAGE), 1, &there) == 0;
}

static cudaError_t
check_word(const struct grid_launch *launch, uintptr_t word)
{
	int device;
	const void *address = (const void *)word;
	const struct gpu *gpu = ((const struct handle *)launch->stream)->gpu;
	/* One past the end is an address that may be held. */
	if (vram_find(address, 0, &device) != VRAM_ELSEWHERE)
		return vram_check(gpu, address, 0, launch->kernel);
	if (!is_host_address(word) || pinned_holds(address, 0))
		return cudaSuccess;
	return call_misuse(cudaErrorInvalidValue, "%s: %p is host memory", launch->kernel, address);
}

static cudaError_t
check_parameters(const struct grid_launch *launch)
{
	cudaError_t status = cudaSuccess;
	for (size_t at = launch->parameters; status == cudaSuccess && at + 8 <= launch->bytes;
	     at += 8) {
		uintptr_t word;
		memcpy(&word, (const char *)launch->closure + at, sizeof(word));
		status = check_word(launch, word);
	}
	return status;
}

/* --- the launch --------------------------------------------------------------------------------------------------------- */

static cudaError_t
put(const struct grid_launch *launch)
{
	static struct call launch_call = { .name = "cudaLaunchKernel", .flags = CALL_ANYWAY };
	static struct call work_call = { .name = "work:kernel" };
	cudaError_t status = call_begin(&launch_call);
	if (status == cudaSuccess)
		status = stream_check(launch->stream, launch->kernel);
	if (status == cudaSuccess)
		status = check_shape(launch);
	if (status == cudaSuccess)
		status = check_parameters(launch);
	if (status != cudaSuccess)
		return status;
	struct kernel_work *work = work_new(sizeof(*work), &work_call, run_kernel, destroy_kernel);
	void *closure = malloc(launch->bytes);
	memcpy(closure, launch->closure, launch->bytes);
	work->launch = *launch;
	work->launch.closure = closure;
	return stream_put(launch->stream, &work->work);
}

void
grid_put(const struct grid_launch *launch)
{
	call_end(put(launch));
}
