/* Element-wise operators. */
#include <math.h>
#include <string.h>

#include "exec/cuda/op.h"
#include "exec/cuda/posts.h"
#include "exec/op_binary.h"
#include "exec/op_unary.h"

/* --- of one tensor ---------------------------------------------------------------------------------------------------- */

struct unary {
	enum row_unary row;
	enum data_type data_type;
	int64_t elements;
	float alpha;
	float beta;
};

static int
run_unary(const void *state, const struct operands *operands)
{
	const struct unary *unary = state;
	cudaStream_t stream = cuda_op_compute(operands)->stream;
	const void *in = operands->inputs[0];
	void *out = operands->outputs[0];
	cudaError_t status = cuda_op_is_real(unary->data_type)
				     ? kernel_unary(stream, unary->row, unary->data_type, in, out,
						    unary->elements, unary->alpha, unary->beta)
				     : kernel_unary_integer(stream, unary->row, unary->data_type,
							    in, out, unary->elements);
	return cuda_op_launched(operands, status, "kernel_unary");
}

/* What the host has loops for, kernels serve. */
static bool
has_unary(enum row_unary row, enum data_type data_type)
{
	if (data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16)
		data_type = DATA_TYPE_FLOAT;
	return row_unary(row, data_type) != NULL;
}

static int
use_unary(struct operator_call *call, enum row_unary row, float alpha, float beta)
{
	struct unary *unary = operator_state(call, sizeof(*unary));
	enum data_type data_type = call->inputs[0].data_type;
	if (unary == NULL)
		return -1;
	if (!has_unary(row, data_type))
		return cuda_op_unsupported(call, data_type);
	*unary = (struct unary){ row, data_type, tensor_elements(&call->inputs[0]), alpha, beta };
	call->kernel->run = run_unary;
	return 0;
}

static int
prepare_unary(struct operator_call *call)
{
	struct op_unary unary = op_unary_read(call);
	return use_unary(call, unary.row, unary.alpha, unary.beta);
}

static int
prepare_gelu(struct operator_call *call)
{
	bool tanh = strcmp(node_string(call->node, "approximate", "none"), "tanh") == 0;
	return use_unary(call, tanh ? ROW_GELU_TANH : ROW_GELU_ERF, 0, 0);
}

struct clip {
	enum data_type data_type;
	int64_t elements;
	double low;
	double high;
};

static int
run_clip(const void *state, const struct operands *operands)
{
	const struct clip *clip = state;
	return cuda_op_launched(operands,
				kernel_clip(cuda_op_compute(operands)->stream, clip->data_type,
					    operands->inputs[0], operands->outputs[0],
					    clip->elements, clip->low, clip->high),
				"kernel_clip");
}

static int
prepare_clip(struct operator_call *call)
{
	enum data_type data_type = call->inputs[0].data_type;
	double low = operator_scalar(call, 1, node_float(call->node, "min", -INFINITY));
	double high = operator_scalar(call, 2, node_float(call->node, "max", INFINITY));
	if (data_type == DATA_TYPE_FLOAT)
		return use_unary(call, ROW_CLIP, (float)low, (float)high);
	if (data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16)
		return cuda_op_unsupported(call, data_type);
	struct clip *clip = operator_state(call, sizeof(*clip));
	if (clip == NULL)
		return -1;
	*clip = (struct clip){ data_type, tensor_elements(&call->inputs[0]), low, high };
	call->kernel->run = run_clip;
	return 0;
}

/* --- copies and conversions ------------------------------------------------------------------------------------------- */

static int
run_copy(const void *state, const struct operands *operands)
{
	struct cuda_compute *compute = cuda_op_compute(operands);
	if (operands->outputs[0] == operands->inputs[0])
		return 0;
	return cuda_compute_check(compute,
				  cudaMemcpyAsync(operands->outputs[0], operands->inputs[0],
						  *(const size_t *)state, cudaMemcpyDeviceToDevice,
						  compute->stream),
				  "cudaMemcpyAsync");
}

static int
prepare_copy(struct operator_call *call)
{
	size_t *bytes = operator_state(call, sizeof(*bytes));
	if (bytes == NULL)
		return -1;
	*bytes = tensor_bytes(&call->outputs[0]);
	call->kernel->run = run_copy;
	return 0;
}

struct cast {
	enum data_type from;
	enum data_type to;
	int64_t elements;
};

static int
run_cast(const void *state, const struct operands *operands)
{
	const struct cast *cast = state;
	return cuda_op_launched(operands,
				kernel_cast(cuda_op_compute(operands)->stream, cast->to,
					    operands->outputs[0], cast->from, operands->inputs[0],
					    cast->elements),
				"kernel_cast");
}

static int
prepare_cast(struct operator_call *call)
{
	if (call->inputs[0].data_type == call->outputs[0].data_type)
		return prepare_copy(call);
	struct cast *cast = operator_state(call, sizeof(*cast));
	if (cast == NULL)
		return -1;
	*cast = (struct cast){ call->inputs[0].data_type, call->outputs[0].data_type,
			       tensor_elements(&call->outputs[0]) };
	call->kernel->run = run_cast;
	return 0;
}

/* --- of two and more --------------------------------------------------------------------------------------------------- */

struct binary {
	enum row_binary row;
	enum data_type data_type;
	struct broadcast broadcast;
};

static int
put_binary(const struct binary *binary, const struct operands *operands, const void *a,
	   const void *b, void *out)
{
	return cuda_op_launched(operands,
				kernel_binary(cuda_op_compute(operands)->stream, binary->row,
					      binary->data_type, &binary->broadcast, a, b, out),
				"kernel_binary");
}

static int
run_binary(const void *state, const struct operands *operands)
{
	return put_binary(state, operands, operands->inputs[0], operands->inputs[1],
			  operands->outputs[0]);
}

static int
create_binary(const struct operator_call *call, struct binary *binary, enum row_binary row,
	      const struct tensor_type *a, const struct tensor_type *b)
{
	const struct tensor_type *types[] = { a, b };
	enum data_type data_type = a->data_type;
	bool is_half = data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
	if (row_binary(row, is_half ? DATA_TYPE_FLOAT : data_type) == NULL ||
	    b->data_type != data_type)
		return cuda_op_unsupported(call, data_type);
	*binary = (struct binary){ row, data_type, { 0 } };
	broadcast_create(&binary->broadcast, &call->outputs[0], types, 2);
	return 0;
}

static int
use_binary(struct operator_call *call, enum row_binary row)
{
	struct binary *binary = operator_state(call, sizeof(*binary));
	call->kernel->run = run_binary;
	if (binary == NULL)
		return -1;
	return create_binary(call, binary, row, &call->inputs[0], &call->inputs[1]);
}

static int
prepare_binary(struct operator_call *call)
{
	return use_binary(call, op_binary_row(call));
}

/* Two element types are what the host makes of them: both widened to FP64, here by kernels. */
static int
prepare_pow(struct operator_call *call)
{
	if (call->inputs[0].data_type == call->inputs[1].data_type)
		return prepare_binary(call);
	return call->op->prepare(call);
}

static int
prepare_mod(struct operator_call *call)
{
	bool as_c = node_int(call->node, "fmod", 0) != 0;
	return use_binary(call, as_c ? ROW_FMOD : ROW_MOD);
}

/* out = f(f(in0, in1), in2) …, then times scale. */
struct variadic {
	uint32_t steps;
	struct binary *binaries;
	float scale;
	enum data_type data_type;
	int64_t elements;
};

static int
run_variadic(const void *state, const struct operands *operands)
{
	const struct variadic *variadic = state;
	void *out = operands->outputs[0];
	const void *a = operands->inputs[0];
	for (uint32_t i = 0; i < variadic->steps; i++) {
		if (put_binary(&variadic->binaries[i], operands, a, operands->inputs[i + 1], out) !=
		    0)
			return -1;
		a = out;
	}
	if (variadic->scale == 1)
		return 0;
	return cuda_op_launched(operands,
				kernel_unary(cuda_op_compute(operands)->stream, ROW_LINEAR,
					     variadic->data_type, out, out, variadic->elements,
					     variadic->scale, 0),
				"kernel_unary");
}

static int
use_variadic(struct operator_call *call, enum row_binary row, float scale)
{
	if (call->input_count == 1)
		return prepare_copy(call);
	struct variadic *variadic = operator_state(call, sizeof(*variadic));
	if (variadic == NULL)
		return -1;
	enum data_type data_type = call->outputs[0].data_type;
	*variadic = (struct variadic){ call->input_count - 1, NULL, scale, data_type,
				       tensor_elements(&call->outputs[0]) };
	variadic->binaries =
		arena_calloc(call->arena, variadic->steps, sizeof(variadic->binaries[0]));
	if (variadic->binaries == NULL)
		return -1;
	if (scale != 1 && !cuda_op_is_real(data_type))
		return cuda_op_unsupported(call, data_type);
	for (uint32_t i = 0; i < variadic->steps; i++)
		if (create_binary(call, &variadic->binaries[i], row,
				  i == 0 ? &call->inputs[0] : &call->outputs[0],
				  &call->inputs[i + 1]) != 0)
			return -1;
	call->kernel->run = run_variadic;
	return 0;
}

static int
prepare_variadic(struct operator_call *call)
{
	if (call->input_count == 2)
		return prepare_binary(call);
	return use_variadic(call, op_binary_row(call), 1);
}

static int
prepare_mean(struct operator_call *call)
{
	return use_variadic(call, ROW_ADD, 1 / (float)call->input_count);
}

struct where {
	struct broadcast broadcast;
	size_t element_bytes;
};

static int
run_where(const void *state, const struct operands *operands)
{
	const struct where *where = state;
	return cuda_op_launched(operands,
				kernel_where(cuda_op_compute(operands)->stream,
					     where->element_bytes, &where->broadcast,
					     operands->inputs[0], operands->inputs[1],
					     operands->inputs[2], operands->outputs[0]),
				"kernel_where");
}

static int
prepare_where(struct operator_call *call)
{
	const struct tensor_type *types[] = { &call->inputs[0], &call->inputs[1],
					      &call->inputs[2] };
	struct where *where = operator_state(call, sizeof(*where));
	if (where == NULL)
		return -1;
	where->element_bytes = data_type_bytes(call->outputs[0].data_type);
	broadcast_create(&where->broadcast, &call->outputs[0], types, 3);
	call->kernel->run = run_where;
	return 0;
}

/* --- Scale -------------------------------------------------------------------------------------------------------------- */

static int
run_scale(const void *state, const struct operands *operands)
{
	return cuda_posts_run(state, operands, operands->inputs[0], operands->outputs[0]);
}

/* x * factor + summand, one of each a channel, and the node's own posts. */
static int
prepare_scale(struct operator_call *call)
{
	struct cuda_posts *posts = operator_state(call, sizeof(*posts));
	if (posts == NULL)
		return -1;
	if (!cuda_op_is_real(call->inputs[0].data_type))
		return cuda_op_unsupported(call, call->inputs[0].data_type);
	cuda_posts_begin(posts, call);
	cuda_posts_put_channels(posts, 0, call, POST_MUL, 1);
	cuda_posts_put_channels(posts, 1, call, POST_ADD, 2);
	for (uint32_t i = 0; i < call->node->post_count; i++)
		if (cuda_posts_add(posts, call, &call->node->posts[i]) != 0)
			return -1;
	call->kernel->run = run_scale;
	return 0;
}

/* --- the table ----------------------------------------------------------------------------------------------------------- */

/* Operators before these opsets are adapters to them. */
#define UNARY(NAME)                                                                                \
	{                                                                                          \
		NULL, NAME, 1, prepare_unary                                                       \
	}
#define BINARY(NAME)                                                                               \
	{                                                                                          \
		NULL, NAME, 7, prepare_binary                                                      \
	}
#define VARIADIC(NAME)                                                                             \
	{                                                                                          \
		NULL, NAME, 1, prepare_variadic                                                    \
	}

static const struct cuda_op element_operators[] = {
	UNARY("Relu"),
	UNARY("LeakyRelu"),
	UNARY("Elu"),
	UNARY("Selu"),
	UNARY("Celu"),
	UNARY("Sigmoid"),
	UNARY("Tanh"),
	UNARY("HardSigmoid"),
	UNARY("HardSwish"),
	UNARY("Swish"),
	UNARY("Softplus"),
	UNARY("Softsign"),
	UNARY("ThresholdedRelu"),
	UNARY("Mish"),
	UNARY("Exp"),
	UNARY("Log"),
	UNARY("Sqrt"),
	UNARY("Reciprocal"),
	UNARY("Neg"),
	UNARY("Abs"),
	UNARY("Sign"),
	UNARY("Floor"),
	UNARY("Ceil"),
	UNARY("Round"),
	UNARY("Erf"),
	UNARY("Sin"),
	UNARY("Cos"),
	UNARY("Tan"),
	UNARY("Asin"),
	UNARY("Acos"),
	UNARY("Atan"),
	UNARY("Sinh"),
	UNARY("Cosh"),
	UNARY("Asinh"),
	UNARY("Acosh"),
	UNARY("Atanh"),
	UNARY("Not"),
	UNARY("BitwiseNot"),
	{ NULL, "Gelu", 1, prepare_gelu },
	{ NULL, "Clip", 1, prepare_clip },
	BINARY("Add"),
	BINARY("Sub"),
	BINARY("Mul"),
	BINARY("Div"),
	{ NULL, "Pow", 7, prepare_pow },
	BINARY("PRelu"),
	BINARY("Equal"),
	BINARY("Less"),
	BINARY("LessOrEqual"),
	BINARY("Greater"),
	BINARY("GreaterOrEqual"),
	BINARY("And"),
	BINARY("Or"),
	BINARY("Xor"),
	BINARY("BitwiseAnd"),
	BINARY("BitwiseOr"),
	BINARY("BitwiseXor"),
	{ NULL, "Mod", 1, prepare_mod },
	VARIADIC("Max"),
	VARIADIC("Min"),
	VARIADIC("Sum"),
	{ NULL, "Mean", 1, prepare_mean },
	{ NULL, "Where", 1, prepare_where },
	{ NULL, "Cast", 1, prepare_cast },
	{ NULL, "CastLike", 1, prepare_cast },
	{ "tidepool", "Copy", 1, prepare_copy },
	{ "tidepool", "Scale", 1, prepare_scale },
};

const struct cuda_family cuda_family_element = {
	element_operators,
	sizeof(element_operators) / sizeof(element_operators[0]),
};
