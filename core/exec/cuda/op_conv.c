/* Convolutions: cuDNN's, with bias, residual sum and Relu fused where it has an engine for that; else a kernel of ours. */
#include "exec/op_conv.h"

#include <string.h>

#include "exec/cuda/plan.h"
#include "exec/cuda/posts.h"
#include "exec/cuda/weights.h"
#include "exec/cuda/window.h"

struct cuda_conv {
	/* NULL: our own kernel. */
	struct plan *plan;
	struct kernel_conv kernel;
	enum data_type data_type;
	/* The plan does these; inputs of the node. */
	bool bias;
	uint32_t residual;
	struct cuda_posts posts;
};

static int
run_plan(const struct cuda_conv *conv, const struct operands *operands)
{
	struct plan_operand given[PLAN_OPERANDS] = {
		{ PLAN_TENSOR_IN, operands->inputs[0] },
		{ PLAN_TENSOR_WEIGHTS, operands->inputs[1] },
		{ PLAN_TENSOR_OUT, operands->outputs[0] },
	};
	uint32_t count = 3;
	if (conv->bias)
		given[count++] = (struct plan_operand){ PLAN_TENSOR_BIAS, operands->inputs[2] };
	if (conv->residual != 0)
		given[count++] = (struct plan_operand){ PLAN_TENSOR_RESIDUAL,
							operands->inputs[conv->residual] };
	return plan_run(conv->plan, cuda_op_compute(operands), given, count);
}

static int
run_conv(const void *state, const struct operands *operands)
{
	const struct cuda_conv *conv = state;
	struct cuda_compute *compute = cuda_op_compute(operands);
	const void *in = operands->inputs[0], *weights = operands->inputs[1];
	void *out = operands->outputs[0];
	int result;
	if (conv->plan != NULL && compute->dnn != NULL)
		result = run_plan(conv, operands);
	else
		result = cuda_op_launched(operands,
					  kernel_conv(compute->stream, conv->data_type,
						      &conv->kernel, in, weights,
						      conv->bias ? operands->inputs[2] : NULL, out),
					  "kernel_conv");
	return result != 0 ? -1 : cuda_posts_run(&conv->posts, operands, out, out);
}

static void
destroy_conv(const void *state)
{
	const struct cuda_conv *conv = state;
	plan_delete(conv->plan);
}

/* What cuDNN is asked for; one spatial dimension becomes two. */
static void
describe(const struct operator_call *call, const struct conv *conv, struct plan_conv *plan)
{
	const struct tensor_type *in = &call->inputs[0];
	const struct window *window = &conv->window;
	uint32_t lead = window->rank == 1;
	*plan = (struct plan_conv){ .data_type = in->data_type,
				    .last = call->input_layouts[0] == LAYOUT_LAST,
				    .spatial = window->rank + lead,
				    .batch = in->dims[0],
				    .groups = conv->groups,
				    .in_channels = conv->in_channels,
				    .out_channels = conv->out_channels,
				    .in = { 1 },
				    .out = { 1 },
				    .kernel = { 1 },
				    .strides = { 1 },
				    .dilations = { 1 } };
	for (uint32_t i = 0; i < window->rank; i++) {
		plan->in[i + lead] = in->dims[i + 2];
		plan->out[i + lead] = window->out[i];
		plan->kernel[i + lead] = window->kernel[i];
		plan->strides[i + lead] = window->strides[i];
		plan->dilations[i + lead] = window->dilations[i];
		plan->begin[i + lead] = window->begin[i];
		plan->end[i + lead] = window->end[i];
	}
}

/* The first posts, as far as a plan does them: a sum like the output, then a Relu. */
static uint32_t
fuse_posts(const struct operator_call *call, struct plan_conv *plan, uint32_t *residual)
{
	const struct post *posts = call->node->posts;
	uint32_t count = call->node->post_count, fused = 0;
	*residual = 0;
	if (count != 0 && posts[0].kind == POST_ADD &&
	    tensor_type_equal(&call->inputs[posts[0].input], &call->outputs[0])) {
		*residual = posts[0].input;
		plan->residual = true;
		fused++;
	}
	if (count > fused && posts[fused].kind == POST_RELU) {
		plan->relu = true;
		fused++;
	}
	return fused;
}

/* With everything fused that can be, else the bias alone, else nothing. Returns how many posts the plan does. */
static uint32_t
choose_plan(const struct operator_call *call, struct cuda_conv *conv, struct plan_conv *wanted)
{
	struct plan_conv plain = *wanted;
	uint32_t fused = fuse_posts(call, wanted, &conv->residual);
	conv->plan = plan_new(wanted);
	if (conv->plan != NULL)
		return fused;
	conv->residual = 0;
	if (fused != 0)
		conv->plan = plan_new(&plain);
	return 0;
}

/* The node's posts from `first` on, behind the bias where neither cuDNN nor our kernel adds it. */
static int
create_posts(struct cuda_conv *conv, const struct operator_call *call, uint32_t first,
	     bool with_bias)
{
	cuda_posts_begin(&conv->posts, call);
	if (with_bias)
		cuda_posts_put_channels(&conv->posts, 0, call, POST_ADD, 2);
	for (uint32_t i = first; i < call->node->post_count; i++)
		if (cuda_posts_add(&conv->posts, call, &call->node->posts[i]) != 0)
			return -1;
	return 0;
}

static int
prepare_conv(struct operator_call *call)
{
	struct conv read;
	struct plan_conv wanted;
	struct cuda_conv *conv = operator_state(call, sizeof(*conv));
	if (conv == NULL || op_conv_read(call, &read) != 0)
		return -1;
	if (!cuda_op_is_real(call->inputs[0].data_type))
		return cuda_op_unsupported(call, call->inputs[0].data_type);
	bool has_bias = operator_has_input(call, 2);
	call->kernel->destroy = destroy_conv;
	call->kernel->run = run_conv;
	conv->data_type = call->inputs[0].data_type;
	conv->kernel = cuda_window_conv(&read.window, &call->inputs[0], read.groups,
					read.in_channels, read.out_channels);
	describe(call, &read, &wanted);
	conv->kernel.last = wanted.last;
	if (wanted.last && cuda_weights_put_last(call, 1) != 0)
		return -1;
	wanted.bias = conv->bias = has_bias;
	uint32_t fused = choose_plan(call, conv, &wanted);
	bool bias_after = false;
	if (conv->plan == NULL && has_bias) {
		wanted.bias = wanted.residual = wanted.relu = false;
		conv->plan = plan_new(&wanted);
		bias_after = conv->plan != NULL;
		conv->bias = !bias_after;
	}
	call->kernel->flops = 2 * (uint64_t)tensor_elements(&call->outputs[0]) *
			      (uint64_t)tensor_elements(&call->inputs[1]) /
			      (uint64_t)read.out_channels;
	return create_posts(conv, call, fused, bias_after);
}

static const struct cuda_op conv_operators[] = {
	{ NULL, "Conv", 1, prepare_conv },
};

const struct cuda_family cuda_family_conv = {
	conv_operators,
	sizeof(conv_operators) / sizeof(conv_operators[0]),
};
