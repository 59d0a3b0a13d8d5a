/* Convolutions as problems for cuDNN. */
#include <stdio.h>
#include <string.h>

#include "device/cuda.h"
#include "exec/cuda/plan_problem.h"
#include "exec/cuda/planner.h"

enum {
	/* Batch, channels and the spatial dims. */
	DIMS = 2 + PLAN_MAX_SPATIAL,
};

/* The problem in words. */
static void
describe(const struct plan_problem *problem, char *key)
{
	const struct plan_conv *conv = &problem->conv;
	int at = snprintf(key, PLANNER_KEY_BYTES, "%s %s %s%s n%lld g%lld c%lld>%lld%s%s%s%s",
			  conv->transposed ? "deconv" : "conv", data_type_name(conv->data_type),
			  device_math_name(cuda_math()), conv->last ? " nhwc" : "",
			  (long long)conv->batch, (long long)conv->groups,
			  (long long)conv->in_channels, (long long)conv->out_channels,
			  conv->bias ? " bias" : "", conv->residual ? " residual" : "",
			  conv->relu ? " relu" : "", planner_times() ? " timed" : "");
	for (uint32_t i = 0; i < conv->spatial && at < PLANNER_KEY_BYTES; i++)
		at += snprintf(key + at, (size_t)(PLANNER_KEY_BYTES - at),
			       " %lld>%lld k%lld s%lld d%lld p%lld,%lld", (long long)conv->in[i],
			       (long long)conv->out[i], (long long)conv->kernel[i],
			       (long long)conv->strides[i], (long long)conv->dilations[i],
			       (long long)conv->begin[i], (long long)conv->end[i]);
}

static size_t
tensor_room(const struct plan_conv *conv, int64_t channels, const int64_t *spatial)
{
	size_t bytes = data_type_bytes(conv->data_type) * (size_t)(conv->batch * channels);
	for (uint32_t i = 0; i < conv->spatial; i++)
		bytes *= (size_t)spatial[i];
	return (bytes + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT * PLAN_ALIGNMENT;
}

static uint32_t
list(const struct plan_problem *problem, enum plan_tensor *tensors, size_t *bytes)
{
	const struct plan_conv *conv = &problem->conv;
	struct plan_conv filter = *conv;
	uint32_t count = 3;
	filter.batch = conv->out_channels;
	tensors[0] = PLAN_TENSOR_IN;
	bytes[0] = tensor_room(conv, conv->in_channels, conv->in);
	tensors[1] = PLAN_TENSOR_WEIGHTS;
	bytes[1] = tensor_room(&filter, conv->in_channels, conv->kernel);
	tensors[2] = PLAN_TENSOR_OUT;
	bytes[2] = tensor_room(conv, conv->out_channels, conv->out);
	if (conv->bias) {
		tensors[count] = PLAN_TENSOR_BIAS;
		bytes[count++] = bytes[2];
	}
	if (conv->residual) {
		tensors[count] = PLAN_TENSOR_RESIDUAL;
		bytes[count++] = bytes[2];
	}
	return count;
}

/* --- the graph ------------------------------------------------------------------------------------------------------------ */

static cudnnDataType_t
compute_type(const struct plan_conv *conv)
{
	return conv->data_type == DATA_TYPE_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

/* Elements from one index to the next of each dim, rows last or channels. */
static void
set_strides(int64_t rank, const int64_t *dims, bool last, int64_t *strides)
{
	int64_t step = last ? dims[1] : 1;
	for (int64_t i = rank; i-- > 0;) {
		bool is_done = last && i == 1;
		strides[i] = is_done ? 1 : step;
		step *= is_done ? 1 : dims[i];
	}
}

/* A tensor as they lie in the graph. Within it values are kept as exact as they are computed. */
static cudnnBackendDescriptor_t
add_tensor(struct plan_build *build, const struct plan_conv *conv, int64_t id, const int64_t *dims)
{
	int64_t rank = 2 + conv->spatial, strides[DIMS];
	set_strides(rank, dims, conv->last, strides);
	return plan_build_tensor(build, id,
				 id >= PLAN_TENSOR_VIRTUAL ? compute_type(conv)
							   : plan_build_type(conv->data_type),
				 rank, dims, strides, false);
}

/* Batch, channels and spatial dims of input and output. */
static void
set_dims(const struct plan_conv *conv, int64_t channels, const int64_t *spatial, int64_t *dims)
{
	dims[0] = conv->batch;
	dims[1] = channels;
	memcpy(dims + 2, spatial, conv->spatial * sizeof(dims[0]));
}

static cudnnBackendDescriptor_t
add_output(struct plan_build *build, const struct plan_conv *conv, bool is_last)
{
	int64_t dims[DIMS];
	set_dims(conv, conv->out_channels, conv->out, dims);
	return add_tensor(build, conv, is_last ? PLAN_TENSOR_OUT : plan_build_virtual(build), dims);
}

static cudnnBackendDescriptor_t
describe_conv(struct plan_build *build, const struct plan_conv *conv)
{
	int64_t spatial = conv->spatial;
	cudnnDataType_t type = compute_type(conv);
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	cudnnBackendDescriptor_t desc =
		plan_build_create(build, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1,
		       &type);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE,
		       1, &mode);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1,
		       &spatial);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, spatial,
		       conv->dilations);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64,
		       spatial, conv->strides);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, spatial,
		       conv->begin);
	plan_build_set(build, desc, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, spatial,
		       conv->end);
	plan_build_finalize(build, desc);
	return desc;
}

/* The attributes of the two kinds of convolution: a transposed one is the gradient of a convolution by its input. */
struct conv_names {
	cudnnBackendDescriptorType_t operation;
	cudnnBackendAttributeName_t alpha;
	cudnnBackendAttributeName_t beta;
	cudnnBackendAttributeName_t conv;
	cudnnBackendAttributeName_t weights;
	cudnnBackendAttributeName_t in;
	cudnnBackendAttributeName_t out;
};

static const struct conv_names forward = {
	CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
	CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
};

static const struct conv_names backward = {
	CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
	CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
};

/* The convolution itself; returns its output. */
static cudnnBackendDescriptor_t
add_conv(struct plan_build *build, const struct plan_conv *conv, bool is_last)
{
	const struct conv_names *names = conv->transposed ? &backward : &forward;
	int64_t in_dims[DIMS], weight_dims[DIMS];
	float alpha = 1, beta = 0;
	set_dims(conv, conv->in_channels, conv->in, in_dims);
	weight_dims[0] = conv->transposed ? conv->in_channels : conv->out_channels;
	weight_dims[1] = (conv->transposed ? conv->out_channels : conv->in_channels) / conv->groups;
	memcpy(weight_dims + 2, conv->kernel, conv->spatial * sizeof(weight_dims[0]));
	cudnnBackendDescriptor_t in = add_tensor(build, conv, PLAN_TENSOR_IN, in_dims);
	cudnnBackendDescriptor_t weights =
		add_tensor(build, conv, PLAN_TENSOR_WEIGHTS, weight_dims);
	cudnnBackendDescriptor_t out = add_output(build, conv, is_last);
	cudnnBackendDescriptor_t desc = describe_conv(build, conv);
	cudnnBackendDescriptor_t operation = plan_build_create(build, names->operation);
	plan_build_link(build, operation, names->conv, desc);
	plan_build_link(build, operation, names->weights, weights);
	plan_build_link(build, operation, names->in, in);
	plan_build_link(build, operation, names->out, out);
	plan_build_set(build, operation, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
	plan_build_set(build, operation, names->beta, CUDNN_TYPE_FLOAT, 1, &beta);
	plan_build_operation(build, operation);
	return out;
}

/* An element-wise step on x, with another operand for sums; returns its output. */
static cudnnBackendDescriptor_t
add_pointwise(struct plan_build *build, const struct plan_conv *conv, cudnnPointwiseMode_t mode,
	      cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other, bool is_last)
{
	cudnnBackendDescriptor_t out = add_output(build, conv, is_last);
	plan_build_pointwise(build, mode, compute_type(conv), x, other, out);
	return out;
}

/* The residual comes before the bias: the only order that cuDNN has engines for in this layout. */
static void
add(const struct plan_problem *problem, struct plan_build *build)
{
	const struct plan_conv *conv = &problem->conv;
	int64_t bias_dims[DIMS] = { 1, conv->out_channels, 1, 1, 1 }, out_dims[DIMS];
	set_dims(conv, conv->out_channels, conv->out, out_dims);
	cudnnBackendDescriptor_t out =
		add_conv(build, conv, !conv->bias && !conv->residual && !conv->relu);
	if (conv->residual)
		out = add_pointwise(build, conv, CUDNN_POINTWISE_ADD, out,
				    add_tensor(build, conv, PLAN_TENSOR_RESIDUAL, out_dims),
				    !conv->bias && !conv->relu);
	if (conv->bias)
		out = add_pointwise(build, conv, CUDNN_POINTWISE_ADD, out,
				    add_tensor(build, conv, PLAN_TENSOR_BIAS, bias_dims),
				    !conv->relu);
	if (conv->relu)
		add_pointwise(build, conv, CUDNN_POINTWISE_RELU_FWD, out, NULL, true);
}

const struct plan_kind plan_kind_conv = { "convolution", describe, add, list };
