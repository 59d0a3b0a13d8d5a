/* Scatters whose updates are combined with what is there, of integers that no atomic operation is for. */
#include <string.h>

#include "exec/cuda/op.h"
#include "exec/cuda/runs.h"
#include "exec/widen.h"

static bool
is_narrow_integer(enum data_type data_type)
{
	return data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_INT16 ||
	       data_type == DATA_TYPE_UINT8 || data_type == DATA_TYPE_UINT16;
}

/* Sums and products keep their low bits whatever the width; 16-bit floats go by FP32, as elsewhere. */
static int
prepare_scatter(struct operator_call *call)
{
	enum data_type data_type = call->inputs[0].data_type;
	if (strcmp(node_string(call->node, "reduction", "none"), "none") == 0)
		return runs_prepare(call);
	if (is_narrow_integer(data_type))
		return widen_prepare_as(call, call->op, is_narrow_integer, DATA_TYPE_INT32);
	if (data_type_bytes(data_type) < sizeof(uint32_t))
		return cuda_op_unsupported(call, data_type);
	return runs_prepare(call);
}

static const struct cuda_op scatter_operators[] = {
	{ NULL, "ScatterElements", 11, prepare_scatter },
	{ NULL, "ScatterND", 11, prepare_scatter },
};

const struct cuda_family cuda_family_scatter = {
	scatter_operators,
	sizeof(scatter_operators) / sizeof(scatter_operators[0]),
};
