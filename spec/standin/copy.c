/* Copies and fills of device memory, each address checked when the call is made. */
#include <stdatomic.h>
#include <string.h>

#include "call.h"
#include "gpu.h"
#include "pinned.h"
#include "standin.h"
#include "stream.h"
#include "vram.h"

struct copy_work {
	struct work work;
	void *to;
	const void *from;
	size_t bytes;
	/* Host memory on either side, in use until it is over; NULL: device memory, or ordinary. */
	struct pinned *pinned_to;
	struct pinned *pinned_from;
};

struct fill_work {
	struct work work;
	void *to;
	int value;
	size_t bytes;
};

static _Atomic uint64_t pageable;

static struct call copy_call = { .name = "work:copy" };
static struct call fill_call = { .name = "work:set" };

static cudaError_t
run_copy(struct work *base)
{
	struct copy_work *work = (struct copy_work *)base;
	memcpy(work->to, work->from, work->bytes);
	return cudaSuccess;
}

static void
destroy_copy(struct work *base)
{
	struct copy_work *work = (struct copy_work *)base;
	pinned_leave(work->pinned_to);
	pinned_leave(work->pinned_from);
}

static cudaError_t
run_fill(struct work *base)
{
	struct fill_work *work = (struct fill_work *)base;
	memset(work->to, work->value, work->bytes);
	return cudaSuccess;
}

/* --- checks ------------------------------------------------------------------------------------------------------ */

/* Does the address belong on that side of a copy of that kind? */
static cudaError_t
check_side(const struct gpu *gpu, const void *address, size_t bytes, bool on_device, bool either,
	   const char *what)
{
	int device;
	bool is_host = vram_find(address, bytes, &device) == VRAM_ELSEWHERE;
	if (is_host && (either || !on_device))
		return cudaSuccess;
	if (!is_host && !either && !on_device)
		return call_misuse(cudaErrorInvalidValue, "%s: %p is device memory", what, address);
	return vram_check(gpu, address, bytes, what);
}

static cudaError_t
check_copy(const struct gpu *gpu, void *to, const void *from, size_t bytes,
	   enum cudaMemcpyKind kind, const char *what)
{
	if ((unsigned)kind > cudaMemcpyDefault)
		return call_end(cudaErrorInvalidMemcpyDirection);
	bool either = kind == cudaMemcpyDefault;
	bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
	bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
	cudaError_t status = check_side(gpu, to, bytes, to_device, either, what);
	return status != cudaSuccess ? status
				     : check_side(gpu, from, bytes, from_device, either, what);
}

/* The piece of pinned memory there; NULL for device memory, and for ordinary memory, which is counted. */
static struct pinned *
enter(const void *address, size_t bytes)
{
	int device;
	if (vram_find(address, 1, &device) != VRAM_ELSEWHERE)
		return NULL;
	struct pinned *pinned = pinned_enter(address, bytes);
	if (pinned == NULL)
		atomic_fetch_add_explicit(&pageable, 1, memory_order_relaxed);
	return pinned;
}

/* --- the API ----------------------------------------------------------------------------------------------------- */

static cudaError_t
put_copy(void *to, const void *from, size_t bytes, uint32_t touches, cudaStream_t stream)
{
	struct copy_work *work = work_new(sizeof(*work), &copy_call, run_copy, destroy_copy);
	work->work.touches = touches;
	work->to = to;
	work->from = from;
	work->bytes = bytes;
	work->pinned_to = enter(to, bytes);
	work->pinned_from = enter(from, bytes);
	return stream_put(stream, &work->work);
}

cudaError_t
cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
		cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = stream_check(stream, "cudaMemcpyAsync");
	if (status == cudaSuccess && count > 0)
		status = check_copy(stream->handle.gpu, dst, src, count, kind, "cudaMemcpyAsync");
	if (status != cudaSuccess || count == 0)
		return status;
	return put_copy(dst, src, count, 0, stream);
}

cudaError_t
cudaMemcpyPeerAsync(void *dst, int dstDevice, const void *src, int srcDevice, size_t count,
		    cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY);
	int to = -1, from = -1;
	cudaError_t status = stream_check(stream, "cudaMemcpyPeerAsync");
	if (status != cudaSuccess || count == 0)
		return status;
	if (gpu_at(dstDevice) == NULL || gpu_at(srcDevice) == NULL)
		return call_end(cudaErrorInvalidDevice);
	if (vram_find(dst, count, &to) != VRAM_LIVE || to != dstDevice)
		return call_misuse(cudaErrorInvalidValue,
				   "cudaMemcpyPeerAsync: %p is no memory of device %d", dst,
				   dstDevice);
	if (vram_find(src, count, &from) != VRAM_LIVE || from != srcDevice)
		return call_misuse(cudaErrorInvalidValue,
				   "cudaMemcpyPeerAsync: %p is no memory of device %d", src,
				   srcDevice);
	return put_copy(dst, src, count, 1u << to | 1u << from, stream);
}

cudaError_t
cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream)
{
	CALL_BEGIN(CALL_ANYWAY);
	cudaError_t status = stream_check(stream, "cudaMemsetAsync");
	if (status == cudaSuccess && count > 0)
		status = vram_check(stream->handle.gpu, devPtr, count, "cudaMemsetAsync");
	if (status != cudaSuccess || count == 0)
		return status;
	struct fill_work *work = work_new(sizeof(*work), &fill_call, run_fill, NULL);
	work->to = devPtr;
	work->value = value;
	work->bytes = count;
	return stream_put(stream, &work->work);
}

/* On the legacy stream, which non-blocking streams do not wait for, nor it for them. */
cudaError_t
cudaMemcpy(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind)
{
	CALL_BEGIN(CALL_UNSAFE);
	struct gpu *gpu = gpu_current();
	cudaError_t status = gpu == NULL ? call_end(cudaErrorNoDevice)
					 : check_copy(gpu, dst, src, count, kind, "cudaMemcpy");
	if (status != cudaSuccess)
		return status;
	uint32_t reach = atomic_load(&gpu->peers);
	vram_open(reach);
	memcpy(dst, src, count);
	vram_close(reach);
	return cudaSuccess;
}

cudaError_t
cudaMemset(void *devPtr, int value, size_t count)
{
	CALL_BEGIN(CALL_UNSAFE);
	struct gpu *gpu = gpu_current();
	cudaError_t status = gpu == NULL ? call_end(cudaErrorNoDevice)
					 : vram_check(gpu, devPtr, count, "cudaMemset");
	if (status != cudaSuccess)
		return status;
	uint32_t reach = atomic_load(&gpu->peers);
	vram_open(reach);
	memset(devPtr, value, count);
	vram_close(reach);
	return cudaSuccess;
}

uint64_t
standin_pageable_copies(void)
{
	return atomic_load(&pageable);
}
