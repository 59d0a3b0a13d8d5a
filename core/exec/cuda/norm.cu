/* Normalisations: kernels that bring rows, cells or channels to a mean and a variance. */
#include "exec/cuda/cells.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_norm.h"
#include "exec/op_normalize.h"
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
cuda_norm_layer(const void *state, const struct operands *operands)
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
cuda_norm_group(const void *state, const struct operands *operands)
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
cuda_norm_batch(const void *state, const struct operands *operands)
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
cuda_norm_train(const void *state, const struct operands *operands)
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
cuda_norm_lrn(const void *state, const struct operands *operands)
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
cuda_norm_moments(const void *state, const struct operands *operands)
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
cuda_norm_lp(const void *state, const struct operands *operands)
{
	const struct lp *lp = (const struct lp *)state;
	KERNEL_LAUNCH(lp_kernel, grid_of(lp->axis.outer * lp->axis.inner), BLOCK, 0,
		      stream_of(operands), *lp, (const float *)operands->inputs[0],
		      (float *)operands->outputs[0]);
	return launched(operands, "lp_kernel");
}
