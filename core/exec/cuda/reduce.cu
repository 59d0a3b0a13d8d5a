/* Kernels that make one number of many: reductions, softmaxes. */
#include "exec/cuda/cells.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_reduce.h"
#include "exec/op_softmax.h"
}

enum {
	/* From here on a whole block works on one result. */
	MANY = 64,
};

/* --- reductions ---------------------------------------------------------------------------------------------------------- */

static struct cells
cells_of(const struct reduce *reduce)
{
	struct cells cells = {};
	int64_t step = 1, steps[TENSOR_MAX_RANK];
	for (uint32_t i = reduce->rank; i-- > 0;) {
		steps[i] = step;
		step *= reduce->dims[i];
	}
	for (uint32_t i = 0; i < reduce->rank; i++) {
		bool kept = reduce->steps[i] != 0;
		uint32_t k = kept ? cells.kept++ : cells.reduced++;
		(kept ? cells.kept_dims : cells.reduced_dims)[k] = reduce->dims[i];
		(kept ? cells.kept_steps : cells.reduced_steps)[k] = steps[i];
	}
	cells.results = reduce->outputs;
	cells.count = reduce->count;
	return cells;
}

/* What totals of an element type are kept in: integers wrap, so the widest one serves all. */
template <typename T> struct total_of {
	typedef int64_t type;
};
template <> struct total_of<float> {
	typedef float type;
};
template <> struct total_of<double> {
	typedef double type;
};
template <> struct total_of<uint64_t> {
	typedef uint64_t type;
};

template <typename R> struct combine {
	enum combination how;

	__device__ __forceinline__ R
	begin(R smallest, R largest) const
	{
		switch (how) {
		case COMBINE_PROD:
			return 1;
		case COMBINE_MAX:
			return smallest;
		case COMBINE_MIN:
			return largest;
		default:
			return 0;
		}
	}

	/* Two totals. */
	__device__ __forceinline__ R
	operator()(R a, R b) const
	{
		switch (how) {
		case COMBINE_PROD:
			return a * b;
		case COMBINE_MAX:
			return b > a || b != b ? b : a;
		case COMBINE_MIN:
			return b < a || b != b ? b : a;
		default:
			return a + b;
		}
	}

	/* What an element counts as. */
	__device__ __forceinline__ R
	element(R x) const
	{
		return how == COMBINE_SQUARE ? x * x : how == COMBINE_ABSOLUTE && x < 0 ? -x : x;
	}
};

template <typename R> struct bounds {
	static __device__ __forceinline__ R
	smallest()
	{
		return R(-INFINITY);
	}
	static __device__ __forceinline__ R
	largest()
	{
		return R(INFINITY);
	}
};
template <> struct bounds<int64_t> {
	static __device__ __forceinline__ int64_t
	smallest()
	{
		return INT64_MIN;
	}
	static __device__ __forceinline__ int64_t
	largest()
	{
		return INT64_MAX;
	}
};
template <> struct bounds<uint64_t> {
	static __device__ __forceinline__ uint64_t
	smallest()
	{
		return 0;
	}
	static __device__ __forceinline__ uint64_t
	largest()
	{
		return UINT64_MAX;
	}
};

template <typename T, typename R>
static __device__ __forceinline__ T
finish(enum finish how, R total, int64_t count)
{
	T result = T(total);
	switch (how) {
	case FINISH_MEAN:
		return T(double(result) / double(count));
	case FINISH_ROOT:
		return T(sqrt(double(result)));
	case FINISH_LOG:
		return T(log(double(result)));
	default:
		return result;
	}
}

/* A block a result: its threads go through the elements side by side. */
template <typename T>
static __global__ void
reduce_kernel(struct cells cells, enum combination how, enum finish end, const T *in, T *out)
{
	typedef typename total_of<T>::type R;
	__shared__ R scratch[WARP];
	combine<R> f = { how };
	for (int64_t o = blockIdx.x; o < cells.results; o += gridDim.x) {
		const T *from = in + place_of(cells.kept, cells.kept_dims, cells.kept_steps, o);
		R total = f.begin(bounds<R>::smallest(), bounds<R>::largest());
		for (int64_t i = threadIdx.x; i < cells.count; i += blockDim.x)
			total = f(total,
				  f.element(R(from[place_of(cells.reduced, cells.reduced_dims,
							    cells.reduced_steps, i)])));
		total = block_reduce(total, f, scratch);
		if (threadIdx.x == 0)
			out[o] = finish<T>(end, total, cells.count);
	}
}

/* A thread a result: neighbours read neighbours when the last dimension stays. */
template <typename T>
static __global__ void
fold_kernel(struct cells cells, enum combination how, enum finish end, const T *in, T *out)
{
	typedef typename total_of<T>::type R;
	combine<R> f = { how };
	KERNEL_LOOP(o, cells.results)
	{
		const T *from = in + place_of(cells.kept, cells.kept_dims, cells.kept_steps, o);
		R total = f.begin(bounds<R>::smallest(), bounds<R>::largest());
		for (int64_t i = 0; i < cells.count; i++)
			total = f(total,
				  f.element(R(from[place_of(cells.reduced, cells.reduced_dims,
							    cells.reduced_steps, i)])));
		out[o] = finish<T>(end, total, cells.count);
	}
}

template <typename T>
static void
put_reduce(const struct reduce *reduce, const struct operands *operands)
{
	struct cells cells = cells_of(reduce);
	const T *in = (const T *)operands->inputs[0];
	T *out = (T *)operands->outputs[0];
	bool rows = reduce->steps[reduce->rank - 1] == 0;
	if (cells.count >= MANY && (rows || cells.results < GRID_MOST))
		KERNEL_LAUNCH(reduce_kernel<T>, grid_of(cells.results), BLOCK, 0,
			      stream_of(operands), cells, reduce->combination, reduce->finish, in,
			      out);
	else
		KERNEL_LAUNCH_FLAT(fold_kernel<T>, grid_for(cells.results), BLOCK,
				   stream_of(operands), cells, reduce->combination, reduce->finish,
				   in, out);
}

extern "C" int
cuda_reduce_run(const void *state, const struct operands *operands)
{
	const struct reduce *reduce = (const struct reduce *)state;
	switch (reduce->data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		put_reduce<type>(reduce, operands);                                                \
		break;
		X(FLOAT, float)
		X(DOUBLE, double)
		X(INT32, int32_t)
		X(INT64, int64_t)
		X(INT8, int8_t)
		X(UINT8, uint8_t)
		X(BOOL, uint8_t)
		X(UINT32, uint32_t)
		X(UINT64, uint64_t)
#undef X
	default:
		KERNEL_UNREACHABLE;
	}
	return launched(operands, "reduce_kernel");
}

/* The largest element is taken off first; an infinite one is not. */
template <typename T>
static __global__ void
log_sum_exp_kernel(struct cells cells, const T *in, T *out)
{
	__shared__ T scratch[WARP];
	for (int64_t o = blockIdx.x; o < cells.results; o += gridDim.x) {
		const T *from = in + place_of(cells.kept, cells.kept_dims, cells.kept_steps, o);
		T most = -INFINITY, sum = 0;
		for (int64_t i = threadIdx.x; i < cells.count; i += blockDim.x)
			most = larger()(most, from[place_of(cells.reduced, cells.reduced_dims,
							    cells.reduced_steps, i)]);
		most = block_reduce(most, larger(), scratch);
		most = isinf(most) ? 0 : most;
		for (int64_t i = threadIdx.x; i < cells.count; i += blockDim.x)
			sum += exp(from[place_of(cells.reduced, cells.reduced_dims,
						 cells.reduced_steps, i)] -
				   most);
		sum = block_reduce(sum, add_up(), scratch);
		if (threadIdx.x == 0)
			out[o] = log(sum) + most;
	}
}

template <typename T>
static int
put_log_sum_exp(const void *state, const struct operands *operands)
{
	struct cells cells = cells_of((const struct reduce *)state);
	KERNEL_LAUNCH(log_sum_exp_kernel<T>, grid_of(cells.results), BLOCK, 0, stream_of(operands),
		      cells, (const T *)operands->inputs[0], (T *)operands->outputs[0]);
	return launched(operands, "log_sum_exp_kernel");
}

extern "C" int
cuda_reduce_log_sum_exp_float(const void *state, const struct operands *operands)
{
	return put_log_sum_exp<float>(state, operands);
}

extern "C" int
cuda_reduce_log_sum_exp_double(const void *state, const struct operands *operands)
{
	return put_log_sum_exp<double>(state, operands);
}

/* --- softmaxes -------------------------------------------------------------------------------------------------------------- */

/* A block a row of elements `inner` apart. */
template <typename T>
static __global__ void
softmax_kernel(bool logarithm, struct axis axis, const T *in, T *out)
{
	__shared__ T scratch[WARP];
	for (int64_t row = blockIdx.x; row < axis.outer * axis.inner; row += gridDim.x) {
		int64_t base = row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		T most = -INFINITY, sum = 0;
		for (int64_t i = threadIdx.x; i < axis.dim; i += blockDim.x)
			most = larger()(most, in[base + i * axis.inner]);
		most = block_reduce(most, larger(), scratch);
		for (int64_t i = threadIdx.x; i < axis.dim; i += blockDim.x)
			sum += exp(in[base + i * axis.inner] - most);
		sum = block_reduce(sum, add_up(), scratch);
		T shift = logarithm ? most + log(sum) : most;
		T scale = T(1) / sum;
		for (int64_t i = threadIdx.x; i < axis.dim; i += blockDim.x) {
			T x = in[base + i * axis.inner] - shift;
			out[base + i * axis.inner] = logarithm ? x : exp(x) * scale;
		}
	}
}

/* A thread a row: for short ones, and where neighbouring rows' elements are neighbours. */
template <typename T>
static __global__ void
softmax_thread_kernel(bool logarithm, struct axis axis, const T *in, T *out)
{
	KERNEL_LOOP(row, axis.outer * axis.inner)
	{
		int64_t base = row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		T most = in[base], sum = 0;
		for (int64_t i = 1; i < axis.dim; i++)
			most = larger()(most, in[base + i * axis.inner]);
		for (int64_t i = 0; i < axis.dim; i++)
			sum += exp(in[base + i * axis.inner] - most);
		T shift = logarithm ? most + log(sum) : most;
		T scale = T(1) / sum;
		for (int64_t i = 0; i < axis.dim; i++) {
			T x = in[base + i * axis.inner] - shift;
			out[base + i * axis.inner] = logarithm ? x : exp(x) * scale;
		}
	}
}

template <typename T>
static __global__ void
hardmax_kernel(struct axis axis, const T *in, T *out)
{
	KERNEL_LOOP(row, axis.outer * axis.inner)
	{
		int64_t base = row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		int64_t best = 0;
		for (int64_t i = 0; i < axis.dim; i++) {
			if (in[base + i * axis.inner] > in[base + best * axis.inner])
				best = i;
			out[base + i * axis.inner] = 0;
		}
		out[base + best * axis.inner] = 1;
	}
}

template <typename T>
static void
put_softmax(const struct softmax *softmax, const struct operands *operands)
{
	const struct axis *axis = &softmax->axis;
	const T *in = (const T *)operands->inputs[0];
	T *out = (T *)operands->outputs[0];
	int64_t rows = axis->outer * axis->inner;
	bool logarithm = softmax->kind == LOG_SOFTMAX;
	if (softmax->kind == HARDMAX)
		KERNEL_LAUNCH_FLAT(hardmax_kernel<T>, grid_for(rows), BLOCK, stream_of(operands),
				   *axis, in, out);
	else if (axis->dim < MANY || (axis->inner >= WARP && rows >= GRID_MOST))
		KERNEL_LAUNCH_FLAT(softmax_thread_kernel<T>, grid_for(rows), BLOCK,
				   stream_of(operands), logarithm, *axis, in, out);
	else
		KERNEL_LAUNCH(softmax_kernel<T>, grid_of(rows), BLOCK, 0, stream_of(operands),
			      logarithm, *axis, in, out);
}

extern "C" int
cuda_reduce_softmax(const void *state, const struct operands *operands)
{
	const struct softmax *softmax = (const struct softmax *)state;
	if (softmax->data_type == DATA_TYPE_FLOAT)
		put_softmax<float>(softmax, operands);
	else
		put_softmax<double>(softmax, operands);
	return launched(operands, "softmax_kernel");
}
