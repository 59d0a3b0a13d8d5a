/* Operators that move elements without looking at them: transposing, slicing, repeating, joining. */
#include "exec/op_move.h"

#include <inttypes.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/parallel.h"

enum {
	/* Bytes worth a thread of their own. */
	GRAIN_BYTES = 65536,
};

/* --- one strided copy an output ----------------------------------------------------------------------------------- */

int
op_move_run(const void *state, const struct operands *operands)
{
	const struct move *move = state;
	for (uint32_t i = 0; i < move->outputs; i++)
		if (operands->outputs[i] != NULL)
			strided_copy(&move->copies[i], operands->inputs[0], operands->outputs[i],
				     move->threads);
	return 0;
}

static struct move *
use_move(struct operator_call *call)
{
	struct move *move =
		operator_state(call, sizeof(*move) + call->output_count * sizeof(move->copies[0]));
	if (move == NULL)
		return NULL;
	move->threads = call->threads;
	move->outputs = call->output_count;
	call->kernel->run = op_move_run;
	return move;
}

/* Output `output` reads input 0 from offset on, by these steps. */
static void
set_move(struct operator_call *call, struct move *move, uint32_t output, const int64_t *steps,
	 int64_t offset)
{
	const struct tensor_type *type = &call->outputs[output];
	strided_create(&move->copies[output], type->rank, type->dims, steps, offset,
		       data_type_bytes(type->data_type));
}

/* --- Transpose ---------------------------------------------------------------------------------------------------- */

static int
read_permutation(const struct operator_call *call, uint32_t *permutation)
{
	uint32_t rank = call->inputs[0].rank;
	uint32_t count;
	const int64_t *perm = node_ints(call->node, "perm", &count);
	if (perm != NULL && count != rank)
		return operator_error(call, "perm has %" PRIu32 " entries, the input rank %" PRIu32,
				      count, rank);
	uint32_t seen = 0;
	for (uint32_t i = 0; i < rank; i++) {
		permutation[i] = rank - 1 - i;
		if (perm != NULL && operator_axis(call, perm[i], rank, &permutation[i]) != 0)
			return -1;
		seen |= 1U << permutation[i];
	}
	if (seen != (1U << rank) - 1)
		return operator_error(call, "perm names an axis twice");
	return 0;
}

static int
infer_transpose(struct operator_call *call)
{
	uint32_t permutation[TENSOR_MAX_RANK];
	if (read_permutation(call, permutation) != 0)
		return -1;
	int64_t dims[TENSOR_MAX_RANK];
	for (uint32_t i = 0; i < call->inputs[0].rank; i++)
		dims[i] = call->inputs[0].dims[permutation[i]];
	return operator_output(call, 0, call->inputs[0].data_type, call->inputs[0].rank, dims);
}

static int
prepare_transpose(struct operator_call *call)
{
	uint32_t permutation[TENSOR_MAX_RANK];
	int64_t in_steps[TENSOR_MAX_RANK];
	int64_t steps[TENSOR_MAX_RANK];
	struct move *move = use_move(call);
	if (move == NULL || read_permutation(call, permutation) != 0)
		return -1;
	axis_steps(&call->inputs[0], in_steps);
	for (uint32_t i = 0; i < call->inputs[0].rank; i++)
		steps[i] = in_steps[permutation[i]];
	set_move(call, move, 0, steps, 0);
	return 0;
}

/* --- Expand ------------------------------------------------------------------------------------------------------- */

static int
infer_expand(struct operator_call *call)
{
	struct tensor_type shape = { .data_type = call->inputs[0].data_type };
	int rank = operator_read_ints(call, 1, shape.dims, TENSOR_MAX_RANK);
	if (rank < 0)
		return -1;
	shape.rank = (uint32_t)rank;
	if (tensor_type_check(&shape) != 0 || tensor_elements(&shape) < 0)
		return operator_error(call, "the shape to expand to is not one");
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t out_rank = call->inputs[0].rank;
	memcpy(dims, call->inputs[0].dims, sizeof(dims));
	if (operator_broadcast(call, &out_rank, dims, &shape) != 0)
		return -1;
	return operator_output(call, 0, shape.data_type, out_rank, dims);
}

static int
prepare_expand(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	const struct tensor_type *out = &call->outputs[0];
	int64_t in_steps[TENSOR_MAX_RANK];
	int64_t steps[TENSOR_MAX_RANK];
	struct move *move = use_move(call);
	if (move == NULL)
		return -1;
	axis_steps(in, in_steps);
	for (uint32_t i = 0; i < out->rank; i++) {
		uint32_t lead = out->rank - in->rank;
		bool repeated = i < lead || in->dims[i - lead] == 1;
		steps[i] = repeated ? 0 : in_steps[i - lead];
	}
	set_move(call, move, 0, steps, 0);
	return 0;
}

/* --- Slice -------------------------------------------------------------------------------------------------------- */

/* First element, distance and number of elements taken of each dimension. */
struct slice {
	int64_t start[TENSOR_MAX_RANK];
	int64_t step[TENSOR_MAX_RANK];
	int64_t count[TENSOR_MAX_RANK];
};

static int64_t
clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* ONNX's rules: negative bounds count from the end, bounds beyond it are cut. */
static void
slice_axis(struct slice *slice, uint32_t axis, int64_t dim, int64_t start, int64_t end,
	   int64_t step)
{
	int64_t low = step > 0 ? 0 : -1;
	int64_t high = step > 0 ? dim : dim - 1;
	/* The smallest number is a common way to say "to the beginning". */
	start = start < 0 ? clamp(start, -dim - 1, 0) + dim : start;
	end = end < 0 ? clamp(end, -dim - 1, 0) + dim : end;
	start = clamp(start, low, high);
	end = clamp(end, low, high);
	int64_t span = step > 0 ? end - start : start - end;
	/* A step as large as the span or larger takes one element; -INT64_MIN does not exist. */
	int64_t stride = step > 0 ? step : step == INT64_MIN ? INT64_MAX : -step;
	slice->start[axis] = start;
	slice->step[axis] = stride >= span ? 1 : step;
	slice->count[axis] = span <= 0 ? 0 : (span - 1) / stride + 1;
}

static int
read_slice(const struct operator_call *call, struct slice *slice)
{
	const struct tensor_type *in = &call->inputs[0];
	int64_t starts[TENSOR_MAX_RANK], ends[TENSOR_MAX_RANK];
	int64_t axes[TENSOR_MAX_RANK], steps[TENSOR_MAX_RANK];
	bool has_axes, has_steps, found;
	int count = operator_ints(call, 1, "starts", starts, TENSOR_MAX_RANK, &found);
	int end_count = operator_ints(call, 2, "ends", ends, TENSOR_MAX_RANK, &found);
	int axis_count = operator_ints(call, 3, "axes", axes, TENSOR_MAX_RANK, &has_axes);
	int step_count = operator_ints(call, 4, "steps", steps, TENSOR_MAX_RANK, &has_steps);
	if (count < 0 || end_count < 0 || axis_count < 0 || step_count < 0)
		return -1;
	if (end_count != count || (has_axes && axis_count != count) ||
	    (has_steps && step_count != count) || count > (int)in->rank)
		return operator_error(call, "starts, ends, axes and steps differ in length");
	for (uint32_t i = 0; i < in->rank; i++)
		slice_axis(slice, i, in->dims[i], 0, in->dims[i], 1);
	for (int i = 0; i < count; i++) {
		uint32_t axis;
		if (operator_axis(call, has_axes ? axes[i] : i, in->rank, &axis) != 0)
			return -1;
		int64_t step = has_steps ? steps[i] : 1;
		if (step == 0)
			return operator_error(call, "a step is 0");
		slice_axis(slice, axis, in->dims[axis], starts[i], ends[i], step);
	}
	return 0;
}

static int
infer_slice(struct operator_call *call)
{
	struct slice slice;
	if (read_slice(call, &slice) != 0)
		return -1;
	return operator_output(call, 0, call->inputs[0].data_type, call->inputs[0].rank,
			       slice.count);
}

static int
prepare_slice(struct operator_call *call)
{
	struct slice slice;
	int64_t steps[TENSOR_MAX_RANK];
	int64_t offset = 0;
	struct move *move = use_move(call);
	if (move == NULL || read_slice(call, &slice) != 0)
		return -1;
	axis_steps(&call->inputs[0], steps);
	for (uint32_t i = 0; i < call->inputs[0].rank; i++) {
		offset += slice.start[i] * steps[i];
		steps[i] *= slice.step[i];
	}
	set_move(call, move, 0, steps, offset);
	return 0;
}

/* --- Split -------------------------------------------------------------------------------------------------------- */

/* Length of each output along the axis. */
static int
read_split(const struct operator_call *call, uint32_t *axis, int64_t *lengths)
{
	if (operator_axis(call, node_int(call->node, "axis", 0), call->inputs[0].rank, axis) != 0)
		return -1;
	int64_t dim = call->inputs[0].dims[*axis];
	bool found;
	int count = operator_ints(call, 1, "split", lengths, OPERATOR_MAX_OUTPUTS, &found);
	if (count < 0)
		return -1;
	if (!found) {
		int64_t parts = call->output_count;
		int64_t share = (dim + parts - 1) / parts;
		for (int64_t i = 0; i < parts; i++)
			lengths[i] = clamp(dim - i * share, 0, share);
		return 0;
	}
	int64_t sum = 0;
	for (int i = 0; i < count; i++) {
		if (lengths[i] < 0 || lengths[i] > dim - sum)
			return operator_error(call, "part %d of %" PRId64 " does not fit", i,
					      lengths[i]);
		sum += lengths[i];
	}
	if ((uint32_t)count != call->output_count || sum != dim)
		return operator_error(call,
				      "%d parts of %" PRId64 " in all, not %" PRIu32 " of %" PRId64,
				      count, sum, call->output_count, dim);
	return 0;
}

static int
infer_split(struct operator_call *call)
{
	int64_t lengths[OPERATOR_MAX_OUTPUTS];
	uint32_t axis;
	if (read_split(call, &axis, lengths) != 0)
		return -1;
	struct tensor_type type = call->inputs[0];
	for (uint32_t i = 0; i < call->output_count; i++) {
		type.dims[axis] = lengths[i];
		call->outputs[i] = type;
	}
	return 0;
}

static int
prepare_split(struct operator_call *call)
{
	int64_t lengths[OPERATOR_MAX_OUTPUTS];
	int64_t steps[TENSOR_MAX_RANK];
	uint32_t axis;
	struct move *move = use_move(call);
	if (move == NULL || read_split(call, &axis, lengths) != 0)
		return -1;
	axis_steps(&call->inputs[0], steps);
	int64_t offset = 0;
	for (uint32_t i = 0; i < call->output_count; i++) {
		set_move(call, move, i, steps, offset * steps[axis]);
		offset += lengths[i];
	}
	return 0;
}

/* --- Concat ------------------------------------------------------------------------------------------------------- */

struct concat_run {
	const struct concat *concat;
	const struct operands *operands;
};

static void
run_concat_blocks(void *context, int64_t begin, int64_t end)
{
	const struct concat_run *run = context;
	const struct concat *concat = run->concat;
	for (int64_t block = begin; block < end; block++) {
		char *out =
			(char *)run->operands->outputs[0] + block * (int64_t)concat->block_bytes;
		for (uint32_t i = 0; i < concat->inputs; i++) {
			size_t bytes = concat->input_bytes[i];
			const char *in = run->operands->inputs[i];
			if (bytes != 0 && in + block * (int64_t)bytes != out)
				memcpy(out, in + block * (int64_t)bytes, bytes);
			out += bytes;
		}
	}
}

int
op_move_concat(const void *state, const struct operands *operands)
{
	const struct concat *concat = state;
	struct concat_run run = { concat, operands };
	parallel_for(concat->threads, concat->blocks,
		     GRAIN_BYTES / (int64_t)concat->block_bytes + 1, run_concat_blocks, &run);
	return 0;
}

static int
infer_concat(struct operator_call *call)
{
	struct tensor_type out = call->inputs[0];
	uint32_t axis;
	if (operator_axis(call, node_int(call->node, "axis", 1), out.rank, &axis) != 0)
		return -1;
	for (uint32_t i = 1; i < call->input_count; i++) {
		struct tensor_type in = call->inputs[i];
		if (in.rank != out.rank)
			return operator_error(call,
					      "input %" PRIu32 " has rank %" PRIu32
					      ", input 0 has %" PRIu32,
					      i, in.rank, out.rank);
		int64_t length = in.dims[axis];
		in.dims[axis] = out.dims[axis];
		if (!tensor_type_equal(&in, &out))
			return operator_error(call, "input %" PRIu32 " does not fit input 0", i);
		out.dims[axis] += length;
	}
	return operator_output(call, 0, out.data_type, out.rank, out.dims);
}

static int
prepare_concat(struct operator_call *call)
{
	/* Blocks of channels are a dimension like others, in the same place. */
	struct tensor_type out = layout_view(&call->outputs[0], call->output_layouts[0]);
	size_t input_bytes = call->input_count * sizeof(size_t);
	struct concat *concat = operator_state(call, sizeof(*concat) + input_bytes);
	uint32_t axis;
	if (concat == NULL ||
	    operator_axis(call, node_int(call->node, "axis", 1), call->outputs[0].rank, &axis) != 0)
		return -1;
	concat->inputs = call->input_count;
	concat->threads = call->threads;
	concat->blocks = 1;
	for (uint32_t i = 0; i < axis; i++)
		concat->blocks *= out.dims[i];
	for (uint32_t i = 0; i < call->input_count; i++)
		concat->input_bytes[i] = layout_bytes(&call->inputs[i], call->output_layouts[0]) /
					 (size_t)concat->blocks;
	concat->block_bytes = tensor_bytes(&out) / (size_t)concat->blocks;
	call->kernel->run = op_move_concat;
	return 0;
}

/* Channels must not begin within a block. */
static bool
concat_blocks(const struct operator_call *call)
{
	for (uint32_t i = 0; i < call->input_count; i++)
		if (call->inputs[i].dims[1] % layout_block() != 0)
			return false;
	return true;
}

/* clang-format off */
#define MOVE(NAME, SINCE, INPUTS_MIN, INPUTS_MAX, OUTPUTS, KNOWN, RULE)                            \
	{ .type = NAME, .since = SINCE, .inputs = { INPUTS_MIN, INPUTS_MAX },                      \
	  .outputs = { 1, OUTPUTS }, .known_inputs = KNOWN, .infer = infer_##RULE,                 \
	  .prepare = prepare_##RULE }
/* clang-format on */

static const struct op move_operators[] = {
	MOVE("Transpose", 1, 1, 1, 1, 0, transpose),
	MOVE("Expand", 8, 2, 2, 1, 1 << 1, expand),
	MOVE("Slice", 1, 1, 1, 1, 0, slice),
	MOVE("Slice", 10, 3, 5, 1, 0x1e, slice),
	MOVE("Split", 2, 1, 2, OPERATOR_MANY, 1 << 1, split),
	{ .type = "Concat",
	  .since = 1,
	  .inputs = { 1, OPERATOR_MANY },
	  .outputs = { 1, 1 },
	  .layouts = OPERATOR_LAYOUTS_ALIKE,
	  .infer = infer_concat,
	  .prepare = prepare_concat,
	  .blocks = concat_blocks },
};

const struct operator_family operator_family_move = {
	move_operators,
	sizeof(move_operators) / sizeof(move_operators[0]),
};
