/* Pad, Tile and CenterCropPad: the input seen through a map of indices, which the kernel works out itself. */
#include "exec/cast.h"
#include "exec/cuda/op.h"
#include "exec/op_remap.h"

struct cuda_pad {
	struct pad pad;
	struct tensor_type out;
	int64_t elements;
	size_t element_bytes;
	/* Input that holds the constant; 0: it is value. */
	uint32_t constant;
	uint64_t value;
};

static int
run_pad(const void *state, const struct operands *operands)
{
	const struct cuda_pad *pad = state;
	return cuda_op_launched(
		operands,
		kernel_pad(cuda_op_compute(operands)->stream, &pad->pad, &pad->out,
			   pad->element_bytes, operands->inputs[0],
			   pad->constant != 0 ? operands->inputs[pad->constant] : NULL, pad->value,
			   operands->outputs[0], pad->elements),
		"kernel_pad");
}

static int
prepare_pad(struct operator_call *call)
{
	struct cuda_pad *pad = operator_state(call, sizeof(*pad));
	if (pad == NULL || op_remap_read(call, &pad->pad) != 0)
		return -1;
	pad->out = call->outputs[0];
	pad->elements = tensor_elements(&pad->out);
	pad->element_bytes = data_type_bytes(pad->out.data_type);
	/* Input 2 of Pad; Tile and CenterCropPad have none. */
	pad->constant = operator_has_input(call, 2) ? 2 : 0;
	cast_set(pad->out.data_type, &pad->value, 0, node_float(call->node, "value", 0));
	call->kernel->run = run_pad;
	return 0;
}

static const struct cuda_op pad_operators[] = {
	{ NULL, "Pad", 1, prepare_pad },
	{ NULL, "Tile", 1, prepare_pad },
	{ NULL, "CenterCropPad", 1, prepare_pad },
};

const struct cuda_family cuda_family_pad = {
	pad_operators,
	sizeof(pad_operators) / sizeof(pad_operators[0]),
};
