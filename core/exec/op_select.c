/* Operators that choose among elements or judge them one by one: Compress, OneHot, IsNaN, IsInf, Shrink, … */
#include "exec/op_select.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/cast.h"

/* --- Compress ----------------------------------------------------------------------------------------------------- */

struct compress {
	const uint8_t *condition;
	int64_t conditions;
	struct axis axis;
	size_t row_bytes;
};

static int64_t
count_true(const struct constant *condition, int64_t most)
{
	int64_t elements = tensor_elements(&condition->type), count = 0;
	for (int64_t i = 0; i < elements && i < most; i++)
		count += ((const uint8_t *)condition->data)[i] != 0;
	return count;
}

static int
run_compress(const void *state, const struct operands *operands)
{
	const struct compress *compress = state;
	const char *in = operands->inputs[0];
	char *out = operands->outputs[0];
	for (int64_t i = 0; i < compress->axis.outer; i++) {
		for (int64_t k = 0; k < compress->axis.dim; k++, in += compress->row_bytes) {
			if (k >= compress->conditions || !compress->condition[k])
				continue;
			memcpy(out, in, compress->row_bytes);
			out += compress->row_bytes;
		}
	}
	return 0;
}

/* Without an axis the input is one long row. */
static int
compress_axis(const struct operator_call *call, struct axis *axis, uint32_t *index)
{
	const struct tensor_type *input = &call->inputs[0];
	*axis = axis_from(input, 0);
	*index = 0;
	if (node_attribute(call->node, "axis") == NULL)
		return 0;
	if (operator_axis(call, node_int(call->node, "axis", 0), input->rank, index) != 0)
		return -1;
	*axis = axis_of(input, *index);
	return 0;
}

static int
infer_compress(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	struct axis axis;
	uint32_t index;
	if (call->inputs[1].data_type != DATA_TYPE_BOOL || call->inputs[1].rank != 1)
		return operator_error(call, "the condition must be a list of BOOL");
	if (compress_axis(call, &axis, &index) != 0)
		return -1;
	int64_t count = count_true(call->constants[1], axis.dim);
	if (node_attribute(call->node, "axis") == NULL)
		return operator_output(call, 0, type.data_type, 1, &count);
	type.dims[index] = count;
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static int
prepare_compress(struct operator_call *call)
{
	struct compress *compress = operator_state(call, sizeof(*compress));
	uint32_t index;
	if (compress == NULL || compress_axis(call, &compress->axis, &index) != 0)
		return -1;
	compress->condition = call->constants[1]->data;
	compress->conditions = tensor_elements(&call->constants[1]->type);
	compress->row_bytes =
		(size_t)compress->axis.inner * data_type_bytes(call->inputs[0].data_type);
	call->kernel->run = run_compress;
	return 0;
}

/* --- OneHot ------------------------------------------------------------------------------------------------------- */

int
op_select_one_hot(const void *state, const struct operands *operands)
{
	const struct one_hot *hot = state;
	const char *off = operands->inputs[2];
	const char *on = off + hot->element_bytes;
	char *out = operands->outputs[0];
	for (int64_t i = 0; i < hot->outer * hot->depth * hot->inner; i++)
		memcpy(out + (size_t)i * hot->element_bytes, off, hot->element_bytes);
	for (int64_t i = 0; i < hot->outer * hot->inner; i++) {
		double at = cast_get(hot->index_type, operands->inputs[0], i);
		if (at < 0)
			at += (double)hot->depth;
		/* An index that is out of range has no hot element. */
		if (!(at >= 0 && at < (double)hot->depth))
			continue;
		int64_t place =
			(i / hot->inner * hot->depth + (int64_t)at) * hot->inner + i % hot->inner;
		memcpy(out + (size_t)place * hot->element_bytes, on, hot->element_bytes);
	}
	return 0;
}

static int
one_hot_axis(const struct operator_call *call, uint32_t *axis, int64_t *depth)
{
	if (tensor_elements(&call->inputs[1]) != 1 || tensor_elements(&call->inputs[2]) != 2)
		return operator_error(call, "depth must be one number and values two");
	double number = operator_scalar(call, 1, 0);
	if (!(number >= 0 && number < 9e15))
		return operator_error(call, "depth is %g", number);
	*depth = (int64_t)number;
	return operator_axis(call, node_int(call->node, "axis", -1), call->inputs[0].rank + 1,
			     axis);
}

static int
infer_one_hot(struct operator_call *call)
{
	const struct tensor_type *indices = &call->inputs[0];
	int64_t dims[TENSOR_MAX_RANK + 1], depth = 0;
	uint32_t axis;
	if (one_hot_axis(call, &axis, &depth) != 0)
		return -1;
	for (uint32_t i = 0; i < indices->rank + 1; i++)
		dims[i] = i == axis ? depth : indices->dims[i < axis ? i : i - 1];
	return operator_output(call, 0, call->inputs[2].data_type, indices->rank + 1, dims);
}

static int
prepare_one_hot(struct operator_call *call)
{
	struct one_hot *hot = operator_state(call, sizeof(*hot));
	uint32_t axis;
	if (hot == NULL || one_hot_axis(call, &axis, &hot->depth) != 0)
		return -1;
	struct axis split = axis_from(&call->inputs[0], axis);
	hot->outer = split.outer;
	hot->inner = split.dim;
	hot->index_type = call->inputs[0].data_type;
	hot->element_bytes = data_type_bytes(call->inputs[2].data_type);
	call->kernel->run = op_select_one_hot;
	return 0;
}

/* --- IsNaN, IsInf, Shrink ----------------------------------------------------------------------------------------- */

int
op_select_is_nan(const void *state, const struct operands *operands)
{
	const struct judge *judge = state;
	uint8_t *out = operands->outputs[0];
	for (int64_t i = 0; i < judge->elements; i++)
		out[i] = isnan(cast_get(judge->data_type, operands->inputs[0], i)) != 0;
	return 0;
}

int
op_select_is_inf(const void *state, const struct operands *operands)
{
	const struct judge *judge = state;
	uint8_t *out = operands->outputs[0];
	for (int64_t i = 0; i < judge->elements; i++) {
		double value = cast_get(judge->data_type, operands->inputs[0], i);
		out[i] = (judge->negative && value == -INFINITY) ||
			 (judge->positive && value == INFINITY);
	}
	return 0;
}

int
op_select_shrink(const void *state, const struct operands *operands)
{
	const struct judge *judge = state;
	for (int64_t i = 0; i < judge->elements; i++) {
		double value = cast_get(judge->data_type, operands->inputs[0], i);
		double small = value < -judge->lambda  ? value + judge->bias
			       : value > judge->lambda ? value - judge->bias
						       : 0;
		cast_set(judge->data_type, operands->outputs[0], i, small);
	}
	return 0;
}

static int
infer_judge(struct operator_call *call)
{
	return operator_output(call, 0, DATA_TYPE_BOOL, call->inputs[0].rank, call->inputs[0].dims);
}

static int
prepare_judge(struct operator_call *call)
{
	const char *type = call->node->op_type;
	struct judge *judge = operator_state(call, sizeof(*judge));
	if (judge == NULL)
		return -1;
	*judge = (struct judge){
		.data_type = call->inputs[0].data_type,
		.elements = tensor_elements(&call->inputs[0]),
		.negative = node_int(call->node, "detect_negative", 1) != 0,
		.positive = node_int(call->node, "detect_positive", 1) != 0,
		.bias = node_float(call->node, "bias", 0),
		.lambda = node_float(call->node, "lambd", 0.5f),
	};
	call->kernel->run = strcmp(type, "IsNaN") == 0   ? op_select_is_nan
			    : strcmp(type, "IsInf") == 0 ? op_select_is_inf
							 : op_select_shrink;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, INPUTS, KNOWN, INFER, PREPARE)                                       \
	{ .type = NAME, .since = SINCE, .inputs = { INPUTS, INPUTS }, .outputs = { 1, 1 },         \
	  .known_inputs = KNOWN, .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op select_operators[] = {
	OPERATOR("Compress", 9, 2, 1 << 1, infer_compress, prepare_compress),
	OPERATOR("OneHot", 9, 3, 1 << 1, infer_one_hot, prepare_one_hot),
	OPERATOR("IsNaN", 9, 1, 0, infer_judge, prepare_judge),
	OPERATOR("IsInf", 10, 1, 0, infer_judge, prepare_judge),
	OPERATOR("Shrink", 9, 1, 0, infer_same, prepare_judge),
};

const struct operator_family operator_family_select = {
	select_operators,
	sizeof(select_operators) / sizeof(select_operators[0]),
};
