/*
 * CUDA's words for kernels, for a C++ compiler that knows none: what core/exec/cuda/kernel.cuh includes where it is not
 * compiled by nvcc. Threads, barriers and launches are grid.h's.
 */
#pragma once

#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "cuda_runtime_api.h"
#include "grid.h"
#include "kernel_arithmetic.h"
#include "kernel_atomics.h"
#include "kernel_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static thread_local
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
/* A kernel whose registers are bounded for its blocks lies among those that are, where kernel_launch finds it. */
#define __launch_bounds__(...) __attribute__((section("kernel_bounded")))
#define __align__(bytes) alignas(bytes)
#ifndef __restrict__
#define __restrict__ __restrict
#endif

#define threadIdx (grid_place.thread)
#define blockIdx (grid_place.block)
#define blockDim (grid_place.block_size)
#define gridDim (grid_place.grid_size)
#define warpSize 32

/* --- launches ------------------------------------------------------------------------------------------------------- */

/* A kernel and its arguments. */
template <class... P> struct kernel_closure {
	void (*kernel)(P...);
	std::tuple<P...> arguments;

	static void
	run(const void *closure)
	{
		const kernel_closure *self = (const kernel_closure *)closure;
		std::apply(self->kernel, self->arguments);
	}
};

static inline grid_index
kernel_index(dim3 size)
{
	return { size.x, size.y, size.z };
}

/* A parameter that is a pointer, for the launch to check; NULL for others. */
template <class T>
static inline const void *
kernel_pointer(T argument)
{
	if constexpr (std::is_pointer<T>::value)
		return (const void *)argument;
	else
		return nullptr;
}

/* The section of kernels with bounds; the linker's names for its ends, NULL where there is none. */
extern "C" __attribute__((weak, visibility("hidden"))) const char __start_kernel_bounded[];
extern "C" __attribute__((weak, visibility("hidden"))) const char __stop_kernel_bounded[];

static inline bool
kernel_is_bounded(const void *kernel)
{
	return (uintptr_t)kernel >= (uintptr_t)__start_kernel_bounded &&
	       (uintptr_t)kernel < (uintptr_t)__stop_kernel_bounded;
}

template <class... P, class... A>
static void
kernel_launch(const char *name, bool is_flat, void (*kernel)(P...), dim3 grid, dim3 block,
	      size_t shared, cudaStream_t stream, A... arguments)
{
	static_assert((std::is_trivially_copyable<P>::value && ...),
		      "a kernel's arguments are copied bit by bit");
	typedef kernel_closure<P...> closure;
	closure made = { kernel, std::tuple<P...>(arguments...) };
	const void *pointers[] = { kernel_pointer<P>(arguments)..., nullptr };
	grid_launch launch = {};
	launch.kernel = name;
	launch.grid = kernel_index(grid);
	launch.block = kernel_index(block);
	launch.shared = shared;
	launch.stream = stream;
	launch.is_flat = is_flat;
	launch.is_bounded = kernel_is_bounded((const void *)kernel);
	launch.thread = closure::run;
	launch.closure = &made;
	launch.bytes = sizeof(made);
	launch.pointers = pointers;
	launch.pointer_count = sizeof...(P);
	grid_put(&launch);
}

#define KERNEL_LAUNCH(kernel, grid, block, shared, stream, ...)                                    \
	kernel_launch(#kernel, false, kernel, grid, block, shared, stream, ##__VA_ARGS__)
#define KERNEL_LAUNCH_FLAT(kernel, grid, block, stream, ...)                                       \
	kernel_launch(#kernel, true, kernel, grid, block, 0, stream, ##__VA_ARGS__)
#define KERNEL_SHARED(type, name) type *name = (type *)grid_shared()

/* --- threads together ----------------------------------------------------------------------------------------------- */

static inline void
__syncthreads()
{
	grid_barrier(false);
}

static inline int
__syncthreads_count(int said)
{
	return grid_barrier(said != 0);
}

static inline int
__syncthreads_or(int said)
{
	return grid_barrier(said != 0) > 0;
}

static inline int
__syncthreads_and(int said)
{
	return grid_barrier(said == 0) == 0;
}

static inline void
__syncwarp(unsigned mask = 0xffffffffU)
{
	grid_meet(GRID_MEET_ONLY, mask, 0, 0);
}

static inline unsigned
__ballot_sync(unsigned mask, int said)
{
	return (unsigned)grid_meet(GRID_MEET_BALLOT, mask, said != 0, 0);
}

static inline int
__any_sync(unsigned mask, int said)
{
	return __ballot_sync(mask, said) != 0;
}

static inline int
__all_sync(unsigned mask, int said)
{
	return __ballot_sync(mask, said) == mask;
}

static inline unsigned
__activemask()
{
	return grid_active();
}

template <typename T>
static inline T
kernel_shuffle(unsigned mask, T value, unsigned from)
{
	static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffled value has 64 bits at most");
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof(value));
	bits = grid_meet(GRID_MEET_SHUFFLE, mask, bits, from);
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Lanes work in parts of `width`; one that would take from outside its part gets its own value. */
template <typename T>
static inline T
__shfl_sync(unsigned mask, T value, int from, int width = warpSize)
{
	unsigned part = grid_lane() & ~(unsigned)(width - 1);
	return kernel_shuffle(mask, value, part + ((unsigned)from & (unsigned)(width - 1)));
}

template <typename T>
static inline T
__shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize)
{
	unsigned lane = grid_lane(), from = lane ^ (unsigned)bits;
	bool inside = from < (lane & ~(unsigned)(width - 1)) + (unsigned)width;
	return kernel_shuffle(mask, value, inside ? from : lane);
}

template <typename T>
static inline T
__shfl_down_sync(unsigned mask, T value, unsigned by, int width = warpSize)
{
	unsigned lane = grid_lane(), from = lane + by;
	bool inside = from < (lane & ~(unsigned)(width - 1)) + (unsigned)width;
	return kernel_shuffle(mask, value, inside ? from : lane);
}

template <typename T>
static inline T
__shfl_up_sync(unsigned mask, T value, unsigned by, int width = warpSize)
{
	unsigned lane = grid_lane();
	bool inside = by <= (lane & (unsigned)(width - 1));
	return kernel_shuffle(mask, value, inside ? lane - by : lane);
}
