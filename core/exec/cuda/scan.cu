/* CumSum: sums of all elements so far along an axis. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/cuda/scan.h"
#include "exec/op_sequence.h"
}

enum {
	/* Rows of no more elements are for a thread each. */
	SHORT = 64,
	/* Consecutive elements of a thread. */
	EACH = SCAN_PART / BLOCK,
};

/* What elements are added up in: integers wrap. */
template <typename T> struct sum_of {
	typedef typename wrap_of<T>::type type;
};
template <> struct sum_of<float> {
	typedef float type;
};
template <> struct sum_of<double> {
	typedef double type;
};

/* A row's parts: element i of it is from[i * step], from the end in reverse. */
struct scan {
	struct axis axis;
	bool exclusive;
	bool reverse;
	/* Of a row. */
	int64_t parts;
};

static __device__ __forceinline__ int64_t
place_in(const struct scan &scan, int64_t row, int64_t i)
{
	const struct axis &axis = scan.axis;
	int64_t first = row / axis.inner * axis.dim * axis.inner + row % axis.inner;
	return first + (scan.reverse ? axis.dim - 1 - i : i) * axis.inner;
}

/* A thread a row, in the order in which the host adds. */
template <typename T>
static __global__ void
rows_kernel(struct scan scan, const T *in, T *out)
{
	typedef typename sum_of<T>::type R;
	KERNEL_LOOP(row, scan.axis.outer * scan.axis.inner)
	{
		R sum = 0;
		for (int64_t k = 0; k < scan.axis.dim; k++) {
			int64_t at = place_in(scan, row, k);
			R next = sum + R(in[at]);
			out[at] = T(scan.exclusive ? sum : next);
			sum = next;
		}
	}
}

/* A block a part: its sum. */
template <typename T>
static __global__ void
parts_kernel(struct scan scan, const T *in, typename sum_of<T>::type *sums)
{
	typedef typename sum_of<T>::type R;
	__shared__ R scratch[WARP];
	for (int64_t part = blockIdx.x; part < scan.axis.outer * scan.axis.inner * scan.parts;
	     part += gridDim.x) {
		int64_t first = part % scan.parts * SCAN_PART;
		R sum = 0;
		for (int64_t i = first + threadIdx.x; i < first + SCAN_PART && i < scan.axis.dim;
		     i += blockDim.x)
			sum += R(in[place_in(scan, part / scan.parts, i)]);
		sum = block_reduce(sum, add_up(), scratch);
		if (threadIdx.x == 0)
			sums[part] = sum;
	}
}

/* What the threads before this one have, together. */
template <typename R>
static __device__ __forceinline__ R
sum_before(R own, R *scratch)
{
	unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
	R sum = own, before = 0;
	for (unsigned step = 1; step < WARP; step *= 2) {
		R other = __shfl_up_sync(0xffffffffU, sum, step);
		sum += lane >= step ? other : R(0);
	}
	__syncthreads();
	if (lane == WARP - 1)
		scratch[warp] = sum;
	__syncthreads();
	for (unsigned i = 0; i < warp; i++)
		before += scratch[i];
	R left = __shfl_up_sync(0xffffffffU, sum, 1);
	return before + (lane == 0 ? R(0) : left);
}

/* A block a part: the sum of the parts before it, then its elements', a thread some that lie side by side. */
template <typename T>
static __global__ void
scan_kernel(struct scan scan, const T *in, const typename sum_of<T>::type *sums, T *out)
{
	typedef typename sum_of<T>::type R;
	__shared__ R scratch[WARP];
	for (int64_t part = blockIdx.x; part < scan.axis.outer * scan.axis.inner * scan.parts;
	     part += gridDim.x) {
		int64_t row = part / scan.parts, own = part % scan.parts;
		int64_t first = own * SCAN_PART + threadIdx.x * EACH,
			end = min(first + EACH, scan.axis.dim);
		R before = 0, sum = 0;
		for (int64_t i = threadIdx.x; i < own; i += blockDim.x)
			before += sums[part - own + i];
		before = block_reduce(before, add_up(), scratch);
		for (int64_t i = first; i < end; i++)
			sum += R(in[place_in(scan, row, i)]);
		sum = before + sum_before(sum, scratch);
		for (int64_t i = first; i < end; i++) {
			int64_t at = place_in(scan, row, i);
			R next = sum + R(in[at]);
			out[at] = T(scan.exclusive ? sum : next);
			sum = next;
		}
		__syncthreads();
	}
}

template <typename T>
static void
put_scan(const struct scan *scan, const struct operands *operands)
{
	typedef typename sum_of<T>::type R;
	const T *in = (const T *)operands->inputs[0];
	T *out = (T *)operands->outputs[0];
	R *sums = (R *)operands->scratch;
	int64_t rows = scan->axis.outer * scan->axis.inner, parts = rows * scan->parts;
	unsigned grid = (unsigned)(parts > GRID_MOST ? GRID_MOST : parts);
	if (scan->axis.dim <= SHORT) {
		KERNEL_LAUNCH_FLAT(rows_kernel<T>, grid_for(rows), BLOCK, stream_of(operands),
				   *scan, in, out);
		return;
	}
	if (scan->parts > 1)
		KERNEL_LAUNCH(parts_kernel<T>, grid, BLOCK, 0, stream_of(operands), *scan, in,
			      sums);
	KERNEL_LAUNCH(scan_kernel<T>, grid, BLOCK, 0, stream_of(operands), *scan, in,
		      (const R *)sums, out);
}

extern "C" int
cuda_scan_run(const void *state, const struct operands *operands)
{
	const struct cumsum *cumsum = (const struct cumsum *)state;
	struct scan scan = { cumsum->axis, cumsum->exclusive, cumsum->reverse,
			     scan_parts(&cumsum->axis) };
	switch (cumsum->data_type) {
#define X(N, type, ...)                                                                            \
	case DATA_TYPE_##N:                                                                        \
		put_scan<type>(&scan, operands);                                                   \
		break;
		INTEGERS(X)
		X(FLOAT, float)
		X(DOUBLE, double)
#undef X
	default:
		KERNEL_UNREACHABLE;
	}
	return launched(operands, "scan_kernel");
}
