/* Poolings: of tensors whose channels lie last by kernels of their own, of plain ones with the host's state. */
#include <string.h>

#include "exec/axis.h"
#include "exec/cuda/op.h"
#include "exec/cuda/runs.h"
#include "exec/cuda/window.h"

struct cuda_pool {
	struct kernel_pool kernel;
	enum data_type data_type;
};

static int
run_pool(const void *state, const struct operands *operands)
{
	const struct cuda_pool *pool = state;
	return cuda_op_launched(operands,
				kernel_pool_last(cuda_op_compute(operands)->stream, pool->data_type,
						 &pool->kernel, operands->inputs[0],
						 operands->outputs[0]),
				"kernel_pool_last");
}

/* All places at once, in one row. */
static struct kernel_window
whole(const struct tensor_type *type)
{
	int64_t places = axis_from(type, 2).dim;
	return (struct kernel_window){ .in = { 1, 1, places },
				       .out = { 1, 1, 1 },
				       .kernel = { 1, 1, places },
				       .strides = { 1, 1, 1 },
				       .dilations = { 1, 1, 1 } };
}

static int
prepare_last(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct window window;
	struct cuda_pool *pool = operator_state(call, sizeof(*pool));
	bool is_global = strncmp(call->node->op_type, "Global", 6) == 0;
	if (pool == NULL || (!is_global && window_read(call, NULL, &window) != 0))
		return -1;
	pool->data_type = in->data_type;
	pool->kernel = (struct kernel_pool){
		.window = is_global ? whole(in) : cuda_window_of(&window, in),
		.batch = in->dims[0],
		.channels = in->dims[1],
		.averages = strstr(call->node->op_type, "Average") != NULL,
		.counts_padding = node_int(call->node, "count_include_pad", 0) != 0,
	};
	call->kernel->run = run_pool;
	return 0;
}

static int
prepare_pool(struct operator_call *call)
{
	return call->input_layouts[0] == LAYOUT_LAST ? prepare_last(call) : runs_prepare(call);
}

static const struct cuda_op pool_operators[] = {
	{ NULL, "MaxPool", 1, prepare_pool },
	{ NULL, "AveragePool", 1, prepare_pool },
	{ NULL, "GlobalMaxPool", 1, prepare_pool },
	{ NULL, "GlobalAveragePool", 1, prepare_pool },
};

const struct cuda_family cuda_family_pool = {
	pool_operators,
	sizeof(pool_operators) / sizeof(pool_operators[0]),
};
