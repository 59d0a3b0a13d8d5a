#include "exec/cuda/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "device/cuda.h"
#include "exec/cuda/planner.h"

enum {
	/* Batch, channels and the spatial dims. */
	DIMS = 2 + PLAN_MAX_SPATIAL,
	/* Of one graph and the search for its plan. */
	DESCRIPTORS = 32,
	/* Engines that are tried, the first that can be had is taken. */
	CANDIDATES = 16,
	/* What tensors are aligned to. */
	ALIGNMENT = 16,
};

/* Tensors of the graph by the number that the run names them by; from VIRTUAL on they exist within it only. */
enum tensor_id {
	TENSOR_IN = 1,
	TENSOR_WEIGHTS,
	TENSOR_OUT,
	TENSOR_BIAS,
	TENSOR_RESIDUAL,
	TENSOR_VIRTUAL = 100,
};

struct plan {
	cudnnBackendDescriptor_t execution;
	bool bias;
	bool residual;
};

/* A graph on its way to a plan: the descriptors made so far, and the first status that was no success. */
struct builder {
	const struct plan_conv *conv;
	cudnnStatus_t status;
	cudnnBackendDescriptor_t made[DESCRIPTORS];
	int count;
	cudnnBackendDescriptor_t operations[4];
	int operation_count;
	int64_t next_virtual;
};

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

static cudnnBackendDescriptor_t
create(struct builder *builder, cudnnBackendDescriptorType_t type)
{
	cudnnBackendDescriptor_t descriptor = NULL;
	if (builder->status == CUDNN_STATUS_SUCCESS && builder->count == DESCRIPTORS)
		builder->status = CUDNN_STATUS_ALLOC_FAILED;
	if (builder->status == CUDNN_STATUS_SUCCESS)
		builder->status = cudnnBackendCreateDescriptor(type, &descriptor);
	if (builder->status != CUDNN_STATUS_SUCCESS)
		return NULL;
	builder->made[builder->count++] = descriptor;
	return descriptor;
}

static void
set(struct builder *builder, cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
	if (builder->status == CUDNN_STATUS_SUCCESS)
		builder->status = cudnnBackendSetAttribute(descriptor, name, type, count, values);
}

static void
finalize(struct builder *builder, cudnnBackendDescriptor_t descriptor)
{
	if (builder->status == CUDNN_STATUS_SUCCESS)
		builder->status = cudnnBackendFinalize(descriptor);
}

static void
destroy_made(struct builder *builder)
{
	while (builder->count != 0)
		cudnnBackendDestroyDescriptor(builder->made[--builder->count]);
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
compute_type(const struct builder *builder)
{
	return builder->conv->data_type == DATA_TYPE_DOUBLE ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

/* A tensor whose rows lie last. Within the graph values are kept as exact as they are computed. */
static cudnnBackendDescriptor_t
add_tensor(struct builder *builder, int64_t id, const int64_t *dims)
{
	int64_t rank = 2 + builder->conv->spatial, strides[DIMS], alignment = ALIGNMENT, step = 1;
	bool is_virtual = id >= TENSOR_VIRTUAL;
	cudnnDataType_t type =
		is_virtual ? compute_type(builder) : type_of(builder->conv->data_type);
	for (int64_t i = rank; i-- > 0;) {
		strides[i] = step;
		step *= dims[i];
	}
	cudnnBackendDescriptor_t tensor = create(builder, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	set(builder, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	set(builder, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims);
	set(builder, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, strides);
	set(builder, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
	set(builder, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
	set(builder, tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
	finalize(builder, tensor);
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
add_output(struct builder *builder, bool is_last)
{
	int64_t dims[DIMS];
	set_dims(builder->conv, builder->conv->out_channels, builder->conv->out, dims);
	return add_tensor(builder, is_last ? TENSOR_OUT : builder->next_virtual++, dims);
}

/* --- the graph ------------------------------------------------------------------------------------------------------------ */

static cudnnBackendDescriptor_t
describe_conv(struct builder *builder)
{
	const struct plan_conv *conv = builder->conv;
	int64_t spatial = conv->spatial;
	cudnnDataType_t type = compute_type(builder);
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	cudnnBackendDescriptor_t desc = create(builder, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, spatial,
	    conv->dilations);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, spatial,
	    conv->strides);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, spatial,
	    conv->begin);
	set(builder, desc, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, spatial,
	    conv->end);
	finalize(builder, desc);
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
add_operation(struct builder *builder, cudnnBackendDescriptor_t operation)
{
	finalize(builder, operation);
	if (builder->status == CUDNN_STATUS_SUCCESS)
		builder->operations[builder->operation_count++] = operation;
}

/* The convolution itself; returns its output. */
static cudnnBackendDescriptor_t
add_conv(struct builder *builder, bool is_last)
{
	const struct plan_conv *conv = builder->conv;
	const struct conv_names *names = conv->transposed ? &backward : &forward;
	int64_t in_dims[DIMS], weight_dims[DIMS];
	float alpha = 1, beta = 0;
	set_dims(conv, conv->in_channels, conv->in, in_dims);
	weight_dims[0] = conv->transposed ? conv->in_channels : conv->out_channels;
	weight_dims[1] = (conv->transposed ? conv->out_channels : conv->in_channels) / conv->groups;
	memcpy(weight_dims + 2, conv->kernel, conv->spatial * sizeof(weight_dims[0]));
	cudnnBackendDescriptor_t in = add_tensor(builder, TENSOR_IN, in_dims);
	cudnnBackendDescriptor_t weights = add_tensor(builder, TENSOR_WEIGHTS, weight_dims);
	cudnnBackendDescriptor_t out = add_output(builder, is_last);
	cudnnBackendDescriptor_t desc = describe_conv(builder);
	cudnnBackendDescriptor_t operation = create(builder, names->operation);
	set(builder, operation, names->conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &desc);
	set(builder, operation, names->weights, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &weights);
	set(builder, operation, names->in, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &in);
	set(builder, operation, names->out, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &out);
	set(builder, operation, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
	set(builder, operation, names->beta, CUDNN_TYPE_FLOAT, 1, &beta);
	add_operation(builder, operation);
	return out;
}

/* An element-wise step on x, with another operand for sums; returns its output. */
static cudnnBackendDescriptor_t
add_pointwise(struct builder *builder, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x,
	      cudnnBackendDescriptor_t other, bool is_last)
{
	cudnnDataType_t type = compute_type(builder);
	cudnnBackendDescriptor_t desc = create(builder, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
	set(builder, desc, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	set(builder, desc, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
	finalize(builder, desc);
	cudnnBackendDescriptor_t out = add_output(builder, is_last);
	cudnnBackendDescriptor_t operation =
		create(builder, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	set(builder, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &desc);
	set(builder, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
	    1, &x);
	if (other != NULL)
		set(builder, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
		    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
	set(builder, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR,
	    1, &out);
	add_operation(builder, operation);
	return out;
}

/* All operations, as one graph. */
static cudnnBackendDescriptor_t
build_graph(struct builder *builder)
{
	const struct plan_conv *conv = builder->conv;
	int64_t bias_dims[DIMS] = { 1, conv->out_channels, 1, 1, 1 }, out_dims[DIMS];
	cudnnHandle_t handle = planner_dnn();
	set_dims(conv, conv->out_channels, conv->out, out_dims);
	cudnnBackendDescriptor_t out =
		add_conv(builder, !conv->bias && !conv->residual && !conv->relu);
	if (conv->bias)
		out = add_pointwise(builder, CUDNN_POINTWISE_ADD, out,
				    add_tensor(builder, TENSOR_BIAS, bias_dims),
				    !conv->residual && !conv->relu);
	if (conv->residual)
		out = add_pointwise(builder, CUDNN_POINTWISE_ADD, out,
				    add_tensor(builder, TENSOR_RESIDUAL, out_dims), !conv->relu);
	if (conv->relu)
		add_pointwise(builder, CUDNN_POINTWISE_RELU_FWD, out, NULL, true);
	cudnnBackendDescriptor_t graph = create(builder, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	set(builder, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
	set(builder, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
	    builder->operation_count, builder->operations);
	finalize(builder, graph);
	return graph;
}

/* --- choosing --------------------------------------------------------------------------------------------------------------- */

/* Does the engine of that configuration keep FP32 exact? One that cannot be asked is taken for one that does not. */
static bool
is_exact(cudnnBackendDescriptor_t config)
{
	cudnnBackendDescriptor_t engine = NULL;
	cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	int64_t count = 0;
	if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
	    CUDNN_STATUS_SUCCESS)
		return false;
	bool exact =
		cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
					 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
					 &engine) == CUDNN_STATUS_SUCCESS &&
		cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
					 CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
					 &count, notes) == CUDNN_STATUS_SUCCESS;
	for (int64_t i = 0; exact && i < count; i++)
		exact = notes[i] != CUDNN_NUMERICAL_NOTE_TENSOR_CORE &&
			notes[i] != CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS &&
			notes[i] != CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION &&
			notes[i] != CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
	cudnnBackendDestroyDescriptor(engine);
	return exact;
}

/* The execution plan of a configuration that fits the workspace; NULL when it cannot be had. */
static cudnnBackendDescriptor_t
realize(cudnnBackendDescriptor_t config)
{
	cudnnBackendDescriptor_t plan = NULL;
	cudnnHandle_t handle = planner_dnn();
	int64_t bytes = 0, count = 0;
	if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) !=
	    CUDNN_STATUS_SUCCESS)
		return NULL;
	if (cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
				     &handle) == CUDNN_STATUS_SUCCESS &&
	    cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
				     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
				     &config) == CUDNN_STATUS_SUCCESS &&
	    cudnnBackendFinalize(plan) == CUDNN_STATUS_SUCCESS &&
	    cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
				     CUDNN_TYPE_INT64, 1, &count, &bytes) == CUDNN_STATUS_SUCCESS &&
	    bytes <= CUDA_WORKSPACE_BYTES)
		return plan;
	cudnnBackendDestroyDescriptor(plan);
	return NULL;
}

/* The first plan that the heuristic of that mode proposes and that can be had; NULL when there is none. */
static cudnnBackendDescriptor_t
choose(struct builder *builder, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode)
{
	cudnnBackendDescriptor_t configs[CANDIDATES], plan = NULL;
	int64_t count = 0;
	int made = 0;
	cudnnBackendDescriptor_t heuristic = create(builder, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	set(builder, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
	    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
	set(builder, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	finalize(builder, heuristic);
	if (builder->status != CUDNN_STATUS_SUCCESS)
		return NULL;
	while (made < CANDIDATES &&
	       cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]) ==
		       CUDNN_STATUS_SUCCESS)
		made++;
	if (cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
				     CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count,
				     configs) != CUDNN_STATUS_SUCCESS)
		count = 0;
	bool any = builder->conv->data_type != DATA_TYPE_FLOAT || cuda_allows_tf32();
	for (int64_t i = 0; i < count && i < made && plan == NULL; i++)
		if (any || is_exact(configs[i]))
			plan = realize(configs[i]);
	while (made != 0)
		cudnnBackendDestroyDescriptor(configs[--made]);
	return plan;
}

/* While the planner is taken. NULL when there is no plan. */
static cudnnBackendDescriptor_t
search(const struct plan_conv *conv)
{
	struct builder builder = { .conv = conv, .next_virtual = TENSOR_VIRTUAL };
	cudnnBackendDescriptor_t graph = build_graph(&builder), plan = NULL;
	if (builder.status == CUDNN_STATUS_SUCCESS)
		plan = choose(&builder, graph, CUDNN_HEUR_MODE_A);
	if (plan == NULL && builder.status == CUDNN_STATUS_SUCCESS)
		plan = choose(&builder, graph, CUDNN_HEUR_MODE_FALLBACK);
	destroy_made(&builder);
	return plan;
}

struct plan *
plan_new(const struct plan_conv *conv)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	if (plan == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a plan");
		return NULL;
	}
	if (planner_enter() != 0) {
		free(plan);
		return NULL;
	}
	if (planner_dnn() != NULL)
		plan->execution = search(conv);
	planner_leave();
	plan->bias = conv->bias;
	plan->residual = conv->residual;
	if (plan->execution != NULL)
		return plan;
	free(plan);
	error_set(ERR_UNIMPLEMENTED, "cuDNN has no engine for the convolution");
	return NULL;
}

void
plan_delete(struct plan *plan)
{
	if (plan == NULL)
		return;
	cudnnBackendDestroyDescriptor(plan->execution);
	free(plan);
}

int
plan_run(const struct plan *plan, struct cuda_compute *compute, const void *in, const void *weights,
	 const void *bias, const void *residual, void *out)
{
	int64_t ids[] = { TENSOR_IN, TENSOR_WEIGHTS, TENSOR_OUT, 0, 0 };
	const void *addresses[] = { in, weights, out, NULL, NULL };
	int64_t count = 3;
	if (plan->bias) {
		ids[count] = TENSOR_BIAS;
		addresses[count++] = bias;
	}
	if (plan->residual) {
		ids[count] = TENSOR_RESIDUAL;
		addresses[count++] = residual;
	}
	struct builder builder = { 0 };
	cudnnBackendDescriptor_t pack = create(&builder, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
	set(&builder, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
	    addresses);
	set(&builder, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
	set(&builder, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
	    &compute->workspace);
	finalize(&builder, pack);
	if (builder.status == CUDNN_STATUS_SUCCESS)
		builder.status = cudnnBackendExecute(compute->dnn, plan->execution, pack);
	destroy_made(&builder);
	return cuda_compute_check_dnn(compute, builder.status, "cudnnBackendExecute");
}
