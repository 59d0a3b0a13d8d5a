/* ArgMax and ArgMin: where the largest and the smallest elements along an axis are. */
#include "exec/op_arg.h"

#include <inttypes.h>
#include <string.h>

/* X(number of the element type, C type) */
#define ARG_TYPES(X)                                                                               \
	X(FLOAT, float)                                                                            \
	X(DOUBLE, double)                                                                          \
	X(INT32, int32_t)                                                                          \
	X(INT64, int64_t)                                                                          \
	X(INT8, int8_t)                                                                            \
	X(UINT8, uint8_t)                                                                          \
	X(UINT32, uint32_t)                                                                        \
	X(UINT64, uint64_t)

#define ARG(N, type)                                                                               \
	static int64_t arg_##N(const struct arg *arg, const void *in)                              \
	{                                                                                          \
		const type *from = in;                                                             \
		int64_t best = 0;                                                                  \
		for (int64_t i = 1; i < arg->dim; i++) {                                           \
			type x = from[i * arg->inner], old = from[best * arg->inner];              \
			bool better = arg->smallest ? x < old : x > old;                           \
			if (better || (arg->last && x == old))                                     \
				best = i;                                                          \
		}                                                                                  \
		return best;                                                                       \
	}
ARG_TYPES(ARG)

static bool
is_supported(enum data_type data_type)
{
	switch (data_type) {
#define X(N, type) case DATA_TYPE_##N:
		ARG_TYPES(X)
#undef X
		return true;
	default:
		return false;
	}
}

static int64_t
find_arg(const struct arg *arg, const void *in)
{
	switch (arg->data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		return arg_##N(arg, in);
		ARG_TYPES(X)
#undef X
	default:
		return 0;
	}
}

int
op_arg_run(const void *state, const struct operands *operands)
{
	const struct arg *arg = state;
	int64_t *out = operands->outputs[0];
	size_t bytes = data_type_bytes(arg->data_type);
	for (int64_t o = 0; o < arg->outer; o++)
		for (int64_t i = 0; i < arg->inner; i++) {
			int64_t at = o * arg->dim * arg->inner + i;
			*out++ = find_arg(arg,
					  (const char *)operands->inputs[0] + at * (int64_t)bytes);
		}
	return 0;
}

static int
infer_arg(struct operator_call *call)
{
	uint32_t axis;
	if (operator_axis(call, node_int(call->node, "axis", 0), call->inputs[0].rank, &axis) != 0)
		return -1;
	if (call->inputs[0].dims[axis] == 0)
		return operator_error(call, "axis %" PRIu32 " has no elements", axis);
	bool keep = node_int(call->node, "keepdims", 1) != 0;
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	for (uint32_t i = 0; i < call->inputs[0].rank; i++)
		if (i != axis || keep)
			dims[rank++] = i == axis ? 1 : call->inputs[0].dims[i];
	return operator_output(call, 0, DATA_TYPE_INT64, rank, dims);
}

static int
prepare_arg(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct arg *arg = operator_state(call, sizeof(*arg));
	uint32_t axis;
	if (arg == NULL ||
	    operator_axis(call, node_int(call->node, "axis", 0), in->rank, &axis) != 0)
		return -1;
	*arg = (struct arg){
		.outer = 1,
		.dim = in->dims[axis],
		.inner = 1,
		.data_type = in->data_type,
		.smallest = strcmp(call->node->op_type, "ArgMin") == 0,
		.last = node_int(call->node, "select_last_index", 0) != 0,
	};
	if (!is_supported(in->data_type))
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(in->data_type));
	for (uint32_t i = 0; i < axis; i++)
		arg->outer *= in->dims[i];
	for (uint32_t i = axis + 1; i < in->rank; i++)
		arg->inner *= in->dims[i];
	call->kernel->run = op_arg_run;
	return 0;
}

/* clang-format off */
#define ARG_OPERATOR(NAME)                                                                         \
	{ .type = NAME, .since = 1, .inputs = { 1, 1 }, .outputs = { 1, 1 },                       \
	  .infer = infer_arg, .prepare = prepare_arg }
/* clang-format on */

static const struct op arg_operators[] = {
	ARG_OPERATOR("ArgMax"),
	ARG_OPERATOR("ArgMin"),
};

const struct operator_family operator_family_arg = {
	arg_operators,
	sizeof(arg_operators) / sizeof(arg_operators[0]),
};
