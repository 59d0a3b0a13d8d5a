/* Gather: whole slices along an axis, by index. */
#include "exec/op_gather.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

static int64_t
read_index(const struct gather *gather, const void *indices, int64_t i)
{
	int64_t index =
		gather->wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
	return index < 0 ? index + gather->dim : index;
}

int
op_gather_run(const void *state, const struct operands *operands)
{
	const struct gather *gather = state;
	const char *in = operands->inputs[0];
	char *out = operands->outputs[0];
	for (int64_t i = 0; i < gather->indices; i++) {
		int64_t index = read_index(gather, operands->inputs[1], i);
		if (index < 0 || index >= gather->dim)
			return error_set(ERR_OUT_OF_RANGE,
					 "Gather: index %" PRId64 " is not within %" PRId64, index,
					 gather->dim);
	}
	for (int64_t o = 0; o < gather->outer; o++) {
		for (int64_t i = 0; i < gather->indices; i++) {
			int64_t index = read_index(gather, operands->inputs[1], i);
			memcpy(out, in + index * (int64_t)gather->row_bytes, gather->row_bytes);
			out += gather->row_bytes;
		}
		in += gather->dim * (int64_t)gather->row_bytes;
	}
	return 0;
}

static int
infer_gather(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	const struct tensor_type *indices = &call->inputs[1];
	if (indices->data_type != DATA_TYPE_INT64 && indices->data_type != DATA_TYPE_INT32)
		return operator_error(call, "the indices are %s",
				      data_type_name(indices->data_type));
	uint32_t axis;
	if (operator_axis(call, node_int(call->node, "axis", 0), in->rank, &axis) != 0)
		return -1;
	if (in->rank - 1 + indices->rank > TENSOR_MAX_RANK)
		return operator_error(call, "the output would have too many dimensions");
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	for (uint32_t i = 0; i < axis; i++)
		dims[rank++] = in->dims[i];
	for (uint32_t i = 0; i < indices->rank; i++)
		dims[rank++] = indices->dims[i];
	for (uint32_t i = axis + 1; i < in->rank; i++)
		dims[rank++] = in->dims[i];
	return operator_output(call, 0, in->data_type, rank, dims);
}

static int
prepare_gather(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct gather *gather = operator_state(call, sizeof(*gather));
	uint32_t axis;
	if (gather == NULL ||
	    operator_axis(call, node_int(call->node, "axis", 0), in->rank, &axis) != 0)
		return -1;
	*gather = (struct gather){
		.outer = 1,
		.dim = in->dims[axis],
		.row_bytes = data_type_bytes(in->data_type),
		.indices = tensor_elements(&call->inputs[1]),
		.wide = call->inputs[1].data_type == DATA_TYPE_INT64,
	};
	for (uint32_t i = 0; i < axis; i++)
		gather->outer *= in->dims[i];
	for (uint32_t i = axis + 1; i < in->rank; i++)
		gather->row_bytes *= (size_t)in->dims[i];
	call->kernel->run = op_gather_run;
	return 0;
}

static const struct op gather_operators[] = {
	{ .type = "Gather",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .infer = infer_gather,
	  .prepare = prepare_gather },
};

const struct operator_family operator_family_gather = {
	gather_operators,
	sizeof(gather_operators) / sizeof(gather_operators[0]),
};
