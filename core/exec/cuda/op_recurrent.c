/* RNN, GRU, LSTM. */
#include "exec/op_recurrent.h"

#include "exec/cuda/op.h"

static int
run_recurrent(const void *state, const struct operands *operands)
{
	const struct recurrent_node *node = state;
	struct cuda_compute *compute = cuda_op_compute(operands);
	for (int64_t d = 0; d < node->shape.directions; d++) {
		struct recurrent_direction direction = op_recurrent_direction(node, operands, d);
		if (cuda_op_launched(operands,
				     kernel_recurrent(compute->stream, &node->shape, &direction,
						      compute->fault, operands->label,
						      operands->scratch),
				     "kernel_recurrent") != 0)
			return -1;
	}
	return 0;
}

/* The host's state; the sequences of a batch go side by side, so each has its own scratch. */
static int
prepare_recurrent(struct operator_call *call)
{
	if (call->op->prepare(call) != 0)
		return -1;
	const struct recurrent_node *node = call->kernel->state;
	call->kernel->scratch_bytes = recurrent_scratch(&node->shape) * (size_t)node->shape.batch;
	call->kernel->run = run_recurrent;
	return 0;
}

static const struct cuda_op recurrent_operators[] = {
	{ NULL, "RNN", 1, prepare_recurrent },
	{ NULL, "GRU", 1, prepare_recurrent },
	{ NULL, "LSTM", 1, prepare_recurrent },
};

const struct cuda_family cuda_family_recurrent = {
	recurrent_operators,
	sizeof(recurrent_operators) / sizeof(recurrent_operators[0]),
};
