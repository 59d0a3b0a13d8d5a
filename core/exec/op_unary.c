/* Element-wise operators of one tensor: a row function of rows.h a kernel. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/elements.h"
#include "exec/op_unary.h"
#include "exec/operator.h"
#include "exec/parallel.h"
#include "exec/rows.h"

enum {
	/* Elements worth a thread of their own. */
	GRAIN_ELEMENTS = 16384,
};

struct unary {
	row_unary_f *row;
	int64_t elements;
	size_t element_bytes;
	float alpha;
	float beta;
	unsigned threads;
};

struct unary_run {
	const struct unary *unary;
	const struct operands *operands;
};

static void
run_unary_part(void *context, int64_t begin, int64_t end)
{
	const struct unary_run *run = context;
	const struct unary *unary = run->unary;
	const char *in = run->operands->inputs[0];
	char *out = run->operands->outputs[0];
	size_t offset = (size_t)begin * unary->element_bytes;
	unary->row(out + offset, in + offset, end - begin, unary->alpha, unary->beta);
}

static int
run_unary(const void *state, const struct operands *operands)
{
	const struct unary *unary = state;
	struct unary_run run = { unary, operands };
	parallel_for(unary->threads, unary->elements, GRAIN_ELEMENTS, run_unary_part, &run);
	return 0;
}

/* The row function of each operator, and what its parameters are called and default to. */
static const struct unary_entry {
	const char *type;
	enum row_unary row;
	const char *alpha_name;
	float alpha;
	const char *beta_name;
	float beta;
} unary_entries[] = {
	{ "Relu", ROW_RELU, NULL, 0, NULL, 0 },
	{ "LeakyRelu", ROW_LEAKY_RELU, "alpha", 0.01f, NULL, 0 },
	{ "Elu", ROW_ELU, "alpha", 1, NULL, 0 },
	{ "Selu", ROW_SELU, "gamma", 1.05070102214813232421875f, "alpha",
	  1.67326319217681884765625f },
	{ "Celu", ROW_CELU, "alpha", 1, NULL, 0 },
	{ "Sigmoid", ROW_SIGMOID, NULL, 0, NULL, 0 },
	{ "Tanh", ROW_TANH, NULL, 0, NULL, 0 },
	{ "HardSigmoid", ROW_HARD_SIGMOID, "alpha", 0.2f, "beta", 0.5f },
	{ "HardSwish", ROW_HARD_SWISH, NULL, 0, NULL, 0 },
	{ "Swish", ROW_SWISH, "alpha", 1, NULL, 0 },
	{ "Softplus", ROW_SOFTPLUS, NULL, 0, NULL, 0 },
	{ "Softsign", ROW_SOFTSIGN, NULL, 0, NULL, 0 },
	{ "ThresholdedRelu", ROW_THRESHOLD, "alpha", 1, NULL, 0 },
	{ "Mish", ROW_MISH, NULL, 0, NULL, 0 },
	{ "Exp", ROW_EXP, NULL, 0, NULL, 0 },
	{ "Log", ROW_LOG, NULL, 0, NULL, 0 },
	{ "Sqrt", ROW_SQRT, NULL, 0, NULL, 0 },
	{ "Reciprocal", ROW_RECIPROCAL, NULL, 0, NULL, 0 },
	{ "Neg", ROW_NEG, NULL, 0, NULL, 0 },
	{ "Abs", ROW_ABS, NULL, 0, NULL, 0 },
	{ "Sign", ROW_SIGN, NULL, 0, NULL, 0 },
	{ "Floor", ROW_FLOOR, NULL, 0, NULL, 0 },
	{ "Ceil", ROW_CEIL, NULL, 0, NULL, 0 },
	{ "Round", ROW_ROUND, NULL, 0, NULL, 0 },
	{ "Erf", ROW_ERF, NULL, 0, NULL, 0 },
	{ "Sin", ROW_SIN, NULL, 0, NULL, 0 },
	{ "Cos", ROW_COS, NULL, 0, NULL, 0 },
	{ "Tan", ROW_TAN, NULL, 0, NULL, 0 },
	{ "Asin", ROW_ASIN, NULL, 0, NULL, 0 },
	{ "Acos", ROW_ACOS, NULL, 0, NULL, 0 },
	{ "Atan", ROW_ATAN, NULL, 0, NULL, 0 },
	{ "Sinh", ROW_SINH, NULL, 0, NULL, 0 },
	{ "Cosh", ROW_COSH, NULL, 0, NULL, 0 },
	{ "Asinh", ROW_ASINH, NULL, 0, NULL, 0 },
	{ "Acosh", ROW_ACOSH, NULL, 0, NULL, 0 },
	{ "Atanh", ROW_ATANH, NULL, 0, NULL, 0 },
	{ "Not", ROW_NOT, NULL, 0, NULL, 0 },
	{ "BitwiseNot", ROW_BITWISE_NOT, NULL, 0, NULL, 0 },
};

static int
use_unary(struct operator_call *call, enum row_unary function, float alpha, float beta)
{
	struct unary *unary = operator_state(call, sizeof(*unary));
	if (unary == NULL)
		return -1;
	const struct tensor_type *type = &call->inputs[0];
	*unary = (struct unary){
		.row = row_unary(function, type->data_type),
		.elements = (int64_t)(layout_bytes(type, call->input_layouts[0]) /
				      data_type_bytes(type->data_type)),
		.element_bytes = data_type_bytes(type->data_type),
		.alpha = alpha,
		.beta = beta,
		.threads = call->threads,
	};
	if (unary->row == NULL)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(type->data_type));
	call->kernel->run = run_unary;
	return 0;
}

struct op_unary
op_unary_read(const struct operator_call *call)
{
	const struct unary_entry *entry = unary_entries;
	while (strcmp(entry->type, call->node->op_type) != 0)
		entry++;
	struct op_unary unary = { entry->row, entry->alpha, entry->beta };
	if (entry->alpha_name != NULL)
		unary.alpha = node_float(call->node, entry->alpha_name, unary.alpha);
	if (entry->beta_name != NULL)
		unary.beta = node_float(call->node, entry->beta_name, unary.beta);
	return unary;
}

static bool
use_element(const struct operator_call *call, struct element *element, enum row_unary function,
	    float alpha, float beta)
{
	*element = (struct element){ .operand_count = 1,
				     .function.unary = function,
				     .data_type = call->inputs[0].data_type,
				     .result_type = call->outputs[0].data_type,
				     .alpha = alpha,
				     .beta = beta };
	return true;
}

static bool
unary_element(const struct operator_call *call, struct element *element)
{
	struct op_unary unary = op_unary_read(call);
	return use_element(call, element, unary.row, unary.alpha, unary.beta);
}

static int
prepare_unary(struct operator_call *call)
{
	struct op_unary unary = op_unary_read(call);
	return use_unary(call, unary.row, unary.alpha, unary.beta);
}

static enum row_unary
gelu_row(const struct operator_call *call)
{
	bool tanh = strcmp(node_string(call->node, "approximate", "none"), "tanh") == 0;
	return tanh ? ROW_GELU_TANH : ROW_GELU_ERF;
}

static int
prepare_gelu(struct operator_call *call)
{
	return use_unary(call, gelu_row(call), 0, 0);
}

static bool
gelu_element(const struct operator_call *call, struct element *element)
{
	return use_element(call, element, gelu_row(call), 0, 0);
}

/* What keeps zeros zero may run on padded blocks. */
static bool
unary_blocks(const struct operator_call *call)
{
	return call->inputs[0].dims[1] % layout_block() == 0;
}

/* --- Clip --------------------------------------------------------------------------------------------------------- */

/* The bounds as attributes (before opset 11) or known inputs, scalars. */
struct clip {
	double low;
	double high;
	int64_t elements;
	enum data_type data_type;
};

#define CLIP_INTEGERS(X)                                                                           \
	X(INT8, int8_t, INT8_MIN, INT8_MAX)                                                        \
	X(INT16, int16_t, INT16_MIN, INT16_MAX)                                                    \
	X(INT32, int32_t, INT32_MIN, INT32_MAX)                                                    \
	X(INT64, int64_t, INT64_MIN, INT64_MAX)                                                    \
	X(UINT8, uint8_t, 0, UINT8_MAX)                                                            \
	X(UINT16, uint16_t, 0, UINT16_MAX)                                                         \
	X(UINT32, uint32_t, 0, UINT32_MAX)                                                         \
	X(UINT64, uint64_t, 0, UINT64_MAX)

#define CLIP(N, type, lowest, highest)                                                             \
	static void clip_##N(const struct clip *clip, const type *in, type *out)                   \
	{                                                                                          \
		type low = clip->low <= (double)lowest ? lowest : (type)clip->low;                 \
		type high = clip->high >= (double)highest ? highest : (type)clip->high;            \
		for (int64_t i = 0; i < clip->elements; i++) {                                     \
			type x = in[i] < low ? low : in[i];                                        \
			out[i] = x > high ? high : x;                                              \
		}                                                                                  \
	}
CLIP_INTEGERS(CLIP)
CLIP(DOUBLE, double, -INFINITY, INFINITY)

static int
run_clip(const void *state, const struct operands *operands)
{
	const struct clip *clip = state;
	switch (clip->data_type) {
#define X(N, type, lowest, highest)                                                                \
	case DATA_TYPE_##N:                                                                        \
		clip_##N(clip, operands->inputs[0], operands->outputs[0]);                         \
		break;
		CLIP_INTEGERS(X)
		X(DOUBLE, double, 0, 0)
#undef X
	default:
		break;
	}
	return 0;
}

/* 16-bit floats are not among them: they are widened (exec/widen.h). */
static bool
clips(enum data_type data_type)
{
	switch (data_type) {
#define X(N, type, lowest, highest) case DATA_TYPE_##N:
		CLIP_INTEGERS(X)
		X(DOUBLE, double, 0, 0)
#undef X
		return true;
	default:
		return false;
	}
}

static int
infer_clip(struct operator_call *call)
{
	for (uint32_t i = 1; i < call->input_count; i++) {
		if (!operator_has_input(call, i))
			continue;
		if (call->inputs[i].data_type != call->inputs[0].data_type ||
		    tensor_elements(&call->inputs[i]) != 1)
			return operator_error(call, "input %" PRIu32 " must be one %s", i,
					      data_type_name(call->inputs[0].data_type));
	}
	return infer_same(call);
}

static void
read_bounds(const struct operator_call *call, double *low, double *high)
{
	*low = operator_scalar(call, 1, node_float(call->node, "min", -INFINITY));
	*high = operator_scalar(call, 2, node_float(call->node, "max", INFINITY));
	/* The upper bound wins. */
	*low = *low > *high ? *high : *low;
}

static bool
clip_element(const struct operator_call *call, struct element *element)
{
	double low, high;
	read_bounds(call, &low, &high);
	return call->inputs[0].data_type == DATA_TYPE_FLOAT &&
	       use_element(call, element, ROW_CLIP, (float)low, (float)high);
}

static int
prepare_clip(struct operator_call *call)
{
	double low, high;
	read_bounds(call, &low, &high);
	if (call->inputs[0].data_type == DATA_TYPE_FLOAT)
		return use_unary(call, ROW_CLIP, (float)low, (float)high);
	if (!clips(call->inputs[0].data_type))
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(call->inputs[0].data_type));
	struct clip *clip = operator_state(call, sizeof(*clip));
	if (clip == NULL)
		return -1;
	*clip = (struct clip){ low, high, tensor_elements(&call->inputs[0]),
			       call->inputs[0].data_type };
	call->kernel->run = run_clip;
	return 0;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define UNARY(NAME, SINCE, BLOCKS)                                                                 \
	{ .type = NAME, .since = SINCE, .inputs = { 1, 1 }, .outputs = { 1, 1 },                   \
	  .flags = OPERATOR_IN_PLACE, .layouts = OPERATOR_LAYOUTS_UNARY, .infer = infer_same,      \
	  .prepare = prepare_unary, .blocks = BLOCKS, .element = unary_element }
/* clang-format on */

static const struct op unary_operators[] = {
	UNARY("Relu", 1, unary_blocks),
	UNARY("LeakyRelu", 1, unary_blocks),
	UNARY("Elu", 1, unary_blocks),
	UNARY("Selu", 1, unary_blocks),
	UNARY("Celu", 12, unary_blocks),
	UNARY("Sigmoid", 1, unary_blocks),
	UNARY("Tanh", 1, unary_blocks),
	UNARY("HardSigmoid", 1, unary_blocks),
	UNARY("HardSwish", 14, unary_blocks),
	UNARY("Swish", 24, unary_blocks),
	UNARY("Softplus", 1, unary_blocks),
	UNARY("Softsign", 1, unary_blocks),
	UNARY("ThresholdedRelu", 10, unary_blocks),
	UNARY("Mish", 18, unary_blocks),
	UNARY("Exp", 1, unary_blocks),
	UNARY("Log", 1, unary_blocks),
	UNARY("Sqrt", 1, unary_blocks),
	UNARY("Reciprocal", 1, unary_blocks),
	UNARY("Neg", 1, unary_blocks),
	UNARY("Abs", 1, unary_blocks),
	UNARY("Sign", 9, unary_blocks),
	UNARY("Floor", 1, unary_blocks),
	UNARY("Ceil", 1, unary_blocks),
	UNARY("Round", 11, unary_blocks),
	UNARY("Erf", 9, unary_blocks),
	UNARY("Sin", 7, unary_blocks),
	UNARY("Cos", 7, unary_blocks),
	UNARY("Tan", 7, unary_blocks),
	UNARY("Asin", 7, unary_blocks),
	UNARY("Acos", 7, unary_blocks),
	UNARY("Atan", 7, unary_blocks),
	UNARY("Sinh", 9, unary_blocks),
	UNARY("Cosh", 9, unary_blocks),
	UNARY("Asinh", 9, unary_blocks),
	UNARY("Acosh", 9, unary_blocks),
	UNARY("Atanh", 9, unary_blocks),
	UNARY("Not", 1, NULL),
	UNARY("BitwiseNot", 18, NULL),
	{ .type = "Gelu",
	  .since = 20,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_IN_PLACE,
	  .layouts = OPERATOR_LAYOUTS_UNARY,
	  .infer = infer_same,
	  .prepare = prepare_gelu,
	  .blocks = unary_blocks,
	  .element = gelu_element },
	{ .type = "Clip",
	  .since = 1,
	  .inputs = { 1, 3 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1 | 1 << 2,
	  .flags = OPERATOR_IN_PLACE,
	  .layouts = OPERATOR_LAYOUTS_UNARY,
	  .infer = infer_clip,
	  .prepare = prepare_clip,
	  .blocks = unary_blocks,
	  .element = clip_element },
};

const struct operator_family operator_family_unary = {
	unary_operators,
	sizeof(unary_operators) / sizeof(unary_operators[0]),
};
