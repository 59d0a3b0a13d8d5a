#include "dnn_describe.h"

#include <string.h>

/* What may be set of a descriptor: at least so many values of that type, and at most. */
struct attribute_rule {
	cudnnBackendDescriptorType_t descriptor;
	cudnnBackendAttributeName_t name;
	cudnnBackendAttributeType_t type;
	int64_t least;
	int64_t most;
};

#define TENSOR(name) CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_##name
#define CONV(name) CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_##name
#define FORWARD(name)                                                                              \
	CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,                                    \
		CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_##name
#define BACKWARD(name)                                                                             \
	CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,                              \
		CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_##name
#define MATMUL(name) CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_ATTR_OPERATION_MATMUL_##name
#define REDUCE(name)                                                                               \
	CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_ATTR_OPERATION_REDUCTION_##name
#define APPLY(name)                                                                                \
	CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_##name

static const struct attribute_rule rules[] = {
	{ TENSOR(DATA_TYPE), CUDNN_TYPE_DATA_TYPE, 1, 1 },
	{ TENSOR(DIMENSIONS), CUDNN_TYPE_INT64, 1, DNN_MAX_RANK },
	{ TENSOR(STRIDES), CUDNN_TYPE_INT64, 1, DNN_MAX_RANK },
	{ TENSOR(UNIQUE_ID), CUDNN_TYPE_INT64, 1, 1 },
	{ TENSOR(BYTE_ALIGNMENT), CUDNN_TYPE_INT64, 1, 1 },
	{ TENSOR(IS_VIRTUAL), CUDNN_TYPE_BOOLEAN, 0, 1 },
	{ TENSOR(IS_BY_VALUE), CUDNN_TYPE_BOOLEAN, 0, 1 },
	{ CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1,
	  1 },
	{ MATMUL(DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ MATMUL(ADESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ MATMUL(BDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ MATMUL(CDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_OPERATOR,
	  CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, 1 },
	{ CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
	  1, 1 },
	{ REDUCE(DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ REDUCE(XDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ REDUCE(YDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ CONV(COMP_TYPE), CUDNN_TYPE_DATA_TYPE, 1, 1 },
	{ CONV(CONV_MODE), CUDNN_TYPE_CONVOLUTION_MODE, 1, 1 },
	{ CONV(SPATIAL_DIMS), CUDNN_TYPE_INT64, 1, 1 },
	{ CONV(DILATIONS), CUDNN_TYPE_INT64, 1, DNN_MAX_RANK },
	{ CONV(FILTER_STRIDES), CUDNN_TYPE_INT64, 1, DNN_MAX_RANK },
	{ CONV(PRE_PADDINGS), CUDNN_TYPE_INT64, 1, DNN_MAX_RANK },
	{ CONV(POST_PADDINGS), CUDNN_TYPE_INT64, 1, DNN_MAX_RANK },
	{ CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE,
	  1, 1 },
	{ CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE,
	  1, 1 },
	{ FORWARD(CONV_DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ FORWARD(X), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ FORWARD(W), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ FORWARD(Y), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ FORWARD(ALPHA), CUDNN_TYPE_FLOAT, 1, 1 },
	{ FORWARD(BETA), CUDNN_TYPE_FLOAT, 1, 1 },
	{ BACKWARD(CONV_DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ BACKWARD(DY), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ BACKWARD(W), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ BACKWARD(DX), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ BACKWARD(ALPHA), CUDNN_TYPE_FLOAT, 1, 1 },
	{ BACKWARD(BETA), CUDNN_TYPE_FLOAT, 1, 1 },
	{ APPLY(PW_DESCRIPTOR), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ APPLY(XDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ APPLY(BDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, 1 },
	{ APPLY(YDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE,
	  CUDNN_TYPE_HANDLE, 1, 1 },
	{ CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS,
	  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, DNN_MAX_OPERATIONS },
	{ CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
	  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1 },
	{ CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
	  1 },
	{ CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
	  CUDNN_TYPE_HANDLE, 1, 1 },
	{ CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
	  CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, 1 },
	{ CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
	  CUDNN_TYPE_INT64, 1, DNN_MAX_TENSORS },
	{ CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
	  CUDNN_TYPE_VOID_PTR, 1, DNN_MAX_TENSORS },
	{ CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
	  CUDNN_TYPE_VOID_PTR, 1, 1 },
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

/* --- attributes ------------------------------------------------------------------------------------------------------ */

static size_t
value_bytes(cudnnBackendAttributeType_t type)
{
	switch (type) {
	case CUDNN_TYPE_INT64:
	case CUDNN_TYPE_HANDLE:
	case CUDNN_TYPE_VOID_PTR:
	case CUDNN_TYPE_BACKEND_DESCRIPTOR:
		return 8;
	case CUDNN_TYPE_BOOLEAN:
		return 1;
	default:
		return 4;
	}
}

static const struct dnn_attribute *
find(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name)
{
	for (int i = 0; i < descriptor->count; i++) {
		if (descriptor->attributes[i].name == name)
			return &descriptor->attributes[i];
	}
	return NULL;
}

static int64_t
integer(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name)
{
	return find(descriptor, name)->integers[0];
}

static int
choice(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name)
{
	return find(descriptor, name)->enums[0];
}

/* The descriptor that an attribute names. */
static const struct dnn_descriptor *
named(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name)
{
	return find(descriptor, name)->pointers[0];
}

static bool
copy_integers(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
	      int64_t count, int64_t *to)
{
	const struct dnn_attribute *attribute = find(descriptor, name);
	memcpy(to, attribute->integers, sizeof(to[0]) * (size_t)attribute->count);
	return attribute->count == count;
}

/* Are all descriptors that it names final? */
static bool
are_named_final(const struct dnn_attribute *attribute)
{
	for (int64_t i = 0; i < attribute->count; i++) {
		const struct dnn_descriptor *other = attribute->pointers[i];
		if (other == NULL || !other->is_final)
			return false;
	}
	return true;
}

/* --- finalizing, a function a type ------------------------------------------------------------------------------------- */

static cudnnStatus_t
finalize_tensor(struct dnn_descriptor *descriptor)
{
	struct dnn_tensor tensor = {
		.type = (cudnnDataType_t)choice(descriptor, CUDNN_ATTR_TENSOR_DATA_TYPE),
		.rank = find(descriptor, CUDNN_ATTR_TENSOR_DIMENSIONS)->count,
		.id = integer(descriptor, CUDNN_ATTR_TENSOR_UNIQUE_ID),
		.alignment = integer(descriptor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT),
	};
	const struct dnn_attribute *is_virtual = find(descriptor, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
	tensor.is_virtual = is_virtual != NULL && is_virtual->booleans[0];
	const struct dnn_attribute *by_value = find(descriptor, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
	tensor.is_by_value = by_value != NULL && by_value->booleans[0];
	copy_integers(descriptor, CUDNN_ATTR_TENSOR_DIMENSIONS, tensor.rank, tensor.dims);
	if (!copy_integers(descriptor, CUDNN_ATTR_TENSOR_STRIDES, tensor.rank, tensor.strides))
		return CUDNN_STATUS_BAD_PARAM;
	for (int64_t i = 0; i < tensor.rank; i++) {
		if (tensor.dims[i] < 1 || tensor.strides[i] < 0)
			return CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND;
	}
	if (tensor.alignment < 1 || (tensor.alignment & (tensor.alignment - 1)) != 0)
		return CUDNN_STATUS_BAD_PARAM;
	if (tensor.type != CUDNN_DATA_FLOAT && tensor.type != CUDNN_DATA_DOUBLE &&
	    tensor.type != CUDNN_DATA_HALF && tensor.type != CUDNN_DATA_BFLOAT16)
		return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
	descriptor->tensor = tensor;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_conv(struct dnn_descriptor *descriptor)
{
	struct dnn_conv conv = {
		.compute = (cudnnDataType_t)choice(descriptor, CUDNN_ATTR_CONVOLUTION_COMP_TYPE),
		.mode = (cudnnConvolutionMode_t)choice(descriptor,
						       CUDNN_ATTR_CONVOLUTION_CONV_MODE),
		.spatial = integer(descriptor, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS),
	};
	int64_t n = conv.spatial;
	if (!copy_integers(descriptor, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, n, conv.begin) ||
	    !copy_integers(descriptor, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, n, conv.end) ||
	    !copy_integers(descriptor, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, n, conv.stride) ||
	    !copy_integers(descriptor, CUDNN_ATTR_CONVOLUTION_DILATIONS, n, conv.dilation))
		return CUDNN_STATUS_BAD_PARAM;
	descriptor->conv = conv;
	return CUDNN_STATUS_SUCCESS;
}

/* Only products as they are are computed: alpha 1, beta 0. */
static bool
is_plain(const struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t alpha,
	 cudnnBackendAttributeName_t beta)
{
	return find(descriptor, alpha)->floats[0] == 1 && find(descriptor, beta)->floats[0] == 0;
}

static cudnnStatus_t
finalize_forward(struct dnn_descriptor *descriptor)
{
	struct dnn_operation operation = {
		.kind = DNN_CONV,
		.x = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X)->tensor,
		.w = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W)->tensor,
		.y = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y)->tensor,
		.conv = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC)->conv,
	};
	bool plain = is_plain(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
			      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
	descriptor->operation = operation;
	return plain ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

static cudnnStatus_t
finalize_backward(struct dnn_descriptor *descriptor)
{
	struct dnn_operation operation = {
		.kind = DNN_CONV_BACKWARD,
		.x = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY)->tensor,
		.w = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W)->tensor,
		.y = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX)->tensor,
		.conv = named(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC)
				->conv,
	};
	bool plain = is_plain(descriptor, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
			      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA);
	descriptor->operation = operation;
	return plain ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

static cudnnStatus_t
finalize_pointwise(struct dnn_descriptor *descriptor)
{
	struct dnn_operation operation = {
		.kind = DNN_POINTWISE,
		.x = named(descriptor, CUDNN_ATTR_OPERATION_POINTWISE_XDESC)->tensor,
		.y = named(descriptor, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)->tensor,
		.mode = named(descriptor, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)->mode,
	};
	if (find(descriptor, CUDNN_ATTR_OPERATION_POINTWISE_BDESC) != NULL)
		operation.w = named(descriptor, CUDNN_ATTR_OPERATION_POINTWISE_BDESC)->tensor;
	descriptor->operation = operation;
	return CUDNN_STATUS_SUCCESS;
}

/* Engines compute in floats. */
static cudnnStatus_t
finalize_product(struct dnn_descriptor *descriptor)
{
	return choice(descriptor, CUDNN_ATTR_MATMUL_COMP_TYPE) == CUDNN_DATA_FLOAT
		       ? CUDNN_STATUS_SUCCESS
		       : CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
}

static cudnnStatus_t
finalize_matmul(struct dnn_descriptor *descriptor)
{
	descriptor->operation = (struct dnn_operation){
		.kind = DNN_MATMUL,
		.x = named(descriptor, CUDNN_ATTR_OPERATION_MATMUL_ADESC)->tensor,
		.w = named(descriptor, CUDNN_ATTR_OPERATION_MATMUL_BDESC)->tensor,
		.y = named(descriptor, CUDNN_ATTR_OPERATION_MATMUL_CDESC)->tensor,
	};
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_reduction(struct dnn_descriptor *descriptor)
{
	cudnnReduceTensorOp_t reduction =
		(cudnnReduceTensorOp_t)choice(descriptor, CUDNN_ATTR_REDUCTION_OPERATOR);
	if (choice(descriptor, CUDNN_ATTR_REDUCTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
		return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
	descriptor->reduction = reduction;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_reduce(struct dnn_descriptor *descriptor)
{
	descriptor->operation = (struct dnn_operation){
		.kind = DNN_REDUCTION,
		.x = named(descriptor, CUDNN_ATTR_OPERATION_REDUCTION_XDESC)->tensor,
		.y = named(descriptor, CUDNN_ATTR_OPERATION_REDUCTION_YDESC)->tensor,
		.reduction = named(descriptor, CUDNN_ATTR_OPERATION_REDUCTION_DESC)->reduction,
	};
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_graph(struct dnn_descriptor *descriptor)
{
	const struct dnn_attribute *operations = find(descriptor, CUDNN_ATTR_OPERATIONGRAPH_OPS);
	struct dnn_graph graph = { .count = operations->count };
	for (int64_t i = 0; i < graph.count; i++)
		graph.operations[i] = ((struct dnn_descriptor *)operations->pointers[i])->operation;
	descriptor->graph = graph;
	return dnn_graph_check(&graph);
}

/* A graph that there is no engine for has a heuristic that proposes none. */
static cudnnStatus_t
finalize_heuristic(struct dnn_descriptor *descriptor)
{
	cudnnBackendHeurMode_t mode =
		(cudnnBackendHeurMode_t)choice(descriptor, CUDNN_ATTR_ENGINEHEUR_MODE);
	descriptor->heuristic.graph =
		named(descriptor, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->graph;
	descriptor->heuristic.mode = mode;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_plan(struct dnn_descriptor *descriptor)
{
	const struct dnn_attribute *config =
		find(descriptor, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
	if ((config != NULL) == descriptor->is_read)
		return CUDNN_STATUS_BAD_PARAM;
	if (config != NULL)
		descriptor->plan = ((struct dnn_descriptor *)config->pointers[0])->plan;
	return CUDNN_STATUS_SUCCESS;
}

/* --- plans as text ------------------------------------------------------------------------------------------------------- */

static const char text_head[] = "{\"standin\":\"";
static const char text_tail[] = "\"}";

enum {
	HEAD = sizeof(text_head) - 1,
	TAIL = sizeof(text_tail) - 1,
	TEXT = HEAD + 2 * sizeof(struct dnn_plan) + TAIL,
};

int64_t
dnn_describe_text(const struct dnn_plan *plan, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = (const unsigned char *)plan;
	if (text == NULL)
		return TEXT;
	memcpy(text, text_head, HEAD);
	for (size_t i = 0; i < sizeof(*plan); i++) {
		text[HEAD + 2 * i] = digits[bytes[i] >> 4];
		text[HEAD + 2 * i + 1] = digits[bytes[i] & 15];
	}
	memcpy(text + TEXT - TAIL, text_tail, TAIL);
	return TEXT;
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

cudnnStatus_t
dnn_describe_read(struct dnn_descriptor *descriptor, const char *text, int64_t bytes)
{
	unsigned char *plan = (unsigned char *)&descriptor->plan;
	if (descriptor->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || bytes != TEXT ||
	    memcmp(text, text_head, HEAD) != 0 || memcmp(text + TEXT - TAIL, text_tail, TAIL) != 0)
		return CUDNN_STATUS_BAD_PARAM;
	for (size_t i = 0; i < sizeof(descriptor->plan); i++) {
		int high = digit(text[HEAD + 2 * i]), low = digit(text[HEAD + 2 * i + 1]);
		if (high < 0 || low < 0)
			return CUDNN_STATUS_BAD_PARAM;
		plan[i] = (unsigned char)(high << 4 | low);
	}
	descriptor->is_read = true;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_pack(struct dnn_descriptor *descriptor)
{
	const struct dnn_attribute *ids = find(descriptor, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
	const struct dnn_attribute *data = find(descriptor, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
	struct dnn_pack pack = {
		.count = ids->count,
		.workspace = find(descriptor, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->pointers[0],
	};
	if (ids->count != data->count)
		return CUDNN_STATUS_BAD_PARAM;
	for (int64_t i = 0; i < pack.count; i++) {
		pack.ids[i] = ids->integers[i];
		pack.addresses[i] = data->pointers[i];
		for (int64_t k = 0; k < i; k++) {
			if (pack.ids[k] == pack.ids[i])
				return CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES;
		}
	}
	descriptor->pack = pack;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
finalize_mode(struct dnn_descriptor *descriptor)
{
	descriptor->mode = (cudnnPointwiseMode_t)choice(descriptor, CUDNN_ATTR_POINTWISE_MODE);
	return CUDNN_STATUS_SUCCESS;
}

/* --- for the API ------------------------------------------------------------------------------------------------------- */

static const struct attribute_rule *
rule_for(cudnnBackendDescriptorType_t type, cudnnBackendAttributeName_t name)
{
	for (int i = 0; i < RULES; i++) {
		if (rules[i].descriptor == type && rules[i].name == name)
			return &rules[i];
	}
	return NULL;
}

cudnnStatus_t
dnn_describe_set(struct dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
		 cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
	const struct attribute_rule *rule = rule_for(descriptor->type, name);
	if (rule == NULL)
		return CUDNN_STATUS_NOT_SUPPORTED;
	if (values == NULL)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	if (rule->type != type)
		return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
	if (count < 1 || count > rule->most)
		return CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND;
	struct dnn_attribute *attribute = (struct dnn_attribute *)find(descriptor, name);
	if (attribute == NULL)
		attribute = &descriptor->attributes[descriptor->count++];
	attribute->name = name;
	attribute->count = count;
	memcpy(attribute->pointers, values, value_bytes(type) * (size_t)count);
	return type == CUDNN_TYPE_BACKEND_DESCRIPTOR && !are_named_final(attribute)
		       ? CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED
		       : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
dnn_describe_finalize(struct dnn_descriptor *descriptor)
{
	static cudnnStatus_t (*const finalize[])(struct dnn_descriptor * descriptor) = {
		[CUDNN_BACKEND_POINTWISE_DESCRIPTOR] = finalize_mode,
		[CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR] = finalize_conv,
		[CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR] = finalize_heuristic,
		[CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR] = finalize_plan,
		[CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR] = finalize_forward,
		[CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR] = finalize_backward,
		[CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR] = finalize_pointwise,
		[CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR] = finalize_graph,
		[CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR] = finalize_pack,
		[CUDNN_BACKEND_TENSOR_DESCRIPTOR] = finalize_tensor,
		[CUDNN_BACKEND_MATMUL_DESCRIPTOR] = finalize_product,
		[CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR] = finalize_matmul,
		[CUDNN_BACKEND_REDUCTION_DESCRIPTOR] = finalize_reduction,
		[CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR] = finalize_reduce,
	};
	for (int i = 0; i < RULES; i++) {
		bool is_missing = rules[i].descriptor == descriptor->type && rules[i].least > 0 &&
				  find(descriptor, rules[i].name) == NULL;
		if (is_missing)
			return CUDNN_STATUS_BAD_PARAM;
	}
	cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
	if ((size_t)descriptor->type < sizeof(finalize) / sizeof(finalize[0]) &&
	    finalize[descriptor->type] != NULL)
		status = finalize[descriptor->type](descriptor);
	descriptor->is_final = status == CUDNN_STATUS_SUCCESS;
	return status;
}
