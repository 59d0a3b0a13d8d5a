/* Attention of 16-bit floats: cuDNN's, where it has an engine for that; else a kernel of ours. */
#include "exec/attention.h"
#include "exec/cuda/op.h"
#include "exec/cuda/plan.h"

struct cuda_attention {
	struct attention attention;
	/* NULL: our own kernel. */
	struct plan *plan;
};

static int
run_attention(const void *state, const struct operands *operands)
{
	const struct cuda_attention *own = state;
	const struct attention *attention = &own->attention;
	struct cuda_compute *compute = cuda_op_compute(operands);
	const void *const *in = operands->inputs;
	const void *mask = attention->masked ? in[3] : NULL;
	void *out = operands->outputs[0];
	if (own->plan == NULL || compute->dnn == NULL)
		return cuda_op_launched(operands,
					kernel_attention(compute->stream, attention, in[0], in[1],
							 in[2], mask, out),
					"kernel_attention");
	const struct plan_operand given[PLAN_OPERANDS] = {
		{ PLAN_TENSOR_Q, in[0] },   { PLAN_TENSOR_K, in[1] },
		{ PLAN_TENSOR_V, in[2] },   { PLAN_TENSOR_SCALE, &attention->scale },
		{ PLAN_TENSOR_OUT, out },   { PLAN_TENSOR_STATS, operands->scratch },
		{ PLAN_TENSOR_MASK, mask },
	};
	return plan_run(own->plan, compute, given,
			attention->masked ? PLAN_OPERANDS : PLAN_OPERANDS - 1);
}

static void
destroy_attention(const void *state)
{
	const struct cuda_attention *own = state;
	plan_delete(own->plan);
}

static int
prepare_attention(struct operator_call *call)
{
	struct cuda_attention *own = operator_state(call, sizeof(*own));
	if (own == NULL || attention_read(call, &own->attention) != 0)
		return -1;
	enum data_type data_type = own->attention.data_type;
	if (data_type != DATA_TYPE_FLOAT16 && data_type != DATA_TYPE_BFLOAT16)
		return cuda_op_unsupported(call, data_type);
	own->plan = plan_new_attention(&own->attention);
	if (own->plan != NULL)
		call->kernel->scratch_bytes =
			sizeof(float) * (size_t)(own->attention.batch[0] * own->attention.batch[1] *
						 own->attention.rows);
	call->kernel->run = run_attention;
	call->kernel->destroy = destroy_attention;
	return 0;
}

static const struct cuda_op attention_operators[] = {
	{ "tidepool", "Attention", 1, prepare_attention },
};

const struct cuda_family cuda_family_attention = {
	attention_operators,
	sizeof(attention_operators) / sizeof(attention_operators[0]),
};
