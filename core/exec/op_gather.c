/* Gather: whole slices along an axis, by index. */
#include "exec/op_gather.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "exec/panels.h"

static int64_t
read_index(const struct gather *gather, const void *indices, int64_t i)
{
	int64_t index =
		gather->wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
	return index < 0 ? index + gather->dim : index;
}

static int
check_indices(const struct gather *gather, const void *indices)
{
	for (int64_t i = 0; i < gather->indices; i++) {
		int64_t index = read_index(gather, indices, i);
		if (index < 0 || index >= gather->dim)
			return error_set(ERR_OUT_OF_RANGE,
					 "index %" PRId64 " is out of range of %" PRId64, index,
					 gather->dim);
	}
	return 0;
}

int
op_gather_run(const void *state, const struct operands *operands)
{
	const struct gather *gather = state;
	const char *in = operands->inputs[0];
	char *out = operands->outputs[0];
	if (check_indices(gather, operands->inputs[1]) != 0)
		return -1;
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

/* --- our own GatherPanels: rows of a matrix that lies packed for products with its transpose, where pass_tied finds both --- */

static int
run_gather_panels(const void *state, const struct operands *operands)
{
	const struct gather *gather = state;
	int64_t width = (int64_t)(gather->row_bytes / sizeof(float));
	int64_t inner = panels_round_up(width, PANELS_BLOCK);
	float *out = operands->outputs[0];
	if (check_indices(gather, operands->inputs[1]) != 0)
		return -1;
	for (int64_t i = 0; i < gather->indices; i++, out += width) {
		int64_t index = read_index(gather, operands->inputs[1], i);
		const float *from = (const float *)operands->inputs[0] +
				    index / PANELS_WIDTH * inner * PANELS_WIDTH +
				    index % PANELS_WIDTH;
		for (int64_t k = 0; k < width; k++)
			out[k] = from[k * PANELS_WIDTH];
	}
	return 0;
}

static int
prepare_gather_panels(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct panels_form form = {
		.n = in->dims[0], .k = in->dims[1], .b_row = 1, .b_column = in->dims[1]
	};
	if (prepare_gather(call) != 0)
		return -1;
	call->kernel->run = run_gather_panels;
	return panels_pack(call, 0, &form);
}

static const struct op gather_operators[] = {
	{ .type = "Gather",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .infer = infer_gather,
	  .prepare = prepare_gather },
	{ .domain = "tidepool",
	  .type = "GatherPanels",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .infer = infer_gather,
	  .prepare = prepare_gather_panels },
};

const struct operator_family operator_family_gather = {
	gather_operators,
	sizeof(gather_operators) / sizeof(gather_operators[0]),
};
