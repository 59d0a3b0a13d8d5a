/* Launches: what is wrong with one is seen here, before it is put on its stream. */
#include <ctype.h>
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
	/* Of a kernel that is compiled for no size of block: as many threads of some 120 registers as have room. */
	MAX_UNBOUNDED = 512,
	PAGE = 4096,
	LEAST_TEXT = 4,
	MAX_TEXT = 256,
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
	if (threads > MAX_UNBOUNDED && !launch->is_bounded)
		return cudaErrorLaunchOutOfResources;
	if (launch->bytes > GRID_MAX_PARAMETERS || launch->shared > GRID_MAX_SHARED)
		return cudaErrorInvalidValue;
	return cudaSuccess;
}

/* Text, that a kernel hands on without reading it, is no data that it was to have on the device. */
static bool
is_text(const char *at)
{
	size_t room = PAGE - (uintptr_t)at % PAGE, length = 0;
	unsigned char there;
	if (mincore((void *)((uintptr_t)at / PAGE * PAGE), 1, &there) != 0)
		return false;
	while (length < room && length < MAX_TEXT && isprint((unsigned char)at[length]))
		length++;
	return length >= LEAST_TEXT && (length == room || at[length] == 0);
}

/* One past the end is an address that may be held. */
static cudaError_t
check_pointer(const struct grid_launch *launch, const void *address)
{
	int device;
	const struct gpu *gpu = ((const struct handle *)launch->stream)->gpu;
	if (address == NULL)
		return cudaSuccess;
	if (vram_find(address, 0, &device) != VRAM_ELSEWHERE)
		return vram_check(gpu, address, 0, launch->kernel);
	if (pinned_holds(address, 0) || is_text(address))
		return cudaSuccess;
	return call_misuse(cudaErrorInvalidValue, "%s: %p is host memory", launch->kernel, address);
}

static cudaError_t
check_pointers(const struct grid_launch *launch)
{
	cudaError_t status = cudaSuccess;
	for (size_t i = 0; i < launch->pointer_count && status == cudaSuccess; i++)
		status = check_pointer(launch, launch->pointers[i]);
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
	if (status == cudaSuccess &&
	    call_thread()->device != ((const struct handle *)launch->stream)->gpu->index)
		status = cudaErrorInvalidResourceHandle;
	if (status == cudaSuccess)
		status = check_shape(launch);
	if (status == cudaSuccess)
		status = check_pointers(launch);
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
