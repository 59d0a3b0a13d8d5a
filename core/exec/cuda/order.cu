/* Kernels that compare and put in order along an axis: ArgMax, TopK; and judge elements one by one. */
#include "exec/cuda/number.cuh"
#include "exec/cuda/order.cuh"

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

enum {
	/* Digits of keys, and how many values one has. */
	DIGIT_BITS = 8,
	DIGITS = 1 << DIGIT_BITS,
	/* Elements that are sorted in shared memory. */
	SORT_SHARED = 2048,
};

/* A number as bits whose order, as unsigned ones, is the numbers' order; NaNs are one number, the largest, and so are zeros. */
template <typename T>
static __device__ __forceinline__ uint64_t
key_of(T x)
{
	/* Of a signed number the top bit is the other way round. */
	uint64_t top = T(-1) < T(0) ? UINT64_C(1) << (8 * sizeof(T) - 1) : 0;
	uint64_t all = ~UINT64_C(0) >> (64 - 8 * sizeof(T));
	return ((uint64_t)x & all) ^ top;
}

static __device__ __forceinline__ uint64_t
key_of(float x)
{
	uint32_t bits = x == 0 ? 0 : float_to_bits(x);
	if (x != x)
		return UINT32_MAX;
	return (bits >> 31) != 0 ? ~bits : bits | 0x80000000;
}

static __device__ __forceinline__ uint64_t
key_of(double x)
{
	uint64_t bits = x == 0 ? 0 : (uint64_t)__double_as_longlong(x);
	if (x != x)
		return UINT64_MAX;
	return (bits >> 63) != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

/* One row, its elements' keys such that the larger one comes first. */
template <typename T> struct topk_row {
	const T *from;
	int64_t step;
	int64_t dim;
	uint64_t flip;

	__device__ __forceinline__ uint64_t
	key(int64_t i) const
	{
		return key_of(from[i * step]) ^ flip;
	}

	/* Does element a come before element b? Equal ones go by index. */
	__device__ __forceinline__ bool
	operator()(int64_t a, int64_t b) const
	{
		uint64_t x = key(a), y = key(b);
		return x != y ? x > y : a < b;
	}
};

/* Of the keys that are looked for, which is the k-th in order, and how many with that very key are among the k. */
struct selected {
	uint64_t key;
	int64_t ties;
};

/*
 * Digit by digit from the top: count the digits of those whose upper ones are as found so far, then go to the one in which
 * the k-th is. All threads of the block, which all get the result.
 */
template <typename T>
static __device__ struct selected
select_key(const struct topk_row<T> &row, int64_t k)
{
	__shared__ unsigned counts[DIGITS];
	__shared__ struct selected found;
	if (threadIdx.x == 0)
		found = selected{ 0, k };
	for (int shift = 8 * (int)sizeof(T) - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
		for (int i = (int)threadIdx.x; i < DIGITS; i += (int)blockDim.x)
			counts[i] = 0;
		__syncthreads();
		/* Twice, since all bits of a number cannot be shifted out at once. */
		uint64_t upper = found.key >> shift >> DIGIT_BITS;
		for (int64_t i = threadIdx.x; i < row.dim; i += blockDim.x) {
			uint64_t key = row.key(i) >> shift;
			if (key >> DIGIT_BITS == upper)
				atomicAdd(&counts[key % DIGITS], 1U);
		}
		__syncthreads();
		if (threadIdx.x == 0) {
			int digit = DIGITS - 1;
			for (; digit > 0 && counts[digit] < found.ties; digit--)
				found.ties -= counts[digit];
			found.key |= (uint64_t)digit << shift;
		}
		__syncthreads();
	}
	return found;
}

/* How many threads before this one say so, of how many in all. Threads of the block, all; scratch: WARP + 1 entries. */
static __device__ __forceinline__ unsigned
rank_of(bool said, unsigned *scratch, unsigned *all)
{
	unsigned votes = __ballot_sync(0xffffffffU, said);
	unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, before = 0;
	__syncthreads();
	if (lane == 0)
		scratch[warp] = (unsigned)__popc(votes);
	__syncthreads();
	*all = 0;
	for (unsigned i = 0; i < blockDim.x / WARP; i++) {
		before += i < warp ? scratch[i] : 0;
		*all += scratch[i];
	}
	return before + (unsigned)__popc(votes & ((1U << lane) - 1));
}

/* Indices of the k first elements, those with the last one's key by index; the others in any order. */
template <typename T>
static __device__ void
gather_first(const struct topk_row<T> &row, int64_t k, int64_t *order)
{
	__shared__ unsigned long long above;
	__shared__ unsigned scratch[WARP];
	struct selected last = select_key(row, k);
	if (threadIdx.x == 0)
		above = 0;
	int64_t tied = 0, first_tie = k - last.ties;
	__syncthreads();
	for (int64_t base = 0; base < row.dim; base += blockDim.x) {
		int64_t i = base + threadIdx.x;
		uint64_t key = i < row.dim ? row.key(i) : 0;
		bool ties = i < row.dim && key == last.key;
		unsigned all = 0, rank = 0;
		if (i < row.dim && key > last.key)
			order[atomicAdd(&above, 1ULL)] = i;
		if (tied < last.ties)
			rank = rank_of(ties, scratch, &all);
		if (ties && tied + rank < last.ties)
			order[first_tie + tied + rank] = i;
		tied += all;
	}
	__syncthreads();
}

/* A block a row: find the k first, then put them in order. */
template <typename T>
static __global__ void
topk_kernel(struct topk topk, const T *in, int64_t *scratch, T *values, int64_t *indices)
{
	__shared__ int64_t near[SORT_SHARED];
	const struct axis &axis = topk.axis;
	for (int64_t row = blockIdx.x; row < axis.outer * axis.inner; row += gridDim.x) {
		const T *from = in + row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		int64_t to = row / axis.inner * topk.k * axis.inner + row % axis.inner;
		struct topk_row<T> keys = {
			from, axis.inner, axis.dim,
				topk.largest ? 0 : ~UINT64_C(0) >> (64 - 8 * sizeof(T))
		};
		int64_t *order = topk.k <= SORT_SHARED ? near : scratch + row * topk.k;
		gather_first(keys, topk.k, order);
		block_sort(order, topk.k, keys);
		for (int64_t i = threadIdx.x; i < topk.k; i += blockDim.x) {
			if (values != NULL)
				values[to + i * axis.inner] = from[order[i] * axis.inner];
			if (indices != NULL)
				indices[to + i * axis.inner] = order[i];
		}
		__syncthreads();
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
		      (int64_t *)operands->scratch,
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
