/* Element-wise operators of two and more tensors: a row function of rows.h a kernel, with broadcast. */
#include <string.h>

#include "exec/broadcast.h"
#include "exec/elements.h"
#include "exec/op_binary.h"
#include "exec/operator.h"
#include "exec/parallel.h"
#include "exec/rows.h"

enum {
	/* Elements worth a thread of their own. */
	GRAIN_ELEMENTS = 16384,
	/* Rows shorter than this are not worth a call each. */
	SHORT_ROW = 128,
	/* Elements that a short row is repeated to. */
	TILE_ELEMENTS = 512,
};

struct binary {
	row_binary_f *row;
	struct broadcast broadcast;
	size_t element_bytes;
	size_t result_bytes;
	unsigned threads;
	/* Operand whose short row is repeated along the dimension before the row; -1: none. */
	int repeated;
};

struct binary_run {
	const struct binary *binary;
	const char *inputs[2];
	char *output;
};

/* Elements begin … end-1 of row `row`. */
static void
run_binary_row(const struct binary_run *run, int64_t row, int64_t begin, int64_t end)
{
	const struct binary *binary = run->binary;
	const struct broadcast *broadcast = &binary->broadcast;
	uint32_t last = broadcast->rank - 1;
	int64_t offsets[BROADCAST_OPERANDS];
	broadcast_offsets(broadcast, row, offsets);
	int64_t step_a = broadcast->steps[0][last];
	int64_t step_b = broadcast->steps[1][last];
	const char *a = run->inputs[0] + (offsets[0] + begin * step_a) * binary->element_bytes;
	const char *b = run->inputs[1] + (offsets[1] + begin * step_b) * binary->element_bytes;
	char *out = run->output + (row * broadcast->dims[last] + begin) * binary->result_bytes;
	binary->row(out, a, b, end - begin, step_a, step_b);
}

/* Elements begin … end-1 of the result, which may begin and end within rows. */
static void
run_binary_part(void *context, int64_t begin, int64_t end)
{
	const struct binary_run *run = context;
	int64_t length = run->binary->broadcast.dims[run->binary->broadcast.rank - 1];
	while (begin < end) {
		int64_t row = begin / length;
		int64_t stop = (row + 1) * length < end ? length : end - row * length;
		run_binary_row(run, row, begin - row * length, stop);
		begin = row * length + stop;
	}
}

/* Groups begin … end-1 of rows that use the same short row of one operand. */
static void
run_tiled_part(void *context, int64_t begin, int64_t end)
{
	const struct binary_run *run = context;
	const struct binary *binary = run->binary;
	const struct broadcast *broadcast = &binary->broadcast;
	size_t bytes = binary->element_bytes;
	int64_t length = broadcast->dims[broadcast->rank - 1];
	int64_t total = broadcast->dims[broadcast->rank - 2] * length;
	int64_t tile = total < TILE_ELEMENTS ? total : TILE_ELEMENTS / length * length;
	_Alignas(64) char repeated[TILE_ELEMENTS * sizeof(double)];
	for (int64_t group = begin; group < end; group++) {
		int64_t offsets[BROADCAST_OPERANDS];
		broadcast_offsets(broadcast, group * (total / length), offsets);
		const char *operands[2] = { run->inputs[0] + offsets[0] * (int64_t)bytes,
					    run->inputs[1] + offsets[1] * (int64_t)bytes };
		char *out = run->output + group * total * (int64_t)binary->result_bytes;
		for (int64_t i = 0; i < tile; i += length)
			memcpy(repeated + i * (int64_t)bytes, operands[binary->repeated],
			       (size_t)length * bytes);
		operands[binary->repeated] = repeated;
		for (int64_t i = 0; i < total; i += tile) {
			int64_t n = total - i < tile ? total - i : tile;
			binary->row(out + i * (int64_t)binary->result_bytes, operands[0],
				    operands[1], n, 1, 1);
			operands[1 - binary->repeated] += n * (int64_t)bytes;
		}
	}
}

static void
run_binary_on(const struct binary *binary, const void *a, const void *b, void *out)
{
	struct binary_run run = { binary, { a, b }, out };
	const struct broadcast *broadcast = &binary->broadcast;
	if (binary->repeated >= 0) {
		int64_t rows = broadcast->dims[broadcast->rank - 2];
		int64_t each = rows * broadcast->dims[broadcast->rank - 1];
		parallel_for(binary->threads, broadcast->rows / rows, GRAIN_ELEMENTS / each + 1,
			     run_tiled_part, &run);
		return;
	}
	parallel_for(binary->threads, broadcast->rows * broadcast->dims[broadcast->rank - 1],
		     GRAIN_ELEMENTS, run_binary_part, &run);
}

static int
run_binary(const void *state, const struct operands *operands)
{
	run_binary_on(state, operands->inputs[0], operands->inputs[1], operands->outputs[0]);
	return 0;
}

static const struct binary_entry {
	const char *type;
	enum row_binary row;
} binary_entries[] = {
	{ "Add", ROW_ADD },
	{ "Sub", ROW_SUB },
	{ "Mul", ROW_MUL },
	{ "Div", ROW_DIV },
	{ "Pow", ROW_POW },
	{ "PRelu", ROW_PRELU },
	{ "Equal", ROW_EQUAL },
	{ "Less", ROW_LESS },
	{ "LessOrEqual", ROW_LESS_OR_EQUAL },
	{ "Greater", ROW_GREATER },
	{ "GreaterOrEqual", ROW_GREATER_OR_EQUAL },
	{ "And", ROW_AND },
	{ "Or", ROW_OR },
	{ "Xor", ROW_XOR },
	{ "BitwiseAnd", ROW_AND },
	{ "BitwiseOr", ROW_OR },
	{ "BitwiseXor", ROW_XOR },
	{ "Max", ROW_MAX },
	{ "Min", ROW_MIN },
	{ "Sum", ROW_ADD },
};

/* The operand that run_tiled_part repeats, the other one being read from end to end; -1. */
static int
find_repeated(const struct broadcast *broadcast)
{
	uint32_t last = broadcast->rank - 1;
	int64_t length = broadcast->dims[last];
	if (broadcast->rank < 2 || length > SHORT_ROW || broadcast->steps[0][last] != 1 ||
	    broadcast->steps[1][last] != 1)
		return -1;
	for (int k = 0; k < 2; k++)
		if (broadcast->steps[k][last - 1] == 0 &&
		    broadcast->steps[1 - k][last - 1] == length)
			return k;
	return -1;
}

/* Fill in binary for out = f(a, b). */
static int
create_binary(const struct operator_call *call, struct binary *binary, enum row_binary function,
	      const struct tensor_type *out, const struct tensor_type *a,
	      const struct tensor_type *b)
{
	const struct tensor_type *types[] = { a, b };
	*binary = (struct binary){
		.row = row_binary(function, a->data_type),
		.element_bytes = data_type_bytes(a->data_type),
		.result_bytes = data_type_bytes(out->data_type),
		.threads = call->threads,
	};
	if (binary->row == NULL)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(a->data_type));
	broadcast_create(&binary->broadcast, out, types, 2);
	binary->repeated = find_repeated(&binary->broadcast);
	return 0;
}

/* The operand as it lies when the node works in `layout`. */
static struct tensor_type
operand_view(const struct tensor_type *type, enum layout layout)
{
	return layout_view(type, tensor_elements(type) == 1 ? LAYOUT_PLAIN : layout);
}

static int
use_binary(struct operator_call *call, enum row_binary function)
{
	struct binary *binary = operator_state(call, sizeof(*binary));
	if (binary == NULL)
		return -1;
	struct tensor_type out = layout_view(&call->outputs[0], call->output_layouts[0]);
	struct tensor_type a = operand_view(&call->inputs[0], call->output_layouts[0]);
	struct tensor_type b = operand_view(&call->inputs[1], call->output_layouts[0]);
	call->kernel->run = run_binary;
	return create_binary(call, binary, function, &out, &a, &b);
}

enum row_binary
op_binary_row(const struct operator_call *call)
{
	const struct binary_entry *entry = binary_entries;
	while (strcmp(entry->type, call->node->op_type) != 0)
		entry++;
	return entry->row;
}

static int
prepare_binary(struct operator_call *call)
{
	return use_binary(call, op_binary_row(call));
}

/* Of two operands of one type. */
static bool
use_element(const struct operator_call *call, struct element *element, enum row_binary function)
{
	*element = (struct element){ .operand_count = 2,
				     .function.binary = function,
				     .data_type = call->inputs[0].data_type,
				     .result_type = call->outputs[0].data_type };
	return call->input_count == 2 && call->inputs[0].data_type == call->inputs[1].data_type;
}

static bool
binary_element(const struct operator_call *call, struct element *element)
{
	return use_element(call, element, op_binary_row(call));
}

static enum row_binary
mod_row(const struct operator_call *call)
{
	return node_int(call->node, "fmod", 0) != 0 ? ROW_FMOD : ROW_MOD;
}

static int
prepare_mod(struct operator_call *call)
{
	return use_binary(call, mod_row(call));
}

static bool
mod_element(const struct operator_call *call, struct element *element)
{
	return use_element(call, element, mod_row(call));
}

/* Blocks that hold padding stay right when 0 and 0 give 0. */
static bool
binary_blocks(const struct operator_call *call)
{
	enum row_binary row = op_binary_row(call);
	if (call->outputs[0].dims[1] % layout_block() == 0)
		return true;
	return (row == ROW_ADD || row == ROW_SUB || row == ROW_MUL) &&
	       tensor_type_equal(&call->inputs[0], &call->inputs[1]);
}

/* PRelu: the slope broadcasts to the input, not the other way round. */
static int
infer_prelu(struct operator_call *call)
{
	if (infer_broadcast(call) != 0)
		return -1;
	if (!tensor_type_equal(&call->outputs[0], &call->inputs[0]))
		return operator_error(call, "the slope does not broadcast to the input");
	return 0;
}

/* --- any number of inputs ----------------------------------------------------------------------------------------- */

/* out = f(f(in0, in1), in2) …, then times scale. */
struct variadic {
	uint32_t steps;
	struct binary *binaries;
	/* Mean: 1 / inputs; else NULL. */
	row_unary_f *scale_row;
	float scale;
	int64_t elements;
};

static int
run_variadic(const void *state, const struct operands *operands)
{
	const struct variadic *variadic = state;
	void *out = operands->outputs[0];
	run_binary_on(&variadic->binaries[0], operands->inputs[0], operands->inputs[1], out);
	for (uint32_t i = 1; i < variadic->steps; i++)
		run_binary_on(&variadic->binaries[i], out, operands->inputs[i + 1], out);
	if (variadic->scale_row != NULL)
		variadic->scale_row(out, out, variadic->elements, variadic->scale, 0);
	return 0;
}

static int
run_copy(const void *state, const struct operands *operands)
{
	if (operands->outputs[0] != operands->inputs[0])
		memcpy(operands->outputs[0], operands->inputs[0], *(const size_t *)state);
	return 0;
}

static int
use_copy(struct operator_call *call)
{
	size_t *bytes = operator_state(call, sizeof(*bytes));
	if (bytes == NULL)
		return -1;
	*bytes = tensor_bytes(&call->outputs[0]);
	call->kernel->run = run_copy;
	return 0;
}

static int
use_variadic(struct operator_call *call, enum row_binary function, float scale)
{
	if (call->input_count == 1)
		return use_copy(call);
	struct variadic *variadic = operator_state(call, sizeof(*variadic));
	if (variadic == NULL)
		return -1;
	const struct tensor_type *out = &call->outputs[0];
	variadic->steps = call->input_count - 1;
	variadic->binaries =
		arena_calloc(call->arena, variadic->steps, sizeof(variadic->binaries[0]));
	if (variadic->binaries == NULL)
		return -1;
	for (uint32_t i = 0; i < variadic->steps; i++) {
		const struct tensor_type *a = i == 0 ? &call->inputs[0] : out;
		if (create_binary(call, &variadic->binaries[i], function, out, a,
				  &call->inputs[i + 1]) != 0)
			return -1;
	}
	variadic->scale = scale;
	variadic->elements = tensor_elements(out);
	if (scale != 1)
		variadic->scale_row = row_unary(ROW_LINEAR, out->data_type);
	if (scale != 1 && variadic->scale_row == NULL)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(out->data_type));
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

/* --- the table ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define BINARY(NAME, SINCE, INFER)                                                                 \
	{ .type = NAME, .since = SINCE, .inputs = { 2, 2 }, .outputs = { 1, 1 },                   \
	  .flags = OPERATOR_IN_PLACE, .layouts = OPERATOR_LAYOUTS_ALIKE, .infer = INFER,           \
	  .prepare = prepare_binary, .blocks = binary_blocks, .element = binary_element }
#define VARIADIC(NAME, PREPARE, ELEMENT)                                                                    \
	{ .type = NAME, .since = 1, .inputs = { 1, OPERATOR_MANY }, .outputs = { 1, 1 },           \
	  .infer = infer_broadcast, .prepare = PREPARE, .element = ELEMENT }
/* clang-format on */

static const struct op binary_operators[] = {
	BINARY("Add", 7, infer_broadcast),
	BINARY("Sub", 7, infer_broadcast),
	BINARY("Mul", 7, infer_broadcast),
	BINARY("Div", 7, infer_broadcast),
	BINARY("Pow", 7, infer_broadcast),
	BINARY("PRelu", 7, infer_prelu),
	BINARY("Equal", 7, infer_compare),
	BINARY("Less", 7, infer_compare),
	BINARY("LessOrEqual", 12, infer_compare),
	BINARY("Greater", 7, infer_compare),
	BINARY("GreaterOrEqual", 12, infer_compare),
	BINARY("And", 7, infer_broadcast),
	BINARY("Or", 7, infer_broadcast),
	BINARY("Xor", 7, infer_broadcast),
	BINARY("BitwiseAnd", 18, infer_broadcast),
	BINARY("BitwiseOr", 18, infer_broadcast),
	BINARY("BitwiseXor", 18, infer_broadcast),
	{ .type = "Mod",
	  .since = 10,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .infer = infer_broadcast,
	  .prepare = prepare_mod,
	  .element = mod_element },
	VARIADIC("Max", prepare_variadic, binary_element),
	VARIADIC("Min", prepare_variadic, binary_element),
	VARIADIC("Sum", prepare_variadic, binary_element),
	VARIADIC("Mean", prepare_mean, NULL),
};

const struct operator_family operator_family_binary = {
	binary_operators,
	sizeof(binary_operators) / sizeof(binary_operators[0]),
};
