/* Element-wise kernels of two and three tensors with broadcast, and conversions. */
#include "exec/cuda/number.cuh"
#include "exec/narrow.h"

/* --- two operands ------------------------------------------------------------------------------------------------------ */

template <typename R>
static __device__ __forceinline__ bool
compare(enum row_binary function, R x, R y)
{
	switch (function) {
	case ROW_EQUAL:
		return x == y;
	case ROW_LESS:
		return x < y;
	case ROW_LESS_OR_EQUAL:
		return x <= y;
	case ROW_GREATER:
		return x > y;
	default:
		return x >= y;
	}
}

/* How the two operands are walked. */
enum {
	/* Each element by element, or one value of it for all. */
	EVEN,
	/* As the broadcast says. */
	WALKED,
};

template <typename T, int way>
static __global__ void
binary_kernel(enum row_binary function, struct broadcast broadcast, const T *a, const T *b, T *out,
	      int64_t n)
{
	typedef typename number<T>::type R;
	typedef typename number<T>::kind K;
	KERNEL_LOOP(i, n)
	{
		int64_t at[2] = { i * broadcast.steps[0][0], i * broadcast.steps[1][0] };
		if (way == WALKED)
			walk<2>(broadcast, i, at);
		R x = number<T>::load(a[at[0]]), y = number<T>::load(b[at[1]]);
		out[i] = number<T>::store(of_two(function, x, y, (const K *)0));
	}
}

template <typename T, int way>
static __global__ void
compare_kernel(enum row_binary function, struct broadcast broadcast, const T *a, const T *b,
	       uint8_t *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at[2] = { i * broadcast.steps[0][0], i * broadcast.steps[1][0] };
		if (way == WALKED)
			walk<2>(broadcast, i, at);
		out[i] = compare(function, number<T>::load(a[at[0]]), number<T>::load(b[at[1]]));
	}
}

static int64_t
elements_of(const struct broadcast *broadcast)
{
	return broadcast->rows * broadcast->dims[broadcast->rank - 1];
}

template <typename T, int way>
static void
launch_binary(cudaStream_t stream, enum row_binary function, const struct broadcast *broadcast,
	      const void *a, const void *b, void *out)
{
	int64_t n = elements_of(broadcast);
	bool compares = function >= ROW_EQUAL && function <= ROW_GREATER_OR_EQUAL;
	if (compares)
		KERNEL_LAUNCH_FLAT((compare_kernel<T, way>), grid_for(n), BLOCK, stream, function,
				   *broadcast, (const T *)a, (const T *)b, (uint8_t *)out, n);
	else
		KERNEL_LAUNCH_FLAT((binary_kernel<T, way>), grid_for(n), BLOCK, stream, function,
				   *broadcast, (const T *)a, (const T *)b, (T *)out, n);
}

extern "C" cudaError_t
kernel_binary(cudaStream_t stream, enum row_binary function, enum data_type data_type,
	      const struct broadcast *broadcast, const void *a, const void *b, void *out)
{
	switch (data_type) {
#define X(N, type, ...)                                                                            \
	case DATA_TYPE_##N:                                                                        \
		(broadcast->rank == 1                                                              \
			 ? launch_binary<type, EVEN>                                               \
			 : launch_binary<type, WALKED>)(stream, function, broadcast, a, b, out);   \
		break;
		INTEGERS(X)
		X(BOOL, uint8_t)
		X(FLOAT, float)
		X(DOUBLE, double)
		X(FLOAT16, f16)
		X(BFLOAT16, bf16)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

template <typename T>
static __global__ void
where_kernel(struct broadcast broadcast, const uint8_t *condition, const T *a, const T *b, T *out,
	     int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at[3];
		walk<3>(broadcast, i, at);
		out[i] = condition[at[0]] ? a[at[1]] : b[at[2]];
	}
}

extern "C" cudaError_t
kernel_where(cudaStream_t stream, size_t element_bytes, const struct broadcast *broadcast,
	     const void *condition, const void *a, const void *b, void *out)
{
	int64_t n = elements_of(broadcast);
	switch (element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(where_kernel<type>, grid_for(n), BLOCK, stream, *broadcast,     \
				   (const uint8_t *)condition, (const type *)a, (const type *)b,   \
				   (type *)out, n);                                                \
		break;
		SIZES(X)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

template <typename T>
static __global__ void
fill_kernel(T *out, int64_t n, T value)
{
	KERNEL_LOOP(i, n)
	out[i] = value;
}

extern "C" cudaError_t
kernel_fill(cudaStream_t stream, size_t element_bytes, void *out, int64_t n, uint64_t value)
{
	switch (element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(fill_kernel<type>, grid_for(n), BLOCK, stream, (type *)out, n,  \
				   (type)value);                                                   \
		break;
		SIZES(X)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

/* --- conversions -------------------------------------------------------------------------------------------------------- */

static __global__ void
cast_kernel(enum data_type to, void *out, enum data_type from, const void *in, int64_t n)
{
	KERNEL_LOOP(i, n)
	store_any(to, out, i, from, load_any(from, in, i));
}

template <typename TO, typename FROM>
static __global__ void
convert_kernel(TO *out, const FROM *in, int64_t n)
{
	KERNEL_LOOP(i, n)
	out[i] = from_real<TO>::of(to_real(in[i]));
}

extern "C" cudaError_t
kernel_cast(cudaStream_t stream, enum data_type to, void *out, enum data_type from, const void *in,
	    int64_t n)
{
	/* What 16-bit models convert all the time. */
	if (from == DATA_TYPE_FLOAT && to == DATA_TYPE_FLOAT16)
		KERNEL_LAUNCH_FLAT((convert_kernel<f16, float>), grid_for(n), BLOCK, stream,
				   (f16 *)out, (const float *)in, n);
	else if (from == DATA_TYPE_FLOAT16 && to == DATA_TYPE_FLOAT)
		KERNEL_LAUNCH_FLAT((convert_kernel<float, f16>), grid_for(n), BLOCK, stream,
				   (float *)out, (const f16 *)in, n);
	else
		KERNEL_LAUNCH_FLAT(cast_kernel, grid_for(n), BLOCK, stream, to, out, from, in, n);
	return cudaGetLastError();
}

static __global__ void
widen_blocks_kernel(float *out, const float *scales, const int8_t *values, int64_t n)
{
	KERNEL_LOOP(i, n)
	out[i] = scales[i / NARROW_BLOCK] * (float)values[i];
}

extern "C" cudaError_t
kernel_widen_blocks(cudaStream_t stream, float *out, const void *from, int64_t n)
{
	const float *scales = (const float *)from;
	const int8_t *values = (const int8_t *)(scales + (n + NARROW_BLOCK - 1) / NARROW_BLOCK);
	KERNEL_LAUNCH_FLAT(widen_blocks_kernel, grid_for(n), BLOCK, stream, out, scales, values, n);
	return cudaGetLastError();
}
