/* tidepool.Elements of FP32: one kernel. */
#include "exec/cuda/op_elements.h"

#include <assert.h>

#include "exec/cuda/op.h"
#include "exec/elements.h"

struct state {
	struct kernel_elements kernel;
	uint32_t input_count;
	uint32_t output_count;
	int64_t elements;
};

static int
run_elements(const void *context, const struct operands *operands)
{
	const struct state *state = context;
	struct kernel_elements kernel = state->kernel;
	for (uint32_t i = 0; i < state->input_count; i++)
		kernel.inputs[i].address = operands->inputs[i];
	for (uint32_t i = 0; i < state->output_count; i++)
		kernel.outputs[i] = operands->outputs[i];
	return cuda_op_launched(
		operands,
		kernel_elements(cuda_op_compute(operands)->stream, &kernel, state->elements),
		"kernel_elements");
}

/*
 * Which of the type's elements each of out's has: (i / step) % period. False when those of its dims that are not 1 are not
 * neighbours.
 */
static bool
find_period(const struct tensor_type *out, const struct tensor_type *type, int64_t *step,
	    int64_t *period)
{
	bool ended = false;
	*step = *period = 1;
	for (uint32_t i = 1; i <= out->rank; i++) {
		int64_t dim = out->dims[out->rank - i];
		int64_t own = i <= type->rank ? type->dims[type->rank - i] : 1;
		if (own != 1 && ended)
			return false;
		if (own != 1)
			*period *= dim;
		else if (*period == 1)
			*step *= dim;
		else
			ended |= dim != 1;
	}
	return true;
}

bool
cuda_op_gathers(const struct operator_call *call, const struct element *element)
{
	int64_t step, period;
	if (element->data_type != DATA_TYPE_FLOAT || element->result_type != DATA_TYPE_FLOAT)
		return false;
	for (uint32_t i = 0; i < element->operand_count; i++)
		if (!find_period(&call->outputs[0], &call->inputs[i], &step, &period))
			return false;
	return element->operand_count == 1
		       ? kernel_elements_has(element->function.unary)
		       : row_binary(element->function.binary, DATA_TYPE_FLOAT) != NULL;
}

static void
place_input(struct state *state, const struct operator_call *call, uint32_t i)
{
	int64_t *step = &state->kernel.inputs[i].step, *period = &state->kernel.inputs[i].period;
	bool is_placed = find_period(&call->outputs[0], &call->inputs[i], step, period);
	assert(is_placed);
	(void)is_placed;
	if (*period == state->elements)
		*period = 0;
}

static int
prepare_elements(struct operator_call *call)
{
	struct element_steps elements;
	uint8_t registers[ELEMENTS_STEPS_MAX];
	struct state *state = operator_state(call, sizeof(*state));
	if (state == NULL)
		return -1;
	elements_read(call->node, &elements);
	elements_assign(&elements, registers);
	state->elements = tensor_elements(&call->outputs[0]);
	state->input_count = call->input_count;
	state->output_count = call->output_count;
	state->kernel.count = elements.count;
	for (uint32_t i = 0; i < call->input_count; i++)
		place_input(state, call, i);
	for (uint32_t s = 0; s < elements.count; s++) {
		const struct element_step *from = &elements.steps[s];
		const struct element *element = &from->element;
		state->kernel.steps[s].operand_count = (uint8_t)element->operand_count;
		state->kernel.steps[s].function = element->operand_count == 1
							  ? (uint8_t)element->function.unary
							  : (uint8_t)element->function.binary;
		for (uint32_t i = 0; i < element->operand_count; i++)
			state->kernel.steps[s].operands[i] =
				from->operands[i] < 0 ? (int8_t)registers[~from->operands[i]]
						      : (int8_t)~from->operands[i];
		state->kernel.steps[s].result = (int8_t)registers[s];
		state->kernel.steps[s].output = (int8_t)from->output;
		state->kernel.steps[s].alpha = element->alpha;
		state->kernel.steps[s].beta = element->beta;
	}
	call->kernel->flops = (uint64_t)state->elements * elements.count;
	call->kernel->run = run_elements;
	return 0;
}

static const struct cuda_op elements_operators[] = {
	{ "tidepool", "Elements", 1, prepare_elements },
};

const struct cuda_family cuda_family_elements = {
	elements_operators,
	sizeof(elements_operators) / sizeof(elements_operators[0]),
};
