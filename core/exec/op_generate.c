/* Operators that make tensors from sizes and scalars: Shape, Size, ConstantOfShape, Range, EyeLike, Trilu, NonZero. */
#include "exec/op_generate.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/cast.h"

/* --- Shape, Size -------------------------------------------------------------------------------------------------- */

int
op_generate_numbers(const void *state, const struct operands *operands)
{
	const struct numbers *numbers = state;
	memcpy(operands->outputs[0], numbers->numbers, numbers->count * sizeof(int64_t));
	return 0;
}

/* The dims from *start on that Shape is asked for; how many. */
static uint32_t
shape_range(const struct operator_call *call, uint32_t *start)
{
	int64_t rank = call->inputs[0].rank;
	int64_t first = node_int(call->node, "start", 0);
	int64_t end = node_int(call->node, "end", rank);
	first = first < -rank ? 0 : first < 0 ? first + rank : first > rank ? rank : first;
	end = end < -rank ? 0 : end < 0 ? end + rank : end > rank ? rank : end;
	*start = (uint32_t)first;
	return end > first ? (uint32_t)(end - first) : 0;
}

static int
infer_shape(struct operator_call *call)
{
	uint32_t start;
	int64_t count = shape_range(call, &start);
	return operator_output(call, 0, DATA_TYPE_INT64, 1, &count);
}

static int
prepare_shape(struct operator_call *call)
{
	struct numbers *numbers = operator_state(call, sizeof(*numbers));
	uint32_t start;
	if (numbers == NULL)
		return -1;
	numbers->count = shape_range(call, &start);
	memcpy(numbers->numbers, call->inputs[0].dims + start, numbers->count * sizeof(int64_t));
	call->kernel->run = op_generate_numbers;
	return 0;
}

static int
infer_size(struct operator_call *call)
{
	return operator_output(call, 0, DATA_TYPE_INT64, 0, NULL);
}

static int
prepare_size(struct operator_call *call)
{
	struct numbers *numbers = operator_state(call, sizeof(*numbers));
	if (numbers == NULL)
		return -1;
	numbers->count = 1;
	numbers->numbers[0] = tensor_elements(&call->inputs[0]);
	call->kernel->run = op_generate_numbers;
	return 0;
}

/* --- ConstantOfShape ---------------------------------------------------------------------------------------------- */

int
op_generate_fill(const void *state, const struct operands *operands)
{
	const struct fill *fill = state;
	char *out = operands->outputs[0];
	size_t bytes = (size_t)fill->elements * fill->element_bytes;
	size_t done = fill->element_bytes;
	memcpy(out, fill->value, done);
	/* Each copy doubles what is there. */
	for (; done < bytes; done *= 2)
		memcpy(out + done, out, done < bytes - done ? done : bytes - done);
	return 0;
}

static int
infer_constant_of_shape(struct operator_call *call)
{
	int64_t dims[TENSOR_MAX_RANK];
	const struct attribute *value = node_attribute(call->node, "value");
	enum data_type data_type = DATA_TYPE_FLOAT;
	int rank = operator_read_ints(call, 0, dims, TENSOR_MAX_RANK);
	if (rank < 0)
		return -1;
	for (int i = 0; i < rank; i++) {
		if (dims[i] < 0)
			return operator_error(call, "dimension %d is %" PRId64, i, dims[i]);
	}
	if (value != NULL) {
		if (value->kind != ATTRIBUTE_TENSOR ||
		    tensor_elements(&value->as.tensor->type) != 1)
			return operator_error(call, "value must be a tensor of one element");
		data_type = value->as.tensor->type.data_type;
	}
	return operator_output(call, 0, data_type, (uint32_t)rank, dims);
}

static int
prepare_constant_of_shape(struct operator_call *call)
{
	const struct attribute *value = node_attribute(call->node, "value");
	struct fill *fill = operator_state(call, sizeof(*fill));
	if (fill == NULL)
		return -1;
	fill->element_bytes = data_type_bytes(call->outputs[0].data_type);
	fill->elements = tensor_elements(&call->outputs[0]);
	if (value != NULL)
		memcpy(fill->value, value->as.tensor->data, fill->element_bytes);
	call->kernel->run = op_generate_fill;
	return 0;
}

/* --- Range -------------------------------------------------------------------------------------------------------- */

int
op_generate_range(const void *state, const struct operands *operands)
{
	const struct range *range = state;
	void *out = operands->outputs[0];
	for (int64_t i = 0; i < range->count; i++) {
		if (range->data_type == DATA_TYPE_INT64)
			((int64_t *)out)[i] = (int64_t)((uint64_t)range->start +
							(uint64_t)i * (uint64_t)range->step);
		else
			cast_set(range->data_type, out, i,
				 range->real_start + (double)i * range->real_step);
	}
	return 0;
}

static int
read_range(const struct operator_call *call, struct range *range)
{
	int64_t whole[3] = { 0 };
	double real[3];
	enum data_type data_type = call->inputs[0].data_type;
	for (uint32_t i = 0; i < 3; i++) {
		if (call->inputs[i].data_type != data_type ||
		    tensor_elements(&call->inputs[i]) != 1)
			return operator_error(call, "input %" PRIu32 " must be one %s", i,
					      data_type_name(data_type));
		real[i] = cast_get(data_type, call->constants[i]->data, 0);
		if (data_type == DATA_TYPE_INT64)
			memcpy(&whole[i], call->constants[i]->data, sizeof(whole[i]));
	}
	if (real[2] == 0 || !isfinite(real[0]) || !isfinite(real[1]) || !isfinite(real[2]))
		return operator_error(call, "no number of steps of %g lead from %g to %g", real[2],
				      real[0], real[1]);
	double count = ceil((real[1] - real[0]) / real[2]);
	if (count > 9e15)
		return operator_error(call, "%g elements", count);
	*range = (struct range){
		.data_type = data_type,
		.count = count > 0 ? (int64_t)count : 0,
		.start = whole[0],
		.step = whole[2],
		.real_start = real[0],
		.real_step = real[2],
	};
	return 0;
}

static int
infer_range(struct operator_call *call)
{
	struct range range;
	if (read_range(call, &range) != 0)
		return -1;
	return operator_output(call, 0, range.data_type, 1, &range.count);
}

static int
prepare_range(struct operator_call *call)
{
	struct range *range = operator_state(call, sizeof(*range));
	call->kernel->run = op_generate_range;
	return range == NULL ? -1 : read_range(call, range);
}

/* --- EyeLike, Trilu ----------------------------------------------------------------------------------------------- */

int
op_generate_eye_like(const void *state, const struct operands *operands)
{
	const struct matrices *eye = state;
	void *out = operands->outputs[0];
	size_t bytes = data_type_bytes(eye->data_type);
	memset(out, 0, (size_t)(eye->rows * eye->columns) * bytes);
	for (int64_t row = 0; row < eye->rows; row++) {
		int64_t column = row + eye->diagonal;
		if (column >= 0 && column < eye->columns)
			cast_set(eye->data_type, out, row * eye->columns + column, 1);
	}
	return 0;
}

/* A diagonal beyond the matrix is as good as one just beyond it. */
static int64_t
clamp_diagonal(int64_t diagonal, const struct matrices *matrices)
{
	int64_t low = -matrices->rows - 1, high = matrices->columns + 1;
	return diagonal < low ? low : diagonal > high ? high : diagonal;
}

static int
infer_eye_like(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t data_type = node_int(call->node, "dtype", input->data_type);
	if (input->rank != 2)
		return operator_error(call, "the input must be a matrix");
	if (data_type <= 0 || data_type > DATA_TYPE_BFLOAT16 ||
	    data_type_bytes((enum data_type)data_type) == 0)
		return operator_unimplemented(call, "dtype %" PRId64 " is not supported",
					      data_type);
	return operator_output(call, 0, (enum data_type)data_type, 2, input->dims);
}

static int
prepare_eye_like(struct operator_call *call)
{
	const struct tensor_type *output = &call->outputs[0];
	struct matrices *eye = operator_state(call, sizeof(*eye));
	if (eye == NULL)
		return -1;
	eye->data_type = output->data_type;
	eye->rows = output->dims[0];
	eye->columns = output->dims[1];
	eye->diagonal = clamp_diagonal(node_int(call->node, "k", 0), eye);
	call->kernel->run = op_generate_eye_like;
	return 0;
}

/* Columns of that row that are kept: from *begin up to the value returned. */
static int64_t
kept_columns(const struct matrices *trilu, int64_t row, int64_t *begin)
{
	int64_t edge = row + trilu->diagonal + (trilu->upper ? 0 : 1);
	edge = edge < 0 ? 0 : edge > trilu->columns ? trilu->columns : edge;
	*begin = trilu->upper ? edge : 0;
	return trilu->upper ? trilu->columns : edge;
}

int
op_generate_trilu(const void *state, const struct operands *operands)
{
	const struct matrices *trilu = state;
	const char *in = operands->inputs[0];
	char *out = operands->outputs[0];
	size_t bytes = data_type_bytes(trilu->data_type);
	size_t row_bytes = (size_t)trilu->columns * bytes;
	for (int64_t i = 0; i < trilu->count * trilu->rows; i++) {
		int64_t begin;
		int64_t end = kept_columns(trilu, i % trilu->rows, &begin);
		memset(out, 0, row_bytes);
		if (end > begin)
			memcpy(out + (size_t)begin * bytes, in + (size_t)begin * bytes,
			       (size_t)(end - begin) * bytes);
		in += row_bytes;
		out += row_bytes;
	}
	return 0;
}

static int
infer_trilu(struct operator_call *call)
{
	if (call->inputs[0].rank < 2)
		return operator_error(call, "the input must be a matrix or a stack of them");
	return infer_same(call);
}

static int
prepare_trilu(struct operator_call *call)
{
	const struct tensor_type *type = &call->inputs[0];
	struct matrices *trilu = operator_state(call, sizeof(*trilu));
	int64_t diagonal = 0;
	if (trilu == NULL)
		return -1;
	if (operator_has_input(call, 1) && operator_read_ints(call, 1, &diagonal, 1) != 1)
		return operator_error(call, "k must be one integer");
	trilu->data_type = type->data_type;
	trilu->rows = type->dims[type->rank - 2];
	trilu->columns = type->dims[type->rank - 1];
	trilu->count = tensor_elements(type) / (trilu->rows * trilu->columns);
	trilu->diagonal = clamp_diagonal(diagonal, trilu);
	trilu->upper = node_int(call->node, "upper", 1) != 0;
	call->kernel->run = op_generate_trilu;
	return 0;
}

/* --- NonZero ------------------------------------------------------------------------------------------------------ */

static bool
is_zero(const char *element, size_t bytes, bool is_real)
{
	/* Zero is zero bits, or for floats the sign alone. */
	for (size_t i = 0; i < bytes; i++) {
		if ((i + 1 < bytes || !is_real ? element[i] : element[i] & 0x7f) != 0)
			return false;
	}
	return true;
}

static bool
is_real(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT || data_type == DATA_TYPE_DOUBLE ||
	       data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
}

/* Positions of what is not zero: a row a dimension, written when out is there. How many. */
static int64_t
find_non_zero(const struct constant *constant, int64_t *out, int64_t columns)
{
	const struct tensor_type *type = &constant->type;
	size_t bytes = data_type_bytes(type->data_type);
	int64_t elements = tensor_elements(type), count = 0;
	bool real = is_real(type->data_type);
	for (int64_t i = 0; i < elements; i++) {
		if (is_zero((const char *)constant->data + (size_t)i * bytes, bytes, real))
			continue;
		int64_t rest = i;
		for (uint32_t k = type->rank; k-- > 0 && out != NULL;) {
			out[k * columns + count] = rest % type->dims[k];
			rest /= type->dims[k];
		}
		count++;
	}
	return count;
}

static int
infer_non_zero(struct operator_call *call)
{
	int64_t dims[2] = { call->inputs[0].rank, find_non_zero(call->constants[0], NULL, 0) };
	return operator_output(call, 0, DATA_TYPE_INT64, 2, dims);
}

static int
run_non_zero(const void *state, const struct operands *operands)
{
	const struct constant *constant = state;
	find_non_zero(constant, operands->outputs[0], find_non_zero(constant, NULL, 0));
	return 0;
}

static int
prepare_non_zero(struct operator_call *call)
{
	call->kernel->state = call->constants[0];
	call->kernel->run = run_non_zero;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, MOST, KNOWN, FLAGS, INFER, PREPARE)                                  \
	{ .type = NAME, .since = SINCE, .inputs = { 1, MOST }, .outputs = { 1, 1 },                \
	  .known_inputs = KNOWN, .flags = FLAGS, .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op generate_operators[] = {
	OPERATOR("Shape", 1, 1, 0, OPERATOR_TYPE_ONLY, infer_shape, prepare_shape),
	OPERATOR("Size", 1, 1, 0, OPERATOR_TYPE_ONLY, infer_size, prepare_size),
	OPERATOR("ConstantOfShape", 9, 1, 1, 0, infer_constant_of_shape, prepare_constant_of_shape),
	{ .type = "Range",
	  .since = 11,
	  .inputs = { 3, 3 },
	  .outputs = { 1, 1 },
	  .known_inputs = 7,
	  .infer = infer_range,
	  .prepare = prepare_range },
	OPERATOR("EyeLike", 9, 1, 0, OPERATOR_TYPE_ONLY, infer_eye_like, prepare_eye_like),
	OPERATOR("Trilu", 14, 2, 2, 0, infer_trilu, prepare_trilu),
	OPERATOR("NonZero", 9, 1, 0, OPERATOR_DATA_SHAPED, infer_non_zero, prepare_non_zero),
};

const struct operator_family operator_family_generate = {
	generate_operators,
	sizeof(generate_operators) / sizeof(generate_operators[0]),
};
