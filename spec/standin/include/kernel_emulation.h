/*
 * CUDA's words for kernels, for a C++ compiler that knows none: what core/exec/cuda/kernel.cuh includes where it is not
 * compiled by nvcc. Threads, barriers and launches are grid.h's.
 */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "cuda_runtime_api.h"
#include "grid.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static thread_local
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#ifndef __restrict__
#define __restrict__ __restrict
#endif

#define threadIdx (grid_place.thread)
#define blockIdx (grid_place.block)
#define blockDim (grid_place.block_size)
#define gridDim (grid_place.grid_size)
#define warpSize 32

/* --- types ---------------------------------------------------------------------------------------------------------- */

struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
	{
	}
};

struct alignas(8) float2 {
	float x, y;
};
struct float3 {
	float x, y, z;
};
struct alignas(16) float4 {
	float x, y, z, w;
};
struct alignas(16) double2 {
	double x, y;
};
struct alignas(8) int2 {
	int x, y;
};
struct alignas(16) int4 {
	int x, y, z, w;
};
struct alignas(8) uint2 {
	unsigned x, y;
};
struct alignas(16) uint4 {
	unsigned x, y, z, w;
};

static inline float2
make_float2(float x, float y)
{
	return { x, y };
}
static inline float3
make_float3(float x, float y, float z)
{
	return { x, y, z };
}
static inline float4
make_float4(float x, float y, float z, float w)
{
	return { x, y, z, w };
}
static inline int2
make_int2(int x, int y)
{
	return { x, y };
}
static inline int4
make_int4(int x, int y, int z, int w)
{
	return { x, y, z, w };
}
static inline uint2
make_uint2(unsigned x, unsigned y)
{
	return { x, y };
}
static inline uint4
make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
	return { x, y, z, w };
}

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

/* --- atomics -------------------------------------------------------------------------------------------------------- */

/* *address becomes f(*address); what it was. */
template <typename T, typename F>
static inline T
kernel_atomic(T *address, F f)
{
	T old, next;
	__atomic_load(address, &old, __ATOMIC_RELAXED);
	do
		next = f(old);
	while (!__atomic_compare_exchange(address, &old, &next, true, __ATOMIC_RELAXED,
					  __ATOMIC_RELAXED));
	return old;
}

template <typename T>
static inline T
atomicAdd(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return (T)(old + value); });
}

template <typename T>
static inline T
atomicSub(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return (T)(old - value); });
}

template <typename T>
static inline T
atomicMax(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old > value ? old : value; });
}

template <typename T>
static inline T
atomicMin(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old < value ? old : value; });
}

template <typename T>
static inline T
atomicExch(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T) { return value; });
}

template <typename T>
static inline T
atomicAnd(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old & value; });
}

template <typename T>
static inline T
atomicOr(T *address, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old | value; });
}

template <typename T>
static inline T
atomicCAS(T *address, std::common_type_t<T> compare, std::common_type_t<T> value)
{
	return kernel_atomic(address, [=](T old) { return old == compare ? value : old; });
}

template <typename T>
static inline T
kernel_peek(const T *from)
{
	T value;
	__atomic_load(from, &value, __ATOMIC_RELAXED);
	return value;
}

/* As an operation on a word: ThreadSanitizer does not know fences. */
static inline void
emulation_fence()
{
	static int word;
	__atomic_fetch_add(&word, 0, __ATOMIC_SEQ_CST);
}

static inline void
__threadfence()
{
	emulation_fence();
}

static inline void
__threadfence_block()
{
	emulation_fence();
}

static inline void
__threadfence_system()
{
	emulation_fence();
}

/* --- arithmetic ----------------------------------------------------------------------------------------------------- */

template <typename T>
static inline T
__ldg(const T *address)
{
	return *address;
}

template <typename T, typename F>
static inline T
kernel_bits(F from)
{
	static_assert(sizeof(T) == sizeof(F), "the same bits");
	T to;
	memcpy(&to, &from, sizeof(to));
	return to;
}

static inline float
__int_as_float(int bits)
{
	return kernel_bits<float>(bits);
}
static inline float
__uint_as_float(unsigned bits)
{
	return kernel_bits<float>(bits);
}
static inline int
__float_as_int(float value)
{
	return kernel_bits<int>(value);
}
static inline unsigned
__float_as_uint(float value)
{
	return kernel_bits<unsigned>(value);
}
static inline double
__longlong_as_double(long long bits)
{
	return kernel_bits<double>(bits);
}
static inline long long
__double_as_longlong(double value)
{
	return kernel_bits<long long>(value);
}

static inline float
rsqrtf(float x)
{
	return 1.0f / sqrtf(x);
}
static inline double
rsqrt(double x)
{
	return 1.0 / sqrt(x);
}
static inline float
rsqrt(float x)
{
	return rsqrtf(x);
}
static inline float
__saturatef(float x)
{
	return x > 0.0f ? x < 1.0f ? x : 1.0f : 0.0f;
}
/* libc has these names for itself. */
#define __expf(x) expf(x)
#define __logf(x) logf(x)

static inline float
__fdividef(float x, float y)
{
	return x / y;
}

/* CUDA's min and max take mixed integers; of floats, the one that is a number. */
template <typename A, typename B>
static inline std::common_type_t<A, B>
min(A a, B b)
{
	typedef std::common_type_t<A, B> T;
	if constexpr (std::is_floating_point<T>::value)
		return std::fmin((T)a, (T)b);
	else
		return (T)b < (T)a ? (T)b : (T)a;
}

template <typename A, typename B>
static inline std::common_type_t<A, B>
max(A a, B b)
{
	typedef std::common_type_t<A, B> T;
	if constexpr (std::is_floating_point<T>::value)
		return std::fmax((T)a, (T)b);
	else
		return (T)a < (T)b ? (T)b : (T)a;
}

static inline int
__popc(unsigned x)
{
	return __builtin_popcount(x);
}
static inline int
__clz(int x)
{
	return x == 0 ? 32 : __builtin_clz((unsigned)x);
}
/* The four products of the signed bytes of a and b, and c. */
static inline int
__dp4a(int a, int b, int c)
{
	for (int i = 0; i < 4; i++)
		c += (int8_t)((unsigned)a >> 8 * i) * (int8_t)((unsigned)b >> 8 * i);
	return c;
}
static inline int
__ffs(int x)
{
	return __builtin_ffs(x);
}
static inline long long
clock64()
{
	return 0;
}
