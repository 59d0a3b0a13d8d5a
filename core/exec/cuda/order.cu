/* Kernels that compare and put in order along an axis: ArgMax, TopK, CumSum; and judge elements one by one. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_arg.h"
#include "exec/op_select.h"
#include "exec/op_sequence.h"
#include "exec/op_sort.h"
}

enum {
	/* From here on a whole block works on one row. */
	MANY = 128,
};

/* --- ArgMax, ArgMin ------------------------------------------------------------------------------------------------------ */

template <typename T>
static __device__ __forceinline__ bool
is_better(const struct arg &arg, T x, int64_t i, T old, int64_t at)
{
	/* The first element is never given up when it is NaN, others are never taken. */
	if ((arg.smallest ? x < old : x > old) || (old != old && at != 0 && x == x))
		return true;
	return x == old && (arg.last ? i > at : i < at);
}

/* A block a row: each thread has its best, thread 0 the best of those. Thread 0 begins with the first element, NaN or not. */
template <typename T>
static __global__ void
arg_kernel(struct arg arg, const T *in, int64_t *out)
{
	__shared__ int64_t best_of[MANY];
	for (int64_t row = blockIdx.x; row < arg.outer * arg.inner; row += gridDim.x) {
		const T *from = in + row / arg.inner * arg.dim * arg.inner + row % arg.inner;
		int64_t best = threadIdx.x < arg.dim ? threadIdx.x : 0;
		for (int64_t i = best + blockDim.x; i < arg.dim; i += blockDim.x)
			if (is_better(arg, from[i * arg.inner], i, from[best * arg.inner], best))
				best = i;
		best_of[threadIdx.x] = best;
		__syncthreads();
		for (unsigned k = 1; threadIdx.x == 0 && k < blockDim.x; k++) {
			int64_t i = best_of[k];
			if (is_better(arg, from[i * arg.inner], i, from[best * arg.inner], best))
				best = i;
		}
		if (threadIdx.x == 0)
			out[row] = best;
		__syncthreads();
	}
}

template <typename T>
static void
put_arg(const struct arg *arg, const struct operands *operands)
{
	int64_t rows = arg->outer * arg->inner;
	unsigned grid = (unsigned)(rows > GRID_MOST ? GRID_MOST : rows);
	KERNEL_LAUNCH(arg_kernel<T>, grid, arg->dim < MANY ? (int)WARP : (int)MANY, 0,
		      stream_of(operands), *arg, (const T *)operands->inputs[0],
		      (int64_t *)operands->outputs[0]);
}

extern "C" int
cuda_order_arg(const void *state, const struct operands *operands)
{
	const struct arg *arg = (const struct arg *)state;
	switch (arg->data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		put_arg<type>(arg, operands);                                                      \
		break;
		X(FLOAT, float)
		X(DOUBLE, double)
		X(INT32, int32_t)
		X(INT64, int64_t)
		X(INT8, int8_t)
		X(UINT8, uint8_t)
		X(UINT32, uint32_t)
		X(UINT64, uint64_t)
#undef X
	default:
		KERNEL_UNREACHABLE;
	}
	return launched(operands, "arg_kernel");
}

/* --- TopK ------------------------------------------------------------------------------------------------------------------- */

/* Does x at index i come before y at index j? NaN counts as largest, equal ones go by index. */
template <typename T>
static __device__ __forceinline__ bool
before(bool largest, T x, int64_t i, T y, int64_t j)
{
	bool x_nan = x != x, y_nan = y != y;
	if (x_nan != y_nan)
		return x_nan == largest;
	if (x == y || x_nan)
		return i < j;
	return largest ? x > y : x < y;
}

/*
 * A block a row. The next one in order is the first of those that come after the last: k times through the row, which
 * for the few that are wanted is less than sorting it.
 */
template <typename T>
static __global__ void
topk_kernel(struct topk topk, const T *in, T *values, int64_t *indices)
{
	__shared__ int64_t first_of[BLOCK];
	const struct axis &axis = topk.axis;
	for (int64_t row = blockIdx.x; row < axis.outer * axis.inner; row += gridDim.x) {
		const T *from = in + row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		int64_t to = row / axis.inner * topk.k * axis.inner + row % axis.inner;
		int64_t last = -1;
		for (int64_t n = 0; n < topk.k; n++, to += axis.inner) {
			int64_t first = -1;
			for (int64_t i = threadIdx.x; i < axis.dim; i += blockDim.x) {
				T x = from[i * axis.inner];
				if (last >= 0 &&
				    !before(topk.largest, from[last * axis.inner], last, x, i))
					continue;
				if (first < 0 ||
				    before(topk.largest, x, i, from[first * axis.inner], first))
					first = i;
			}
			first_of[threadIdx.x] = first;
			for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
				__syncthreads();
				if (threadIdx.x >= half)
					continue;
				int64_t i = first_of[threadIdx.x], j = first_of[threadIdx.x + half];
				if (j >= 0 && (i < 0 || before(topk.largest, from[j * axis.inner],
							       j, from[i * axis.inner], i)))
					first_of[threadIdx.x] = j;
			}
			__syncthreads();
			last = first_of[0];
			__syncthreads();
			if (threadIdx.x == 0 && values != NULL)
				values[to] = from[last * axis.inner];
			if (threadIdx.x == 0 && indices != NULL)
				indices[to] = last;
		}
	}
}

template <typename T>
static void
put_topk(const struct topk *topk, const struct operands *operands)
{
	int64_t rows = topk->axis.outer * topk->axis.inner;
	unsigned grid = (unsigned)(rows > GRID_MOST ? GRID_MOST : rows);
	KERNEL_LAUNCH(topk_kernel<T>, grid, topk->axis.dim < BLOCK ? (int)WARP : (int)BLOCK, 0,
		      stream_of(operands), *topk, (const T *)operands->inputs[0],
		      topk->wants_values ? (T *)operands->outputs[0] : NULL,
		      topk->wants_indices ? (int64_t *)operands->outputs[1] : NULL);
}

extern "C" int
cuda_order_topk(const void *state, const struct operands *operands)
{
	const struct topk *topk = (const struct topk *)state;
	switch (topk->data_type) {
#define X(N, type, ...)                                                                            \
	case DATA_TYPE_##N:                                                                        \
		put_topk<type>(topk, operands);                                                    \
		break;
		INTEGERS(X)
		X(FLOAT, float)
		X(DOUBLE, double)
#undef X
	default:
		KERNEL_UNREACHABLE;
	}
	return launched(operands, "topk_kernel");
}

/* --- CumSum ------------------------------------------------------------------------------------------------------------------ */

/* A thread a row, in the order in which the host adds. */
template <typename T>
static __global__ void
cumsum_kernel(struct axis axis, bool exclusive, bool reverse, const T *in, T *out)
{
	typedef typename number<T>::type R;
	typedef typename number<T>::kind K;
	KERNEL_LOOP(row, axis.outer * axis.inner)
	{
		int64_t base = row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		R sum = 0;
		for (int64_t k = 0; k < axis.dim; k++) {
			int64_t at = base + (reverse ? axis.dim - 1 - k : k) * axis.inner;
			R next = of_two(ROW_ADD, sum, number<T>::load(in[at]), (const K *)0);
			out[at] = number<T>::store(exclusive ? sum : next);
			sum = next;
		}
	}
}

extern "C" int
cuda_order_cumsum(const void *state, const struct operands *operands)
{
	const struct cumsum *cumsum = (const struct cumsum *)state;
	int64_t rows = cumsum->axis.outer * cumsum->axis.inner;
	switch (cumsum->data_type) {
#define X(N, type, ...)                                                                            \
	case DATA_TYPE_##N:                                                                        \
		KERNEL_LAUNCH_FLAT(cumsum_kernel<type>, grid_for(rows), BLOCK,                     \
				   stream_of(operands), cumsum->axis, cumsum->exclusive,           \
				   cumsum->reverse, (const type *)operands->inputs[0],             \
				   (type *)operands->outputs[0]);                                  \
		break;
		INTEGERS(X)
		X(FLOAT, float)
		X(DOUBLE, double)
#undef X
	default:
		KERNEL_UNREACHABLE;
	}
	return launched(operands, "cumsum_kernel");
}

/* --- BitShift ------------------------------------------------------------------------------------------------------------------ */

template <typename T>
static __global__ void
shift_kernel(struct broadcast broadcast, bool left, const T *a, const T *b, T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at[2];
		walk<2>(broadcast, i, at);
		uint64_t value = a[at[0]], by = b[at[1]];
		out[i] = T(by >= 64 ? 0 : left ? value << by : value >> by);
	}
}

extern "C" int
cuda_order_shift(const void *state, const struct operands *operands)
{
	const struct shift *shift = (const struct shift *)state;
	int64_t n = shift->broadcast.rows * shift->broadcast.dims[shift->broadcast.rank - 1];
	switch (data_type_bytes(shift->data_type)) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(                                                                \
			shift_kernel<type>, grid_for(n), BLOCK, stream_of(operands),               \
			shift->broadcast, shift->left, (const type *)operands->inputs[0],          \
			(const type *)operands->inputs[1], (type *)operands->outputs[0], n);       \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "shift_kernel");
}

/* --- IsNaN, IsInf, Shrink -------------------------------------------------------------------------------------------------------- */

enum judgement {
	JUDGE_NAN,
	JUDGE_INF,
	JUDGE_SHRINK,
};

static __global__ void
judge_kernel(struct judge judge, enum judgement what, const void *in, void *out)
{
	KERNEL_LOOP(i, judge.elements)
	{
		double x = load_any(judge.data_type, in, i).real;
		if (what == JUDGE_NAN) {
			((uint8_t *)out)[i] = x != x;
		} else if (what == JUDGE_INF) {
			((uint8_t *)out)[i] = (judge.negative && x == -INFINITY) ||
					      (judge.positive && x == INFINITY);
		} else {
			double small = x < -judge.lambda  ? x + judge.bias
				       : x > judge.lambda ? x - judge.bias
							  : 0;
			store_any(judge.data_type, out, i, DATA_TYPE_DOUBLE,
				  any_number{ small, 0, false });
		}
	}
}

static int
put_judge(const void *state, const struct operands *operands, enum judgement what)
{
	const struct judge *judge = (const struct judge *)state;
	KERNEL_LAUNCH_FLAT(judge_kernel, grid_for(judge->elements), BLOCK, stream_of(operands),
			   *judge, what, operands->inputs[0], operands->outputs[0]);
	return launched(operands, "judge_kernel");
}

extern "C" int
cuda_order_is_nan(const void *state, const struct operands *operands)
{
	return put_judge(state, operands, JUDGE_NAN);
}

extern "C" int
cuda_order_is_inf(const void *state, const struct operands *operands)
{
	return put_judge(state, operands, JUDGE_INF);
}

extern "C" int
cuda_order_shrink(const void *state, const struct operands *operands)
{
	return put_judge(state, operands, JUDGE_SHRINK);
}
