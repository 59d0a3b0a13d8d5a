/* ConvTranspose: cuDNN's gradient of a convolution by its input; else a kernel of ours. */
#include "exec/op_deconv.h"

#include <string.h>

#include "exec/cuda/plan.h"
#include "exec/cuda/posts.h"
#include "exec/cuda/weights.h"

struct cuda_deconv {
	/* NULL: our own kernel, which adds the bias itself. */
	struct plan *plan;
	struct kernel_conv kernel;
	enum data_type data_type;
	bool has_bias;
	/* The bias, after a plan. */
	struct cuda_posts posts;
};

static int
run_deconv(const void *state, const struct operands *operands)
{
	const struct cuda_deconv *deconv = state;
	struct cuda_compute *compute = cuda_op_compute(operands);
	const void *in = operands->inputs[0], *weights = operands->inputs[1];
	const void *bias = deconv->has_bias ? operands->inputs[2] : NULL;
	void *out = operands->outputs[0];
	if (deconv->plan == NULL || compute->dnn == NULL)
		return cuda_op_launched(operands,
					kernel_deconv(compute->stream, deconv->data_type,
						      &deconv->kernel, in, weights, bias, out),
					"kernel_deconv");
	const struct plan_operand given[] = { { PLAN_TENSOR_IN, in },
					      { PLAN_TENSOR_WEIGHTS, weights },
					      { PLAN_TENSOR_OUT, out } };
	if (plan_run(deconv->plan, compute, given, 3) != 0)
		return -1;
	return cuda_posts_run(&deconv->posts, operands, out, out);
}

static void
destroy_deconv(const void *state)
{
	const struct cuda_deconv *deconv = state;
	plan_delete(deconv->plan);
}

/* The host's window slides over the output and has three dimensions: those outer ones that are 1 are left out for cuDNN. */
static void
describe(const struct operator_call *call, const struct deconv *host, struct plan_conv *plan)
{
	const struct window *window = &host->window;
	uint32_t first = window->rank == 3 ? 0 : 1, spatial = 3 - first;
	*plan = (struct plan_conv){ .data_type = call->inputs[0].data_type,
				    .transposed = true,
				    .last = call->input_layouts[0] == LAYOUT_LAST,
				    .spatial = spatial,
				    .batch = host->batches,
				    .groups = host->groups,
				    .in_channels = host->in_channels * host->groups,
				    .out_channels = host->out_channels * host->groups };
	size_t bytes = spatial * sizeof(int64_t);
	memcpy(plan->in, window->out + first, bytes);
	memcpy(plan->out, host->out + first, bytes);
	memcpy(plan->kernel, window->kernel + first, bytes);
	memcpy(plan->strides, window->strides + first, bytes);
	memcpy(plan->dilations, window->dilations + first, bytes);
	memcpy(plan->begin, window->begin + first, bytes);
	memcpy(plan->end, window->end + first, bytes);
}

static struct kernel_conv
kernel_of(const struct deconv *host)
{
	const struct window *window = &host->window;
	struct kernel_conv kernel = { .batch = host->batches,
				      .groups = host->groups,
				      .in_channels = host->in_channels,
				      .out_channels = host->out_channels };
	size_t bytes = sizeof(kernel.window.in);
	memcpy(kernel.window.in, window->out, bytes);
	memcpy(kernel.window.out, host->out, bytes);
	memcpy(kernel.window.kernel, window->kernel, bytes);
	memcpy(kernel.window.strides, window->strides, bytes);
	memcpy(kernel.window.dilations, window->dilations, bytes);
	memcpy(kernel.window.begin, window->begin, bytes);
	memcpy(kernel.window.end, window->end, bytes);
	return kernel;
}

static void
add_bias(struct cuda_deconv *deconv, const struct operator_call *call)
{
	cuda_posts_begin(&deconv->posts, call);
	if (deconv->has_bias)
		cuda_posts_put_channels(&deconv->posts, 0, call, POST_ADD, 2);
}

/* The host's state, which says the shapes: its own kernel is for FP32, so that of others is read as if they were. */
static int
read_shapes(struct operator_call *call)
{
	struct operator_call single = *call;
	struct tensor_type *types = arena_calloc(call->arena, call->input_count, sizeof(types[0]));
	if (types == NULL)
		return -1;
	for (uint32_t i = 0; i < call->input_count; i++) {
		types[i] = call->inputs[i];
		if (types[i].data_type == call->outputs[0].data_type)
			types[i].data_type = DATA_TYPE_FLOAT;
	}
	single.inputs = types;
	return call->op->prepare(&single);
}

static int
prepare_deconv(struct operator_call *call)
{
	if (!cuda_op_is_real(call->inputs[0].data_type))
		return cuda_op_unsupported(call, call->inputs[0].data_type);
	if (read_shapes(call) != 0)
		return -1;
	const struct deconv *host = call->kernel->state;
	struct plan_conv wanted;
	struct cuda_deconv *deconv = operator_state(call, sizeof(*deconv));
	if (deconv == NULL)
		return -1;
	deconv->kernel = kernel_of(host);
	deconv->data_type = call->inputs[0].data_type;
	deconv->has_bias = host->has_bias;
	add_bias(deconv, call);
	describe(call, host, &wanted);
	deconv->kernel.last = wanted.last;
	if (wanted.last && cuda_weights_put_last(call, 1) != 0)
		return -1;
	deconv->plan = plan_new(&wanted);
	call->kernel->run = run_deconv;
	call->kernel->destroy = destroy_deconv;
	return 0;
}

static const struct cuda_op deconv_operators[] = {
	{ NULL, "ConvTranspose", 1, prepare_deconv },
};

const struct cuda_family cuda_family_deconv = {
	deconv_operators,
	sizeof(deconv_operators) / sizeof(deconv_operators[0]),
};
