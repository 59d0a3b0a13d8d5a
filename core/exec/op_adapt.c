/*
 * Operators that run as another one. Before opset 7 the attribute `axis` said where the dimensions of the second input
 * belong; since then they belong at the end: ones are put after them. And Pow of two element types.
 */
#include <inttypes.h>
#include <string.h>

#include "exec/elements.h"
#include "exec/operator.h"
#include "exec/widen.h"

enum {
	/* The opset whose broadcast is NumPy's. */
	BROADCAST_OPSET = 7,
	/* Numbers of dims that PRelu's slope is for one channel each. */
	CHANNEL_AXIS = 1,
};

/* The node as one of opset 7, in arena; and the operator that serves it. NULL with the error set. */
static const struct op *
find_modern(const struct operator_call *call, struct arena *arena, const struct node **node)
{
	struct node *modern = arena_alloc(arena, sizeof(*modern));
	if (modern == NULL)
		return NULL;
	*modern = *call->node;
	modern->opset = BROADCAST_OPSET;
	*node = modern;
	return operator_find(modern);
}

/* Dimensions of ones to put after the second input's own. */
static int
count_ones(const struct operator_call *call, uint32_t *ones)
{
	uint32_t rank = call->inputs[0].rank, own = call->inputs[1].rank;
	bool is_prelu = strcmp(call->node->op_type, "PRelu") == 0;
	*ones = 0;
	if (is_prelu && own == 1 && rank > 1 && tensor_elements(&call->inputs[1]) != 1)
		*ones = rank - 1 - CHANNEL_AXIS;
	if (is_prelu || node_attribute(call->node, "axis") == NULL || own == 0)
		return 0;
	int64_t axis = node_int(call->node, "axis", 0);
	axis += axis < 0 ? rank : 0;
	if (axis < 0 || axis + own > rank)
		return operator_error(call, "axis %" PRId64 " does not fit the inputs", axis);
	*ones = rank - own - (uint32_t)axis;
	return 0;
}

/* call with its second input in opset 7's shape; memory from arena. */
static int
adapt(const struct operator_call *call, struct operator_call *modern, struct arena *arena)
{
	struct tensor_type *types = arena_calloc(arena, call->input_count, sizeof(*types));
	uint32_t ones;
	*modern = *call;
	if (types == NULL || count_ones(call, &ones) != 0)
		return -1;
	memcpy(types, call->inputs, call->input_count * sizeof(*types));
	while (ones-- > 0)
		types[1].dims[types[1].rank++] = 1;
	modern->inputs = types;
	modern->op = find_modern(call, arena, &modern->node);
	return modern->op == NULL ? -1 : 0;
}

static int
infer_old(struct operator_call *call)
{
	struct operator_call modern;
	struct arena scratch;
	arena_create(&scratch, 0);
	int result = adapt(call, &modern, &scratch);
	if (result == 0)
		result = modern.op->infer(&modern);
	arena_destroy(&scratch);
	return result;
}

static int
prepare_old(struct operator_call *call)
{
	struct operator_call modern;
	if (adapt(call, &modern, call->arena) != 0)
		return -1;
	return operator_prepare_as(&modern);
}

/* --- Pow ---------------------------------------------------------------------------------------------------------- */

static int
infer_pow(struct operator_call *call)
{
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	if (operator_broadcast(call, &rank, dims, &call->inputs[0]) != 0 ||
	    operator_broadcast(call, &rank, dims, &call->inputs[1]) != 0)
		return -1;
	return operator_output(call, 0, call->inputs[0].data_type, rank, dims);
}

static bool
is_any(enum data_type data_type)
{
	return data_type != DATA_TYPE_NONE && data_type != DATA_TYPE_DOUBLE;
}

static int
prepare_pow(struct operator_call *call)
{
	struct operator_call modern = *call;
	modern.op = find_modern(call, call->arena, &modern.node);
	if (modern.op == NULL)
		return -1;
	if (call->inputs[0].data_type == call->inputs[1].data_type)
		return modern.op->prepare(&modern);
	return widen_prepare_as(call, modern.op, is_any, DATA_TYPE_DOUBLE);
}

static bool
pow_element(const struct operator_call *call, struct element *element)
{
	*element = (struct element){ .operand_count = 2,
				     .function.binary = ROW_POW,
				     .data_type = call->inputs[0].data_type,
				     .result_type = call->outputs[0].data_type };
	return call->inputs[0].data_type == call->inputs[1].data_type;
}

/* clang-format off */
#define OLD(NAME, MOST)                                                                            \
	{ .type = NAME, .since = 1, .inputs = { 2, MOST }, .outputs = { 1, 1 },                    \
	  .flags = OPERATOR_ADAPTER, .infer = infer_old, .prepare = prepare_old }
/* clang-format on */

static const struct op adapt_operators[] = {
	OLD("Add", 2),
	OLD("Sub", 2),
	OLD("Mul", 2),
	OLD("Div", 2),
	OLD("Pow", 2),
	OLD("And", 2),
	OLD("Or", 2),
	OLD("Xor", 2),
	OLD("Equal", 2),
	OLD("Less", 2),
	OLD("Greater", 2),
	OLD("PRelu", 2),
	OLD("Gemm", 3),
	{ .type = "Pow",
	  .since = 12,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_IN_PLACE,
	  .infer = infer_pow,
	  .prepare = prepare_pow,
	  .element = pow_element },
};

const struct operator_family operator_family_adapt = {
	adapt_operators,
	sizeof(adapt_operators) / sizeof(adapt_operators[0]),
};
