/* Operators along one axis: CumSum, ReverseSequence; and element by element: BitShift, Dropout. */
#include "exec/op_sequence.h"

#include <inttypes.h>
#include <string.h>

#include "exec/cast.h"

/* --- CumSum ------------------------------------------------------------------------------------------------------- */

int
op_sequence_cumsum(const void *state, const struct operands *operands)
{
	const struct cumsum *cumsum = state;
	const struct axis *axis = &cumsum->axis;
	int64_t row = axis->inner * (int64_t)cumsum->element_bytes;
	for (int64_t i = 0; i < axis->outer; i++) {
		const char *in = (const char *)operands->inputs[0] + i * axis->dim * row;
		char *out = (char *)operands->outputs[0] + i * axis->dim * row;
		int64_t at = cumsum->reverse ? (axis->dim - 1) * row : 0;
		int64_t step = cumsum->reverse ? -row : row;
		if (cumsum->exclusive)
			memset(out + at, 0, (size_t)row);
		else
			memcpy(out + at, in + at, (size_t)row);
		for (int64_t k = 1; k < axis->dim; k++, at += step)
			cumsum->add(out + at + step, out + at,
				    in + at + (cumsum->exclusive ? 0 : step), axis->inner, 1, 1);
	}
	return 0;
}

static int
read_cumsum_axis(const struct operator_call *call, uint32_t *index)
{
	int64_t axis;
	if (operator_read_ints(call, 1, &axis, 1) != 1)
		return operator_error(call, "axis must be one integer");
	return operator_axis(call, axis, call->inputs[0].rank, index);
}

static int
infer_cumsum(struct operator_call *call)
{
	uint32_t index;
	if (read_cumsum_axis(call, &index) != 0)
		return -1;
	if (row_binary(ROW_ADD, call->inputs[0].data_type) == NULL)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(call->inputs[0].data_type));
	return infer_same(call);
}

static int
prepare_cumsum(struct operator_call *call)
{
	struct cumsum *cumsum = operator_state(call, sizeof(*cumsum));
	uint32_t index;
	if (cumsum == NULL || read_cumsum_axis(call, &index) != 0)
		return -1;
	*cumsum = (struct cumsum){
		.axis = axis_of(&call->inputs[0], index),
		.data_type = call->inputs[0].data_type,
		.element_bytes = data_type_bytes(call->inputs[0].data_type),
		.add = row_binary(ROW_ADD, call->inputs[0].data_type),
		.exclusive = node_int(call->node, "exclusive", 0) != 0,
		.reverse = node_int(call->node, "reverse", 0) != 0,
	};
	call->kernel->run = op_sequence_cumsum;
	return 0;
}

/* --- ReverseSequence ---------------------------------------------------------------------------------------------- */

int
op_sequence_reverse(const void *state, const struct operands *operands)
{
	const struct reverse *reverse = state;
	const char *in = operands->inputs[0];
	char *out = operands->outputs[0];
	for (int64_t i = 0; i < reverse->dims[0] * reverse->dims[1]; i++) {
		int64_t index[] = { i / reverse->dims[1], i % reverse->dims[1] };
		int64_t *time = &index[reverse->time_first ? 0 : 1];
		int64_t batch = index[reverse->time_first ? 1 : 0];
		int64_t most = reverse->dims[reverse->time_first ? 0 : 1];
		int64_t length = axis_integer(reverse->length_type, operands->inputs[1], batch);
		length = length < 0 ? 0 : length > most ? most : length;
		if (*time < length)
			*time = length - 1 - *time;
		memcpy(out + (size_t)i * reverse->bytes,
		       in + (size_t)(index[0] * reverse->dims[1] + index[1]) * reverse->bytes,
		       reverse->bytes);
	}
	return 0;
}

static int
infer_reverse(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0], *lengths = &call->inputs[1];
	int64_t batch = node_int(call->node, "batch_axis", 1);
	int64_t time = node_int(call->node, "time_axis", 0);
	if (input->rank < 2 || batch < 0 || batch > 1 || time != 1 - batch)
		return operator_error(call, "batch_axis and time_axis must be 0 and 1");
	if ((lengths->data_type != DATA_TYPE_INT64 && lengths->data_type != DATA_TYPE_INT32) ||
	    tensor_elements(lengths) != input->dims[batch])
		return operator_error(call, "sequence_lens must be an integer a batch element");
	return infer_same(call);
}

static int
prepare_reverse(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	struct reverse *reverse = operator_state(call, sizeof(*reverse));
	if (reverse == NULL)
		return -1;
	*reverse = (struct reverse){
		.length_type = call->inputs[1].data_type,
		.dims = { input->dims[0], input->dims[1] },
		.time_first = node_int(call->node, "time_axis", 0) == 0,
		.bytes = (size_t)axis_from(input, 2).dim * data_type_bytes(input->data_type),
	};
	call->kernel->run = op_sequence_reverse;
	return 0;
}

/* --- BitShift ----------------------------------------------------------------------------------------------------- */

/* A shift by the type's width or more leaves nothing. */
#define SHIFT_ROW(type)                                                                            \
	static void shift_##type(type *out, const type *a, const type *b, int64_t n,               \
				 int64_t step_a, int64_t step_b, bool left)                        \
	{                                                                                          \
		for (int64_t i = 0; i < n; i++) {                                                  \
			uint64_t value = a[i * step_a], by = b[i * step_b];                        \
			uint64_t shifted = by >= 64 ? 0 : left ? value << by : value >> by;        \
			out[i] = (type)shifted;                                                    \
		}                                                                                  \
	}
SHIFT_ROW(uint8_t)
SHIFT_ROW(uint16_t)
SHIFT_ROW(uint32_t)
SHIFT_ROW(uint64_t)

int
op_sequence_shift(const void *state, const struct operands *operands)
{
	const struct shift *shift = state;
	const struct broadcast *broadcast = &shift->broadcast;
	uint32_t last = broadcast->rank - 1;
	int64_t n = broadcast->dims[last];
	for (int64_t row = 0; row < broadcast->rows; row++) {
		int64_t at[BROADCAST_OPERANDS];
		broadcast_offsets(broadcast, row, at);
		switch (shift->data_type) {
#define CASE(N, type)                                                                              \
	case DATA_TYPE_##N:                                                                        \
		shift_##type((type *)operands->outputs[0] + row * n,                               \
			     (const type *)operands->inputs[0] + at[0],                            \
			     (const type *)operands->inputs[1] + at[1], n,                         \
			     broadcast->steps[0][last], broadcast->steps[1][last], shift->left);   \
		break;
			CASE(UINT8, uint8_t)
			CASE(UINT16, uint16_t)
			CASE(UINT32, uint32_t)
			CASE(UINT64, uint64_t)
#undef CASE
		default:
			break;
		}
	}
	return 0;
}

static int
infer_shift(struct operator_call *call)
{
	enum data_type data_type = call->inputs[0].data_type;
	if (data_type != DATA_TYPE_UINT8 && data_type != DATA_TYPE_UINT16 &&
	    data_type != DATA_TYPE_UINT32 && data_type != DATA_TYPE_UINT64)
		return operator_error(call, "%s is no unsigned integer", data_type_name(data_type));
	return infer_broadcast(call);
}

static int
prepare_shift(struct operator_call *call)
{
	const struct tensor_type *types[] = { &call->inputs[0], &call->inputs[1] };
	const char *direction = node_string(call->node, "direction", "");
	struct shift *shift = operator_state(call, sizeof(*shift));
	if (shift == NULL)
		return -1;
	if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0)
		return operator_error(call, "direction '%s' does not exist", direction);
	broadcast_create(&shift->broadcast, &call->outputs[0], types, 2);
	shift->data_type = call->inputs[0].data_type;
	shift->left = direction[0] == 'L';
	call->kernel->run = op_sequence_shift;
	return 0;
}

/* --- Dropout ------------------------------------------------------------------------------------------------------ */

int
op_sequence_dropout(const void *state, const struct operands *operands)
{
	const struct dropout *dropout = state;
	if (dropout->wants_output)
		memcpy(operands->outputs[0], operands->inputs[0], dropout->bytes);
	for (size_t i = 0; i < dropout->elements && dropout->wants_mask; i++)
		cast_set(dropout->mask_type, operands->outputs[1], (int64_t)i, 1);
	return 0;
}

/* Inference leaves everything in; so does training at a ratio of 0. */
static int
infer_dropout(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	bool trains = operator_has_input(call, 2) && operator_scalar(call, 2, 0) != 0;
	if (trains && operator_scalar(call, 1, 0.5) != 0)
		return operator_unimplemented(call, "training_mode is not supported");
	operator_output(call, 1, call->node->opset < 10 ? input->data_type : DATA_TYPE_BOOL,
			input->rank, input->dims);
	return infer_same(call);
}

static int
prepare_dropout(struct operator_call *call)
{
	struct dropout *dropout = operator_state(call, sizeof(*dropout));
	if (dropout == NULL)
		return -1;
	dropout->bytes = tensor_bytes(&call->inputs[0]);
	dropout->elements = (size_t)tensor_elements(&call->inputs[0]);
	dropout->mask_type = call->outputs[1 % call->output_count].data_type;
	dropout->wants_output = operator_has_output(call, 0);
	dropout->wants_mask = operator_has_output(call, 1);
	call->kernel->run = op_sequence_dropout;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, INPUTS, KNOWN, RULE)                                                 \
	{ .type = NAME, .since = SINCE, .inputs = { INPUTS, INPUTS }, .outputs = { 1, 1 },         \
	  .known_inputs = KNOWN, .infer = infer_##RULE, .prepare = prepare_##RULE }
/* clang-format on */

static const struct op sequence_operators[] = {
	OPERATOR("CumSum", 11, 2, 1 << 1, cumsum),
	OPERATOR("ReverseSequence", 10, 2, 0, reverse),
	OPERATOR("BitShift", 11, 2, 0, shift),
	{ .type = "Dropout",
	  .since = 7,
	  .inputs = { 1, 3 },
	  .outputs = { 1, 2 },
	  .known_inputs = 1 << 1 | 1 << 2,
	  .infer = infer_dropout,
	  .prepare = prepare_dropout },
};

const struct operator_family operator_family_sequence = {
	sequence_operators,
	sizeof(sequence_operators) / sizeof(sequence_operators[0]),
};
