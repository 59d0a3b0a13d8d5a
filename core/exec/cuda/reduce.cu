/* Kernels that make one number of many: reductions, softmaxes, normalisations. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_norm.h"
#include "exec/op_normalize.h"
#include "exec/op_reduce.h"
#include "exec/op_softmax.h"
}

enum {
	/* From here on a whole block works on one result. */
	MANY = 64,
};

/* Blocks for that many results, one each, grid-stride. */
static unsigned
grid_of(int64_t results)
{
	return (unsigned)(results < 1 ? 1 : results > GRID_MOST ? GRID_MOST : results);
}

/* --- reductions ---------------------------------------------------------------------------------------------------------- */

/* The input's dims apart: those that stay, and those behind one result, with their steps in the input. */
struct cells {
	uint32_t kept;
	uint32_t reduced;
	int64_t kept_dims[TENSOR_MAX_RANK];
	int64_t kept_steps[TENSOR_MAX_RANK];
	int64_t reduced_dims[TENSOR_MAX_RANK];
	int64_t reduced_steps[TENSOR_MAX_RANK];
	int64_t results;
	int64_t count;
};

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

static __device__ __forceinline__ int64_t
place_of(uint32_t rank, const int64_t *dims, const int64_t *steps, int64_t i)
{
	int64_t at = 0;
	if (rank == 1)
		return i * steps[0];
	for (int d = (int)rank - 1; d >= 0; d--) {
		at += i % dims[d] * steps[d];
		i /= dims[d];
	}
	return at;
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

/* --- normalisations with parameters --------------------------------------------------------------------------------------- */

/* Mean and variance of n elements, in every thread of the block. */
static __device__ void
moments_of(const float *in, int64_t n, bool keeps_mean, float *scratch, float *mean,
	   float *variance)
{
	float sum = 0, squares = 0;
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
		sum += in[i];
	*mean = keeps_mean ? 0 : block_reduce(sum, add_up(), scratch) / (float)n;
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
		squares += (in[i] - *mean) * (in[i] - *mean);
	*variance = block_reduce(squares, add_up(), scratch) / (float)n;
}

/* A block a row. */
static __global__ void
layer_kernel(struct norm norm, const float *in, const float *scale, const float *bias, float *out,
	     float *means, float *inverses)
{
	__shared__ float scratch[WARP];
	for (int64_t row = blockIdx.x; row < norm.batch; row += gridDim.x) {
		const float *from = in + row * norm.size;
		float mean, variance;
		moments_of(from, norm.size, norm.keeps_mean, scratch, &mean, &variance);
		float inverse = 1 / sqrtf(variance + norm.epsilon);
		for (int64_t i = threadIdx.x; i < norm.size; i += blockDim.x)
			out[row * norm.size + i] = (from[i] - mean) * inverse * scale[i] +
						   (bias != NULL ? bias[i] : 0);
		if (threadIdx.x == 0 && means != NULL)
			means[row] = mean;
		if (threadIdx.x == 0 && inverses != NULL)
			inverses[row] = inverse;
	}
}

extern "C" int
cuda_reduce_layer_norm(const void *state, const struct operands *operands)
{
	const struct norm *norm = (const struct norm *)state;
	KERNEL_LAUNCH(layer_kernel, grid_of(norm->batch), BLOCK, 0, stream_of(operands), *norm,
		      (const float *)operands->inputs[0], (const float *)operands->inputs[1],
		      norm->has_bias ? (const float *)operands->inputs[2] : NULL,
		      (float *)operands->outputs[0],
		      norm->outputs > 1 ? (float *)operands->outputs[1] : NULL,
		      norm->outputs > 2 ? (float *)operands->outputs[2] : NULL);
	return launched(operands, "layer_kernel");
}

/* A block a group of channels of one batch element. */
static __global__ void
group_kernel(struct norm norm, const float *in, const float *scale, const float *bias, float *out)
{
	__shared__ float scratch[WARP];
	int64_t channels = norm.channels / norm.groups, n = channels * norm.size;
	for (int64_t part = blockIdx.x; part < norm.batch * norm.groups; part += gridDim.x) {
		const float *from = in + part * n;
		float mean, variance;
		moments_of(from, n, false, scratch, &mean, &variance);
		float inverse = 1 / sqrtf(variance + norm.epsilon);
		int64_t group = part % norm.groups;
		for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
			int64_t at = norm.scale_of_group ? group : group * channels + i / norm.size;
			out[part * n + i] = (from[i] - mean) * (scale[at] * inverse) + bias[at];
		}
	}
}

extern "C" int
cuda_reduce_group_norm(const void *state, const struct operands *operands)
{
	const struct norm *norm = (const struct norm *)state;
	KERNEL_LAUNCH(group_kernel, grid_of(norm->batch * norm->groups), BLOCK, 0,
		      stream_of(operands), *norm, (const float *)operands->inputs[0],
		      (const float *)operands->inputs[1], (const float *)operands->inputs[2],
		      (float *)operands->outputs[0]);
	return launched(operands, "group_kernel");
}

static __global__ void
batch_kernel(struct norm norm, const float *in, const float *scale, const float *bias,
	     const float *mean, const float *variance, float *out)
{
	KERNEL_LOOP(i, norm.batch * norm.channels * norm.size)
	{
		int64_t channel = i / norm.size % norm.channels;
		float factor = scale[channel] / sqrtf(variance[channel] + norm.epsilon);
		out[i] = in[i] * factor + (bias[channel] - mean[channel] * factor);
	}
}

extern "C" int
cuda_reduce_batch_norm(const void *state, const struct operands *operands)
{
	const struct norm *norm = (const struct norm *)state;
	const float *const *inputs = (const float *const *)operands->inputs;
	KERNEL_LAUNCH_FLAT(batch_kernel, grid_for(norm->batch * norm->channels * norm->size), BLOCK,
			   stream_of(operands), *norm, inputs[0], inputs[1], inputs[2], inputs[3],
			   inputs[4], (float *)operands->outputs[0]);
	return launched(operands, "batch_kernel");
}

/* Addresses of the training's tensors. */
struct training {
	const float *in;
	const float *scale;
	const float *bias;
	const float *mean;
	const float *variance;
	float *out;
	float *new_mean;
	float *new_variance;
};

/* A block a channel. */
static __global__ void
train_kernel(struct norm norm, struct training at)
{
	__shared__ float scratch[WARP];
	int64_t n = norm.batch * norm.size;
	for (int64_t c = blockIdx.x; c < norm.channels; c += gridDim.x) {
		float sum = 0, squares = 0;
		for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
			sum += at.in[(i / norm.size * norm.channels + c) * norm.size +
				     i % norm.size];
		float mean = block_reduce(sum, add_up(), scratch) / (float)n;
		for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
			float x = at.in[(i / norm.size * norm.channels + c) * norm.size +
					i % norm.size] -
				  mean;
			squares += x * x;
		}
		float variance = block_reduce(squares, add_up(), scratch) / (float)n;
		float factor = at.scale[c] / sqrtf(variance + norm.epsilon);
		for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
			int64_t k = (i / norm.size * norm.channels + c) * norm.size + i % norm.size;
			at.out[k] = at.in[k] * factor + (at.bias[c] - mean * factor);
		}
		if (threadIdx.x == 0 && at.new_mean != NULL)
			at.new_mean[c] = at.mean[c] * norm.momentum + mean * (1 - norm.momentum);
		if (threadIdx.x == 0 && at.new_variance != NULL)
			at.new_variance[c] =
				at.variance[c] * norm.momentum + variance * (1 - norm.momentum);
	}
}

extern "C" int
cuda_reduce_train_norm(const void *state, const struct operands *operands)
{
	const struct norm *norm = (const struct norm *)state;
	const float *const *inputs = (const float *const *)operands->inputs;
	float *const *outputs = (float *const *)operands->outputs;
	struct training training = { inputs[0],
				     inputs[1],
				     inputs[2],
				     inputs[3],
				     inputs[4],
				     outputs[0],
				     norm->outputs > 1 ? outputs[1] : NULL,
				     norm->outputs > 2 ? outputs[2] : NULL };
	KERNEL_LAUNCH(train_kernel, grid_of(norm->channels), BLOCK, 0, stream_of(operands), *norm,
		      training);
	return launched(operands, "train_kernel");
}

/* --- normalisations without ---------------------------------------------------------------------------------------------- */

static __global__ void
lrn_kernel(struct lrn lrn, const float *in, float *out)
{
	KERNEL_LOOP(i, lrn.planes * lrn.size)
	{
		int64_t channel = i / lrn.size % lrn.channels;
		int64_t first = channel < lrn.before ? -channel : -lrn.before;
		int64_t left = lrn.channels - 1 - channel;
		int64_t last = left < lrn.after ? left : lrn.after;
		float sum = 0;
		for (int64_t k = first; k <= last; k++)
			sum += in[i + k * lrn.size] * in[i + k * lrn.size];
		out[i] = in[i] * powf(lrn.bias + lrn.alpha * sum, -lrn.beta);
	}
}

extern "C" int
cuda_reduce_lrn(const void *state, const struct operands *operands)
{
	const struct lrn *lrn = (const struct lrn *)state;
	KERNEL_LAUNCH_FLAT(lrn_kernel, grid_for(lrn->planes * lrn->size), BLOCK,
			   stream_of(operands), *lrn, (const float *)operands->inputs[0],
			   (float *)operands->outputs[0]);
	return launched(operands, "lrn_kernel");
}

/* The cells of a MeanVarianceNormalization, as those of a reduction. */
static struct cells
cells_of_moments(const struct moments *moments)
{
	struct cells cells = {};
	int64_t step = 1, steps[TENSOR_MAX_RANK];
	for (uint32_t i = moments->type.rank; i-- > 0;) {
		steps[i] = step;
		step *= moments->type.dims[i];
	}
	for (uint32_t i = 0; i < moments->type.rank; i++) {
		bool kept = (moments->reduced >> i & 1) == 0;
		uint32_t k = kept ? cells.kept++ : cells.reduced++;
		(kept ? cells.kept_dims : cells.reduced_dims)[k] = moments->type.dims[i];
		(kept ? cells.kept_steps : cells.reduced_steps)[k] = steps[i];
	}
	cells.results = moments->cells;
	cells.count = step / moments->cells;
	return cells;
}

/* A block a cell. */
static __global__ void
moments_kernel(struct cells cells, const float *in, float *out)
{
	__shared__ double scratch[WARP];
	for (int64_t o = blockIdx.x; o < cells.results; o += gridDim.x) {
		int64_t base = place_of(cells.kept, cells.kept_dims, cells.kept_steps, o);
		double sum = 0, squares = 0;
		for (int64_t i = threadIdx.x; i < cells.count; i += blockDim.x) {
			double x = in[base + place_of(cells.reduced, cells.reduced_dims,
						      cells.reduced_steps, i)];
			sum += x;
			squares += x * x;
		}
		double mean = block_reduce(sum, add_up(), scratch) / (double)cells.count;
		double variance = block_reduce(squares, add_up(), scratch) / (double)cells.count -
				  mean * mean;
		double deviation = sqrt(variance > 0 ? variance : 0) + 1e-9;
		for (int64_t i = threadIdx.x; i < cells.count; i += blockDim.x) {
			int64_t at = base + place_of(cells.reduced, cells.reduced_dims,
						     cells.reduced_steps, i);
			out[at] = (float)((in[at] - mean) / deviation);
		}
	}
}

extern "C" int
cuda_reduce_moments(const void *state, const struct operands *operands)
{
	struct cells cells = cells_of_moments((const struct moments *)state);
	KERNEL_LAUNCH(moments_kernel, grid_of(cells.results), BLOCK, 0, stream_of(operands), cells,
		      (const float *)operands->inputs[0], (float *)operands->outputs[0]);
	return launched(operands, "moments_kernel");
}

static __global__ void
lp_kernel(struct lp lp, const float *in, float *out)
{
	__shared__ double scratch[WARP];
	const struct axis &axis = lp.axis;
	for (int64_t row = blockIdx.x; row < axis.outer * axis.inner; row += gridDim.x) {
		int64_t base = row / axis.inner * axis.dim * axis.inner + row % axis.inner;
		double sum = 0;
		for (int64_t i = threadIdx.x; i < axis.dim; i += blockDim.x) {
			double x = in[base + i * axis.inner];
			sum += lp.p == 1 ? fabs(x) : x * x;
		}
		sum = block_reduce(sum, add_up(), scratch);
		double norm = lp.p == 1 ? sum : sqrt(sum);
		for (int64_t i = threadIdx.x; i < axis.dim; i += blockDim.x) {
			int64_t at = base + i * axis.inner;
			out[at] = norm == 0 ? 0 : (float)(in[at] / norm);
		}
	}
}

extern "C" int
cuda_reduce_lp(const void *state, const struct operands *operands)
{
	const struct lp *lp = (const struct lp *)state;
	KERNEL_LAUNCH(lp_kernel, grid_of(lp->axis.outer * lp->axis.inner), BLOCK, 0,
		      stream_of(operands), *lp, (const float *)operands->inputs[0],
		      (float *)operands->outputs[0]);
	return launched(operands, "lp_kernel");
}
