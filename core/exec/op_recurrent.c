/*
 * Recurrent networks: RNN, GRU, LSTM. Step by step the gates
 * are the input's part plus that of the state (exec/recurrent.h). Formulas and the order of gates are
 * ONNX's.
 */
#include "exec/op_recurrent.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
	/* Inputs: X, W, R, B, sequence_lens, initial_h; LSTM also initial_c, P. */
	INPUT_X = 0,
	INPUT_W = 1,
	INPUT_R = 2,
	INPUT_B = 3,
	INPUT_LENGTHS = 4,
	INPUT_H = 5,
	INPUT_C = 6,
	INPUT_P = 7,
	OUTPUT_Y = 0,
	OUTPUT_H = 1,
	OUTPUT_C = 2,
};

static const float *
input_of(const struct recurrent_node *node, const struct operands *operands, int input)
{
	return node->has_input[input] ? operands->inputs[input] : NULL;
}

static float *
output_of(const struct recurrent_node *node, const struct operands *operands, int output)
{
	return node->has_output[output] ? operands->outputs[output] : NULL;
}

/* Address of a direction's part, NULL stays so. */
static const float *
part(const float *all, int64_t direction, int64_t elements)
{
	return all == NULL ? NULL : all + direction * elements;
}

/* Where the states of one direction begin in a tensor of [directions, batch, hidden] or [batch, directions, hidden]. */
static struct recurrent_steps
state_steps(const struct recurrent_node *node, int64_t direction)
{
	const struct recurrent *shape = &node->shape;
	if (node->batch_first)
		return (struct recurrent_steps){ .offset = direction * shape->hidden,
						 .batch = shape->directions * shape->hidden };
	return (struct recurrent_steps){ .offset = direction * shape->batch * shape->hidden,
					 .batch = shape->hidden };
}

static struct recurrent_steps
input_steps(const struct recurrent_node *node)
{
	const struct recurrent *shape = &node->shape;
	if (node->batch_first)
		return (struct recurrent_steps){ .time = shape->in,
						 .batch = shape->length * shape->in };
	return (struct recurrent_steps){ .time = shape->batch * shape->in, .batch = shape->in };
}

/* Y is [length, directions, batch, hidden] or [batch, length, directions, hidden]. */
static struct recurrent_steps
output_steps(const struct recurrent_node *node, int64_t direction)
{
	const struct recurrent *shape = &node->shape;
	if (node->batch_first)
		return (struct recurrent_steps){
			.offset = direction * shape->hidden,
			.time = shape->directions * shape->hidden,
			.batch = shape->length * shape->directions * shape->hidden,
		};
	return (struct recurrent_steps){
		.offset = direction * shape->batch * shape->hidden,
		.time = shape->directions * shape->batch * shape->hidden,
		.batch = shape->hidden,
	};
}

struct recurrent_direction
op_recurrent_direction(const struct recurrent_node *node, const struct operands *operands,
		       int64_t d)
{
	const struct recurrent *shape = &node->shape;
	int64_t rows = shape->gates * shape->hidden;
	return (struct recurrent_direction){
		.index = d,
		.reverse = shape->starts_reverse || d == 1,
		.x = operands->inputs[INPUT_X],
		.w = part(operands->inputs[INPUT_W], d, rows * shape->in),
		.r = part(operands->inputs[INPUT_R], d, rows * shape->hidden),
		.b = part(input_of(node, operands, INPUT_B), d, 2 * rows),
		.p = part(input_of(node, operands, INPUT_P), d, 3 * shape->hidden),
		.lengths = node->has_input[INPUT_LENGTHS] ? operands->inputs[INPUT_LENGTHS] : NULL,
		.initial_h = input_of(node, operands, INPUT_H),
		.initial_c = input_of(node, operands, INPUT_C),
		.y = output_of(node, operands, OUTPUT_Y),
		.y_h = output_of(node, operands, OUTPUT_H),
		.y_c = output_of(node, operands, OUTPUT_C),
		.x_steps = input_steps(node),
		.y_steps = output_steps(node, d),
		.state_steps = state_steps(node, d),
	};
}

static int
run_recurrent(const void *state, const struct operands *operands)
{
	const struct recurrent_node *node = state;
	const struct recurrent *shape = &node->shape;
	if (recurrent_check_lengths(shape, node->has_input[INPUT_LENGTHS]
						   ? operands->inputs[INPUT_LENGTHS]
						   : NULL) != 0)
		return -1;
	for (int64_t d = 0; d < shape->directions; d++) {
		struct recurrent_direction direction = op_recurrent_direction(node, operands, d);
		recurrent_run(shape, &direction, operands->scratch);
	}
	return 0;
}

/* --- reading the node --------------------------------------------------------------------------------------------- */

static enum recurrent_kind
kind_of(const struct operator_call *call)
{
	const char *type = call->node->op_type;
	return strcmp(type, "LSTM") == 0  ? RECURRENT_LSTM
	       : strcmp(type, "GRU") == 0 ? RECURRENT_GRU
					  : RECURRENT_RNN;
}

/* An input of exactly these dims, or absent. */
static int
check_input(const struct operator_call *call, uint32_t input, uint32_t rank, const int64_t *dims)
{
	const struct tensor_type *type = &call->inputs[input];
	enum data_type wanted = input == INPUT_LENGTHS ? DATA_TYPE_INT32 : DATA_TYPE_FLOAT;
	if (!operator_has_input(call, input))
		return 0;
	if (type->data_type != wanted)
		return operator_unimplemented(call, "input %" PRIu32 " is %s, not %s", input,
					      data_type_name(type->data_type),
					      data_type_name(wanted));
	if (type->rank != rank || memcmp(type->dims, dims, rank * sizeof(dims[0])) != 0)
		return operator_error(call, "input %" PRIu32 " has the wrong shape", input);
	return 0;
}

static int
check_inputs(const struct operator_call *call, const struct recurrent *shape, bool batch_first)
{
	int64_t d = shape->directions, rows = shape->gates * shape->hidden;
	const int64_t w[] = { d, rows, shape->in }, r[] = { d, rows, shape->hidden };
	const int64_t b[] = { d, 2 * rows }, lengths[] = { shape->batch };
	const int64_t p[] = { d, 3 * shape->hidden };
	const int64_t h[] = { batch_first ? shape->batch : d, batch_first ? d : shape->batch,
			      shape->hidden };
	if (check_input(call, INPUT_W, 3, w) != 0 || check_input(call, INPUT_R, 3, r) != 0 ||
	    check_input(call, INPUT_B, 2, b) != 0 ||
	    check_input(call, INPUT_LENGTHS, 1, lengths) != 0 ||
	    check_input(call, INPUT_H, 3, h) != 0 || check_input(call, INPUT_C, 3, h) != 0)
		return -1;
	return check_input(call, INPUT_P, 2, p);
}

static int
read_shape(const struct operator_call *call, struct recurrent *shape, bool *batch_first)
{
	const struct tensor_type *x = &call->inputs[INPUT_X];
	const char *direction = node_string(call->node, "direction", "forward");
	*batch_first = node_int(call->node, "layout", 0) != 0;
	*shape = (struct recurrent){ .kind = kind_of(call) };
	if (x->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(x->data_type));
	if (x->rank != 3 || call->inputs[INPUT_R].rank != 3)
		return operator_error(call, "X must be FP32[length,batch,features]");
	shape->gates = shape->kind == RECURRENT_LSTM ? 4 : shape->kind == RECURRENT_GRU ? 3 : 1;
	shape->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
	shape->starts_reverse = strcmp(direction, "reverse") == 0;
	shape->length = x->dims[*batch_first ? 1 : 0];
	shape->batch = x->dims[*batch_first ? 0 : 1];
	shape->in = x->dims[2];
	shape->hidden = call->inputs[INPUT_R].dims[2];
	if (node_int(call->node, "hidden_size", shape->hidden) != shape->hidden ||
	    shape->hidden < 1 || shape->hidden > INT32_MAX)
		return operator_error(call, "hidden_size is not that of R");
	return check_inputs(call, shape, *batch_first);
}

/* Three functions a direction, each with parameters of its own. */
static int
read_functions(const struct operator_call *call, struct recurrent *shape)
{
	const struct attribute *names = node_attribute(call->node, "activations");
	const struct attribute *alphas = node_attribute(call->node, "activation_alpha");
	const struct attribute *betas = node_attribute(call->node, "activation_beta");
	uint32_t each = shape->kind == RECURRENT_LSTM ? 3 : shape->kind == RECURRENT_GRU ? 2 : 1;
	uint32_t alpha = 0, beta = 0, total = each * (uint32_t)shape->directions;
	if (names != NULL && (names->kind != ATTRIBUTE_STRINGS || names->count != total))
		return operator_error(call, "activations must be %" PRIu32 " names", total);
	for (uint32_t i = 0; i < total; i++) {
		static const char *const usual[] = { "Sigmoid", "Tanh", "Tanh" };
		const char *name = names != NULL                  ? names->as.strings[i]
				   : shape->kind == RECURRENT_RNN ? "Tanh"
								  : usual[i % each];
		struct recurrent_function *function = &shape->functions[i / each][i % each];
		if (recurrent_function_find(name, function) != 0)
			return operator_unimplemented(call, "activation '%s' is not supported",
						      name);
		if (function->takes_alpha && alphas != NULL && alpha < alphas->count)
			function->alpha = alphas->as.floats[alpha++];
		if (function->takes_beta && betas != NULL && beta < betas->count)
			function->beta = betas->as.floats[beta++];
	}
	return 0;
}

static int
infer_recurrent(struct operator_call *call)
{
	struct recurrent shape;
	bool batch_first;
	if (read_shape(call, &shape, &batch_first) != 0)
		return -1;
	int64_t d = shape.directions;
	const int64_t y[] = { shape.length, d, shape.batch, shape.hidden };
	const int64_t y_first[] = { shape.batch, shape.length, d, shape.hidden };
	const int64_t h[] = { batch_first ? shape.batch : d, batch_first ? d : shape.batch,
			      shape.hidden };
	operator_output(call, OUTPUT_Y, DATA_TYPE_FLOAT, 4, batch_first ? y_first : y);
	operator_output(call, OUTPUT_H, DATA_TYPE_FLOAT, 3, h);
	return operator_output(call, OUTPUT_C, DATA_TYPE_FLOAT, 3, h);
}

static int
prepare_recurrent(struct operator_call *call)
{
	struct recurrent_node *node = operator_state(call, sizeof(*node));
	if (node == NULL || read_shape(call, &node->shape, &node->batch_first) != 0 ||
	    read_functions(call, &node->shape) != 0)
		return -1;
	struct recurrent *shape = &node->shape;
	shape->clip = node_float(call->node, "clip", INFINITY);
	shape->couples_input_forget = node_int(call->node, "input_forget", 0) != 0;
	shape->linear_before_reset = node_int(call->node, "linear_before_reset", 0) != 0;
	for (uint32_t i = 0; i < OP_RECURRENT_INPUTS; i++)
		node->has_input[i] = operator_has_input(call, i);
	for (uint32_t i = 0; i < OP_RECURRENT_OUTPUTS; i++)
		node->has_output[i] = operator_has_output(call, i);
	call->kernel->scratch_bytes = recurrent_scratch(shape);
	call->kernel->flops =
		(uint64_t)(2 * shape->directions * shape->length * shape->batch * shape->gates *
			   shape->hidden * (shape->in + shape->hidden));
	call->kernel->run = run_recurrent;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, MOST, OUTPUT_COUNT)                                                         \
	{ .type = NAME, .since = 7, .inputs = { 3, MOST }, .outputs = { 0, OUTPUT_COUNT },         \
	  .infer = infer_recurrent, .prepare = prepare_recurrent }
/* clang-format on */

static const struct op recurrent_operators[] = {
	OPERATOR("RNN", 6, 2),
	OPERATOR("GRU", 6, 2),
	OPERATOR("LSTM", 8, 3),
};

const struct operator_family operator_family_recurrent = {
	recurrent_operators,
	sizeof(recurrent_operators) / sizeof(recurrent_operators[0]),
};
