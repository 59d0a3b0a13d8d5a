/* Operands that no constant holds, put at each run into the layout that a primitive wants. */
#include <string.h>

#include "exec/onednn.h"

enum {
	ALIGNMENT = 64,
	/* Inputs of a node, those of its posts with them. */
	MAX_INPUTS = 64,
};

/* The primitive's kernel, and one before it that fills a piece of its scratch. */
struct repack {
	struct kernel primitive;
	struct kernel reorder;
	uint32_t input;
	uint32_t input_count;
	/* Where in the scratch the operand is, and the reorder's own scratch. */
	size_t operand;
	size_t reorder_scratch;
};

static size_t
align(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static int
run_repack(const void *state, const struct operands *operands)
{
	const struct repack *repack = state;
	const void *inputs[MAX_INPUTS];
	void *operand = (char *)operands->scratch + repack->operand;
	struct operands reorder = { .inputs = operands->inputs,
				    .outputs = &operand,
				    .scratch =
					    (char *)operands->scratch + repack->reorder_scratch };
	struct operands primitive = { .inputs = inputs,
				      .outputs = operands->outputs,
				      .scratch = operands->scratch };
	memcpy(inputs, operands->inputs, repack->input_count * sizeof(inputs[0]));
	inputs[repack->input] = operand;
	if (repack->reorder.run(repack->reorder.state, &reorder) != 0)
		return -1;
	return repack->primitive.run(repack->primitive.state, &primitive);
}

static void
destroy_kernel(const struct kernel *kernel)
{
	if (kernel->destroy != NULL)
		kernel->destroy(kernel->state);
}

static void
destroy_repack(const void *state)
{
	const struct repack *repack = state;
	destroy_kernel(&repack->reorder);
	destroy_kernel(&repack->primitive);
}

/* Make call->kernel a reorder of that input. */
static int
create_reorder(struct operator_call *call, uint32_t input, const dnnl_memory_desc_t *plain,
	       const dnnl_memory_desc_t *wanted)
{
	dnnl_primitive_desc_t desc = NULL;
	dnnl_primitive_attr_t attr = NULL;
	dnnl_status_t status = dnnl_primitive_attr_create(&attr);
	if (status == dnnl_success)
		status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_reorder_primitive_desc_create(&desc, plain, onednn_engine(), wanted,
							    onednn_engine(), attr);
	if (attr != NULL)
		dnnl_primitive_attr_destroy(attr);
	if (onednn_check(call, status, "reorder") != 0 || onednn_begin_from(call, desc) == NULL ||
	    onednn_argument(call, DNNL_ARG_SRC, plain, ONEDNN_INPUT, input) != 0)
		return -1;
	return onednn_argument(call, DNNL_ARG_DST, wanted, ONEDNN_OUTPUT, 0);
}

int
onednn_repack(struct operator_call *call, uint32_t input, const dnnl_memory_desc_t *plain,
	      const dnnl_memory_desc_t *wanted)
{
	struct kernel *kernel = call->kernel;
	struct repack *repack = arena_calloc(call->arena, 1, sizeof(*repack));
	if (repack == NULL)
		return -1;
	if (dnnl_memory_desc_equal(plain, wanted))
		return 0;
	if (call->input_count > MAX_INPUTS)
		return operator_unimplemented(call, "more than %d inputs", MAX_INPUTS);
	repack->primitive = *kernel;
	repack->input = input;
	repack->input_count = call->input_count;
	*kernel = (struct kernel){ .run = run_repack,
				   .state = repack,
				   .destroy = destroy_repack,
				   .flops = repack->primitive.flops };
	call->kernel = &repack->reorder;
	int result = create_reorder(call, input, plain, wanted);
	call->kernel = kernel;
	repack->operand = align(repack->primitive.scratch_bytes);
	repack->reorder_scratch = repack->operand + align(dnnl_memory_desc_get_size(wanted));
	kernel->scratch_bytes = repack->reorder_scratch + repack->reorder.scratch_bytes;
	return result;
}
