/*
 * Our own Attention, what pass_attention makes: softmax(scale Q K' + mask) V. Q, K, V and the result are views: attribute
 * q_perm says which of Q's dimensions is which of [batch …, rows, inner], likewise k_perm [batch …, columns, inner] and v_perm
 * [batch …, columns, width]; out_perm which of [batch …, rows, width] each dimension of the result is. So the transpositions
 * around the products need not be done. The mask is added to the scores, and broadcast.
 */
#include <inttypes.h>
#include <string.h>

#include "exec/attention.h"
#include "exec/axis.h"
#include "exec/operator.h"
#include "exec/panels.h"

enum { MIN_RANK = 3 };

/* The dims of input `input` in the order that the attribute says, and the elements between. */
static int
read_view(const struct operator_call *call, uint32_t input, const char *name, int64_t *dims,
	  int64_t *steps)
{
	const struct tensor_type *type = &call->inputs[input];
	uint32_t count;
	const int64_t *order = node_ints(call->node, name, &count);
	int64_t own[TENSOR_MAX_RANK];
	if (order == NULL || count != type->rank || type->data_type != call->inputs[0].data_type ||
	    count < MIN_RANK || count > ATTENTION_RANK)
		return operator_error(call, "input %" PRIu32 " does not fit %s", input, name);
	axis_steps(type, own);
	uint32_t shift = ATTENTION_RANK - count;
	for (uint32_t i = 0; i < shift; i++) {
		dims[i] = 1;
		steps[i] = 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t axis;
		if (operator_axis(call, order[i], count, &axis) != 0)
			return -1;
		dims[shift + i] = type->dims[axis];
		steps[shift + i] = own[axis];
	}
	return 0;
}

/* The mask's steps; it must broadcast to the scores, and have all of their columns. */
static int
read_mask(const struct operator_call *call, const int64_t *scores, int64_t *steps)
{
	const struct tensor_type *type = &call->inputs[3];
	int64_t own[TENSOR_MAX_RANK];
	if (type->data_type != call->inputs[0].data_type || type->rank == 0 ||
	    type->rank > ATTENTION_RANK || type->dims[type->rank - 1] != scores[ATTENTION_RANK - 1])
		return operator_error(call, "the mask does not fit");
	axis_steps(type, own);
	memset(steps, 0, ATTENTION_RANK * sizeof(steps[0]));
	uint32_t shift = ATTENTION_RANK - type->rank;
	for (uint32_t i = 0; i < type->rank; i++) {
		if (type->dims[i] != 1 && type->dims[i] != scores[shift + i])
			return operator_error(call, "the mask does not broadcast to the scores");
		steps[shift + i] = type->dims[i] == 1 ? 0 : own[i];
	}
	return 0;
}

/* Everything but how the result lies. */
static int
read_attention(const struct operator_call *call, struct attention *attention)
{
	int64_t q[ATTENTION_RANK], k[ATTENTION_RANK], v[ATTENTION_RANK];
	attention->data_type = call->inputs[0].data_type;
	if (attention->data_type != DATA_TYPE_FLOAT && attention->data_type != DATA_TYPE_FLOAT16 &&
	    attention->data_type != DATA_TYPE_BFLOAT16)
		return operator_error(call, "element type %s is not a float of 16 or 32 bits",
				      data_type_name(attention->data_type));
	if (read_view(call, 0, "q_perm", q, attention->q.steps) != 0 ||
	    read_view(call, 1, "k_perm", k, attention->k.steps) != 0 ||
	    read_view(call, 2, "v_perm", v, attention->v.steps) != 0)
		return -1;
	for (uint32_t i = 0; i < ATTENTION_BATCH; i++) {
		if (q[i] != k[i] || q[i] != v[i])
			return operator_error(call, "batches differ");
		attention->batch[i] = q[i];
	}
	if (q[3] != k[3] || k[2] != v[2])
		return operator_error(call, "Q, K and V do not fit");
	attention->rows = q[2];
	attention->columns = k[2];
	attention->inner = q[3];
	attention->width = v[3];
	attention->scale = node_float(call->node, "scale", 1);
	attention->masked = operator_has_input(call, 3);
	const int64_t scores[] = { q[0], q[1], q[2], k[2] };
	return attention->masked ? read_mask(call, scores, attention->mask.steps) : 0;
}

static int
infer_attention(struct operator_call *call)
{
	struct attention attention = { 0 };
	uint32_t count, axis, rank = call->inputs[0].rank;
	const int64_t *order = node_ints(call->node, "out_perm", &count);
	if (read_attention(call, &attention) != 0)
		return -1;
	const int64_t view[] = { attention.batch[0], attention.batch[1], attention.rows,
				 attention.width };
	int64_t dims[ATTENTION_RANK];
	if (order == NULL || count != rank)
		return operator_error(call, "out_perm does not fit");
	for (uint32_t i = 0; i < rank; i++) {
		if (operator_axis(call, order[i], rank, &axis) != 0)
			return -1;
		dims[i] = view[ATTENTION_RANK - rank + axis];
	}
	return operator_output(call, 0, attention.data_type, rank, dims);
}

int
attention_read(const struct operator_call *call, struct attention *attention)
{
	int64_t own[TENSOR_MAX_RANK];
	uint32_t count, axis;
	const int64_t *order = node_ints(call->node, "out_perm", &count);
	if (read_attention(call, attention) != 0)
		return -1;
	axis_steps(&call->outputs[0], own);
	for (uint32_t i = 0; i < count; i++) {
		if (operator_axis(call, order[i], count, &axis) != 0)
			return -1;
		attention->out.steps[ATTENTION_RANK - count + axis] = own[i];
	}
	call->kernel->flops = 2 *
			      (uint64_t)(attention->batch[0] * attention->batch[1] *
					 attention->rows * attention->columns) *
			      (uint64_t)(attention->inner + attention->width);
	return 0;
}

static int
prepare_attention(struct operator_call *call)
{
	struct attention *attention = operator_state(call, sizeof(*attention));
	if (attention == NULL || attention_read(call, attention) != 0)
		return -1;
	if (!panels_supported() || attention->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "this processor has no kernel for it");
	attention->threads = call->threads;
	call->kernel->run = attention_run;
	call->kernel->scratch_bytes = attention_scratch(attention) * call->threads;
	return 0;
}

static const struct op attention_operators[] = {
	{ .domain = "tidepool",
	  .type = "Attention",
	  .since = 1,
	  .inputs = { 3, 4 },
	  .outputs = { 1, 1 },
	  .infer = infer_attention,
	  .prepare = prepare_attention },
};

const struct operator_family operator_family_attention = {
	attention_operators,
	sizeof(attention_operators) / sizeof(attention_operators[0]),
};
