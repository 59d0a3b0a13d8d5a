#include "exec/cuda/plan_build.h"

#include <string.h>

enum {
	/* Batch, channels and the spatial dims. */
	DIMS = 2 + PLAN_MAX_SPATIAL,
};

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

cudnnBackendDescriptor_t
plan_build_create(struct plan_build *build, cudnnBackendDescriptorType_t type)
{
	cudnnBackendDescriptor_t descriptor = NULL;
	if (build->status == CUDNN_STATUS_SUCCESS && build->count == PLAN_DESCRIPTORS)
		build->status = CUDNN_STATUS_ALLOC_FAILED;
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->status = cudnnBackendCreateDescriptor(type, &descriptor);
	if (build->status != CUDNN_STATUS_SUCCESS)
		return NULL;
	build->made[build->count++] = descriptor;
	return descriptor;
}

void
plan_build_set(struct plan_build *build, cudnnBackendDescriptor_t descriptor,
	       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
	       const void *values)
{
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->status = cudnnBackendSetAttribute(descriptor, name, type, count, values);
}

void
plan_build_finalize(struct plan_build *build, cudnnBackendDescriptor_t descriptor)
{
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->status = cudnnBackendFinalize(descriptor);
}

void
plan_build_destroy(struct plan_build *build)
{
	while (build->count != 0)
		cudnnBackendDestroyDescriptor(build->made[--build->count]);
}

static cudnnDataType_t
type_of(enum data_type data_type)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT16:
		return CUDNN_DATA_HALF;
	case DATA_TYPE_BFLOAT16:
		return CUDNN_DATA_BFLOAT16;
	case DATA_TYPE_DOUBLE:
		return CUDNN_DATA_DOUBLE;
	default:
		return CUDNN_DATA_FLOAT;
	}
}

static cudnnDataType_t
compute_type(const struct plan_build *build)
{
	return build->conv->data_type == DATA_TYPE_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

/* A tensor whose rows lie last. Within the graph values are kept as exact as they are computed. */
static cudnnBackendDescriptor_t
add_tensor(struct plan_build *build, int64_t id, const int64_t *dims)
{
	int64_t rank = 2 + build->conv->spatial, strides[DIMS], alignment = PLAN_ALIGNMENT,
		step = 1;
	bool is_virtual = id >= PLAN_TENSOR_VIRTUAL;
	cudnnDataType_t type = is_virtual ? compute_type(build) : type_of(build->conv->data_type);
	for (int64_t i = rank; i-- > 0;) {
		strides[i] = step;
		step *= dims[i];
	}
	cudnnBackendDescriptor_t tensor = plan_build_create(build, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, strides);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1,
		       &alignment);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1,
		       &is_virtual);
	plan_build_finalize(build, tensor);
	return tensor;
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
add_output(struct plan_build *build, bool is_last)
{
	int64_t dims[DIMS];
	set_dims(build->conv, build->conv->out_channels, build->conv->out, dims);
	return add_tensor(
		build, is_last ? PLAN_TENSOR_OUT : PLAN_TENSOR_VIRTUAL + build->virtuals++, dims);
}

/* --- the graph ------------------------------------------------------------------------------------------------------------ */

static cudnnBackendDescriptor_t
describe_conv(struct plan_build *build)
{
	const struct plan_conv *conv = build->conv;
	int64_t spatial = conv->spatial;
	cudnnDataType_t type = compute_type(build);
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

static void
add_operation(struct plan_build *build, cudnnBackendDescriptor_t operation)
{
	plan_build_finalize(build, operation);
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->operations[build->operation_count++] = operation;
}

/* The convolution itself; returns its output. */
static cudnnBackendDescriptor_t
add_conv(struct plan_build *build, bool is_last)
{
	const struct plan_conv *conv = build->conv;
	const struct conv_names *names = conv->transposed ? &backward : &forward;
	int64_t in_dims[DIMS], weight_dims[DIMS];
	float alpha = 1, beta = 0;
	set_dims(conv, conv->in_channels, conv->in, in_dims);
	weight_dims[0] = conv->transposed ? conv->in_channels : conv->out_channels;
	weight_dims[1] = (conv->transposed ? conv->out_channels : conv->in_channels) / conv->groups;
	memcpy(weight_dims + 2, conv->kernel, conv->spatial * sizeof(weight_dims[0]));
	cudnnBackendDescriptor_t in = add_tensor(build, PLAN_TENSOR_IN, in_dims);
	cudnnBackendDescriptor_t weights = add_tensor(build, PLAN_TENSOR_WEIGHTS, weight_dims);
	cudnnBackendDescriptor_t out = add_output(build, is_last);
	cudnnBackendDescriptor_t desc = describe_conv(build);
	cudnnBackendDescriptor_t operation = plan_build_create(build, names->operation);
	plan_build_set(build, operation, names->conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &desc);
	plan_build_set(build, operation, names->weights, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
		       &weights);
	plan_build_set(build, operation, names->in, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &in);
	plan_build_set(build, operation, names->out, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &out);
	plan_build_set(build, operation, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
	plan_build_set(build, operation, names->beta, CUDNN_TYPE_FLOAT, 1, &beta);
	add_operation(build, operation);
	return out;
}

/* An element-wise step on x, with another operand for sums; returns its output. */
static cudnnBackendDescriptor_t
add_pointwise(struct plan_build *build, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x,
	      cudnnBackendDescriptor_t other, bool is_last)
{
	cudnnDataType_t type = compute_type(build);
	cudnnBackendDescriptor_t desc =
		plan_build_create(build, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
	plan_build_set(build, desc, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	plan_build_set(build, desc, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
	plan_build_finalize(build, desc);
	cudnnBackendDescriptor_t out = add_output(build, is_last);
	cudnnBackendDescriptor_t operation =
		plan_build_create(build, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	plan_build_set(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
		       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &desc);
	plan_build_set(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
		       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
	if (other != NULL)
		plan_build_set(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
			       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
	plan_build_set(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
		       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &out);
	add_operation(build, operation);
	return out;
}

/* All operations, as one graph. */
cudnnBackendDescriptor_t
plan_build_graph(struct plan_build *build, cudnnHandle_t handle)
{
	const struct plan_conv *conv = build->conv;
	int64_t bias_dims[DIMS] = { 1, conv->out_channels, 1, 1, 1 }, out_dims[DIMS];
	set_dims(conv, conv->out_channels, conv->out, out_dims);
	cudnnBackendDescriptor_t out =
		add_conv(build, !conv->bias && !conv->residual && !conv->relu);
	if (conv->bias)
		out = add_pointwise(build, CUDNN_POINTWISE_ADD, out,
				    add_tensor(build, PLAN_TENSOR_BIAS, bias_dims),
				    !conv->residual && !conv->relu);
	if (conv->residual)
		out = add_pointwise(build, CUDNN_POINTWISE_ADD, out,
				    add_tensor(build, PLAN_TENSOR_RESIDUAL, out_dims), !conv->relu);
	if (conv->relu)
		add_pointwise(build, CUDNN_POINTWISE_RELU_FWD, out, NULL, true);
	cudnnBackendDescriptor_t graph =
		plan_build_create(build, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	plan_build_set(build, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
		       &handle);
	plan_build_set(build, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
		       build->operation_count, build->operations);
	plan_build_finalize(build, graph);
	return graph;
}
