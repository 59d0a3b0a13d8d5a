/*
 * What every kernel file includes first: the CUDA that our kernels may use, and how they are launched. Compiled by nvcc for
 * a GPU; by another C++ compiler it takes the same words from <kernel_emulation.h>, which whoever builds kernels for the
 * CPU provides. Kernels use no inline assembly, no cooperative groups and no libraries.
 */
#pragma once

#include <assert.h>
#include <math.h>
#include <stdint.h>

/* C++ headers, which must not be read as C's. */
#include <cublasLt.h>
#include <cudnn.h>

extern "C" {
#include "exec/cuda/kernels.h"
#include "exec/cuda/op.h"
}

#ifdef __CUDACC__
#include <cuda_fp16.h>

/* Templates compare unsigned numbers with 0, too. */
#pragma nv_diag_suppress 186

/* Launch a kernel whose threads work together: barriers, shuffles, shared memory (shared bytes of it dynamic). */
#define KERNEL_LAUNCH(kernel, grid, block, shared, stream, ...)                                    \
	kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)

/* Launch a kernel each of whose threads goes its own way. */
#define KERNEL_LAUNCH_FLAT(kernel, grid, block, stream, ...)                                       \
	kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)

/* The block's dynamic shared memory as type *name. */
#define KERNEL_SHARED(type, name)                                                                  \
	extern __shared__ __align__(16) unsigned char kernel_shared_memory[];                      \
	type *name = (type *)kernel_shared_memory

/* Before a loop over an array that is to stay in registers. */
#define KERNEL_UNROLL _Pragma("unroll")

/* What is there now, of memory that other threads change by atomic operations: a guess for atomicCAS to begin with. */
template <typename T>
static __device__ __forceinline__ T
kernel_peek(const T *from)
{
	return *(const volatile T *)from;
}

#else
#include <kernel_emulation.h>
#define KERNEL_UNROLL
#endif

enum {
	WARP = 32,
	/* Threads of a block, where a kernel does not ask for another number. */
	BLOCK = 256,
	/* Threads of a block that works alone; its kernel is KERNEL_WIDE. */
	WIDE = 1024,
	/* Most blocks of a grid-stride kernel: some for each multiprocessor of any GPU there is. */
	GRID_MOST = 4096,
};

/*
 * Before the name of a kernel that is launched in blocks of WIDE threads: they share the registers of a multiprocessor, and a
 * kernel that takes more than its part cannot be launched.
 */
#define KERNEL_WIDE __launch_bounds__(WIDE)

/* Blocks of a grid-stride kernel for that many items. */
static inline unsigned
grid_for(int64_t items)
{
	int64_t blocks = (items + BLOCK - 1) / BLOCK;
	return (unsigned)(blocks < 1 ? 1 : blocks > GRID_MOST ? GRID_MOST : blocks);
}

/* Every index below n that this thread is for. */
#define KERNEL_LOOP(i, n)                                                                          \
	for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);                  \
	     i += (int64_t)gridDim.x * blockDim.x)

/* --- 16-bit floats ------------------------------------------------------------------------------------------------- */

struct f16 {
	uint16_t bits;
};

struct bf16 {
	uint16_t bits;
};

static __device__ __forceinline__ float
bits_to_float(uint32_t bits)
{
	union {
		uint32_t bits;
		float value;
	} both = { bits };
	return both.value;
}

static __device__ __forceinline__ uint32_t
float_to_bits(float value)
{
	union {
		float value;
		uint32_t bits;
	} both = { value };
	return both.bits;
}

static __device__ __forceinline__ float
to_real(f16 x)
{
#ifdef __CUDA_ARCH__
	float value;
	__half_raw raw;
	raw.x = x.bits;
	value = __half2float(__half(raw));
	return value;
#else
	uint32_t sign = (uint32_t)(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
	if (rest >= 0x7c00)
		return bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
	/* A multiple of 2^-24 below 2^-14, else the same digits with another exponent. */
	if (rest < 0x400)
		return bits_to_float(sign | float_to_bits((float)rest * 5.9604644775390625e-8f));
	return bits_to_float(sign | ((rest << 13) + 0x38000000));
#endif
}

static __device__ __forceinline__ float
to_real(bf16 x)
{
	return bits_to_float((uint32_t)x.bits << 16);
}

static __device__ __forceinline__ float
to_real(float x)
{
	return x;
}

static __device__ __forceinline__ double
to_real(double x)
{
	return x;
}

/* The nearest value of type T, halfway to even. */
template <typename T> struct from_real;

template <> struct from_real<float> {
	static __device__ __forceinline__ float
	of(float x)
	{
		return x;
	}
};

template <> struct from_real<double> {
	static __device__ __forceinline__ double
	of(double x)
	{
		return x;
	}
};

template <> struct from_real<f16> {
	static __device__ __forceinline__ f16
	of(float x)
	{
#ifdef __CUDA_ARCH__
		__half_raw raw = __half_raw(__float2half_rn(x));
		return f16{ raw.x };
#else
		uint32_t bits = float_to_bits(x), sign = bits >> 16 & 0x8000,
			 rest = bits & 0x7fffffff;
		if (rest > 0x7f800000)
			return f16{ (uint16_t)(sign | 0x7e00) };
		if (rest >= 0x47800000)
			return f16{ (uint16_t)(sign | 0x7c00) };
		/* Below the smallest normal number: adding 0.5 leaves the digits that count, rounded. */
		if (rest < 0x38800000)
			return f16{ (uint16_t)(sign | (float_to_bits(bits_to_float(rest) + 0.5f) -
						       0x3f000000)) };
		uint32_t odd = rest >> 13 & 1;
		return f16{ (uint16_t)(sign | ((rest - 0x38000000 + 0xfff + odd) >> 13)) };
#endif
	}
};

template <> struct from_real<bf16> {
	static __device__ __forceinline__ bf16
	of(float x)
	{
		uint32_t bits = float_to_bits(x);
		if ((bits & 0x7fffffff) > 0x7f800000)
			return bf16{ (uint16_t)(bits >> 16 | 0x40) };
		return bf16{ (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16) };
	}
};

/* What elements of type T are computed in. */
template <typename T> struct real_of {
	typedef float type;
};
template <> struct real_of<double> {
	typedef double type;
};

/* Four elements that are loaded and stored at once. */
template <typename T> struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) pack4 {
	T v[4];
};

/* --- where in a tensor ---------------------------------------------------------------------------------------------- */

/* Element offsets of `operands` operands for element i of the result. */
template <int operands>
static __device__ __forceinline__ void
walk(const struct broadcast &broadcast, int64_t i, int64_t *offsets)
{
	for (int k = 0; k < operands; k++)
		offsets[k] = 0;
	if (i <= UINT32_MAX) {
		uint32_t rest = (uint32_t)i;
		for (int d = (int)broadcast.rank - 1; d >= 0; d--) {
			uint32_t dim = (uint32_t)broadcast.dims[d], at = rest % dim;
			rest /= dim;
			for (int k = 0; k < operands; k++)
				offsets[k] += at * broadcast.steps[k][d];
		}
		return;
	}
	for (int d = (int)broadcast.rank - 1; d >= 0; d--) {
		int64_t at = i % broadcast.dims[d];
		i /= broadcast.dims[d];
		for (int k = 0; k < operands; k++)
			offsets[k] += at * broadcast.steps[k][d];
	}
}

/* Tell that an index does not fit, once. */
static __device__ __forceinline__ void
report_fault(struct cuda_fault *fault, uint64_t where, int64_t index, int64_t limit)
{
	fault->index = index;
	fault->limit = limit;
	__threadfence_system();
	fault->where = where;
}

/* An index that may count from the end, as 0 … limit-1; an unfit one is reported and becomes 0. */
static __device__ __forceinline__ int64_t
check_index(int64_t index, int64_t limit, struct cuda_fault *fault, uint64_t where)
{
	int64_t fit = index < 0 ? index + limit : index;
	if (fit >= 0 && fit < limit)
		return fit;
	report_fault(fault, where, index, limit);
	return 0;
}

/* Element i of INT32 or INT64 data. */
static __device__ __forceinline__ int64_t
load_index(const void *data, bool is_long, int64_t i)
{
	return is_long ? ((const int64_t *)data)[i] : ((const int32_t *)data)[i];
}

/* --- sums over a block ---------------------------------------------------------------------------------------------- */

/* How two partial results become one. */
struct add_up {
	template <typename R>
	__device__ __forceinline__ R
	operator()(R a, R b) const
	{
		return a + b;
	}
};

/* NaN passes on. */
struct larger {
	template <typename R>
	__device__ __forceinline__ R
	operator()(R a, R b) const
	{
		return b > a || b != b ? b : a;
	}
};

/* The threads' values as one, in every thread. All threads of the block call it; scratch: WARP entries of shared memory. */
template <typename R, typename F>
static __device__ __forceinline__ R
block_reduce(R value, F f, R *scratch)
{
	for (int step = WARP / 2; step > 0; step /= 2)
		value = f(value, __shfl_xor_sync(0xffffffffU, value, step));
	unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
	__syncthreads();
	if (lane == 0)
		scratch[warp] = value;
	__syncthreads();
	R total = scratch[0];
	for (unsigned i = 1; i < blockDim.x / WARP; i++)
		total = f(total, scratch[i]);
	return total;
}

/* --- runs ------------------------------------------------------------------------------------------------------------ */

/* Where a run's kernels go. */
static inline cudaStream_t
stream_of(const struct operands *operands)
{
	return cuda_op_compute(operands)->stream;
}

/* A run's label as struct cuda_fault wants it. */
static inline uint64_t
label_of(const struct operands *operands)
{
	return ~(uint64_t)(uintptr_t)operands->label;
}

/* What a run that has launched kernels returns. */
static inline int
launched(const struct operands *operands, const char *kernel)
{
	return cuda_op_launched(operands, cudaGetLastError(), kernel);
}

/* UNIMPLEMENTED cannot come from a run: the table of runs promises that the host's kernel has no more types than these. */
#define KERNEL_UNREACHABLE assert(false)
