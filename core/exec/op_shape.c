/* Operators that change only how a tensor's elements are seen: views, run by nobody. */
#include <inttypes.h>
#include <string.h>

#include "exec/operator.h"

/* Output 0: input 0's elements under these dims. */
static int
output_view(struct operator_call *call, uint32_t rank, const int64_t *dims)
{
	return operator_output(call, 0, call->inputs[0].data_type, rank, dims);
}

/* Put the one dim of -1 right: what is left of input 0's elements. */
static int
resolve_wildcard(const struct operator_call *call, uint32_t rank, int64_t *dims)
{
	int64_t elements = tensor_elements(&call->inputs[0]);
	int64_t product = 1;
	int wildcard = -1;
	for (uint32_t i = 0; i < rank; i++) {
		if (dims[i] == -1 && wildcard < 0)
			wildcard = (int)i;
		else if (dims[i] < 0 || __builtin_mul_overflow(product, dims[i], &product))
			return operator_error(call,
					      "dimension %" PRIu32 " of the new shape is %" PRId64,
					      i, dims[i]);
	}
	if (wildcard >= 0 && product != 0 && elements % product == 0) {
		dims[wildcard] = elements / product;
		product = elements;
	} else if (wildcard >= 0 && product == 0 && elements == 0) {
		dims[wildcard] = 0;
		product = 0;
	}
	if (product != elements || (wildcard >= 0 && dims[wildcard] < 0))
		return operator_error(call, "%" PRId64 " elements do not fit the new shape",
				      elements);
	return 0;
}

static int
infer_reshape(struct operator_call *call)
{
	int64_t dims[TENSOR_MAX_RANK];
	bool found;
	int rank = operator_ints(call, 1, "shape", dims, TENSOR_MAX_RANK, &found);
	if (rank < 0)
		return -1;
	bool zero_copies = node_int(call->node, "allowzero", 0) == 0;
	for (int i = 0; i < rank && zero_copies; i++) {
		if (dims[i] != 0)
			continue;
		if ((uint32_t)i >= call->inputs[0].rank)
			return operator_error(call,
					      "dimension %d is 0 but the input has rank %" PRIu32,
					      i, call->inputs[0].rank);
		dims[i] = call->inputs[0].dims[i];
	}
	if (resolve_wildcard(call, (uint32_t)rank, dims) != 0)
		return -1;
	return output_view(call, (uint32_t)rank, dims);
}

static int
infer_flatten(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t axis = node_int(call->node, "axis", 1);
	if (axis < -(int64_t)input->rank || axis > (int64_t)input->rank)
		return operator_error(call, "axis %" PRId64 " is out of range", axis);
	int64_t dims[2] = { 1, 1 };
	for (uint32_t i = 0; i < input->rank; i++)
		dims[(int64_t)i < (axis < 0 ? axis + input->rank : axis) ? 0 : 1] *= input->dims[i];
	return output_view(call, 2, dims);
}

/* Bits of the axes given by input 1 or the attribute, for a tensor of that rank. -1 with the error set. */
static int
read_axes(const struct operator_call *call, uint32_t rank, uint32_t *bits, bool *found)
{
	int64_t axes[TENSOR_MAX_RANK];
	int count = operator_ints(call, 1, "axes", axes, TENSOR_MAX_RANK, found);
	*bits = 0;
	for (int i = 0; i < count; i++) {
		uint32_t axis;
		if (operator_axis(call, axes[i], rank, &axis) != 0)
			return -1;
		if (*bits >> axis & 1)
			return operator_error(call, "axis %" PRIu32 " is given twice", axis);
		*bits |= 1U << axis;
	}
	return count;
}

static int
infer_squeeze(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	uint32_t bits;
	bool found;
	if (read_axes(call, input->rank, &bits, &found) < 0)
		return -1;
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	for (uint32_t i = 0; i < input->rank; i++) {
		bool drop = found ? (bits >> i & 1) != 0 : input->dims[i] == 1;
		if (drop && input->dims[i] != 1)
			return operator_error(call, "axis %" PRIu32 " is %" PRId64 ", not 1", i,
					      input->dims[i]);
		if (!drop)
			dims[rank++] = input->dims[i];
	}
	return output_view(call, rank, dims);
}

static int
infer_unsqueeze(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t axes[TENSOR_MAX_RANK];
	bool found;
	int count = operator_ints(call, 1, "axes", axes, TENSOR_MAX_RANK, &found);
	if (count < 0)
		return -1;
	uint32_t rank = input->rank + (uint32_t)count;
	if (rank > TENSOR_MAX_RANK)
		return operator_error(call, "the output would have rank %" PRIu32, rank);
	uint32_t bits;
	if (read_axes(call, rank, &bits, &found) < 0)
		return -1;
	int64_t dims[TENSOR_MAX_RANK];
	for (uint32_t i = 0, from = 0; i < rank; i++)
		dims[i] = (bits >> i & 1) != 0 ? 1 : input->dims[from++];
	return output_view(call, rank, dims);
}

static const struct op shape_operators[] = {
	{ .type = "Identity",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_VIEW,
	  .infer = infer_same },
	{ .type = "Reshape",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_VIEW,
	  .infer = infer_reshape },
	{ .type = "Reshape",
	  .since = 5,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1,
	  .flags = OPERATOR_VIEW,
	  .infer = infer_reshape },
	{ .type = "Flatten",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_VIEW,
	  .infer = infer_flatten },
	{ .type = "Squeeze",
	  .since = 1,
	  .inputs = { 1, 2 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1,
	  .flags = OPERATOR_VIEW,
	  .infer = infer_squeeze },
	{ .type = "Unsqueeze",
	  .since = 1,
	  .inputs = { 1, 2 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1,
	  .flags = OPERATOR_VIEW,
	  .infer = infer_unsqueeze },
};

const struct operator_family operator_family_shape = {
	shape_operators,
	sizeof(shape_operators) / sizeof(shape_operators[0]),
};
