/* Where: elements of one tensor or of another, by a third. */
#include "exec/broadcast.h"
#include "exec/operator.h"

struct where {
	struct broadcast broadcast;
	size_t element_bytes;
};

#define WHERE_ROW(bytes, type)                                                                     \
	static void where_row_##bytes(void *out, const uint8_t *condition, const void *a,          \
				      const void *b, const struct broadcast *broadcast)            \
	{                                                                                          \
		uint32_t last = broadcast->rank - 1;                                               \
		int64_t step = broadcast->steps[0][last];                                          \
		int64_t step_a = broadcast->steps[1][last];                                        \
		int64_t step_b = broadcast->steps[2][last];                                        \
		for (int64_t i = 0; i < broadcast->dims[last]; i++)                                \
			((type *)out)[i] = condition[i * step] ? ((const type *)a)[i * step_a]     \
							       : ((const type *)b)[i * step_b];    \
	}
WHERE_ROW(1, uint8_t)
WHERE_ROW(2, uint16_t)
WHERE_ROW(4, uint32_t)
WHERE_ROW(8, uint64_t)

static int
run_where(const void *state, const struct operands *operands)
{
	const struct where *where = state;
	const struct broadcast *broadcast = &where->broadcast;
	size_t bytes = where->element_bytes;
	char *out = operands->outputs[0];
	for (int64_t row = 0; row < broadcast->rows; row++) {
		int64_t offsets[BROADCAST_OPERANDS];
		broadcast_offsets(broadcast, row, offsets);
		const uint8_t *condition = (const uint8_t *)operands->inputs[0] + offsets[0];
		const char *a = (const char *)operands->inputs[1] + offsets[1] * (int64_t)bytes;
		const char *b = (const char *)operands->inputs[2] + offsets[2] * (int64_t)bytes;
		(bytes == 4   ? where_row_4
		 : bytes == 8 ? where_row_8
		 : bytes == 2 ? where_row_2
			      : where_row_1)(out, condition, a, b, broadcast);
		out += broadcast->dims[broadcast->rank - 1] * (int64_t)bytes;
	}
	return 0;
}

static int
infer_where(struct operator_call *call)
{
	if (call->inputs[0].data_type != DATA_TYPE_BOOL ||
	    call->inputs[1].data_type != call->inputs[2].data_type)
		return operator_error(call, "a condition of %s, choices of %s and %s",
				      data_type_name(call->inputs[0].data_type),
				      data_type_name(call->inputs[1].data_type),
				      data_type_name(call->inputs[2].data_type));
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	for (uint32_t i = 0; i < 3; i++)
		if (operator_broadcast(call, &rank, dims, &call->inputs[i]) != 0)
			return -1;
	return operator_output(call, 0, call->inputs[1].data_type, rank, dims);
}

static int
prepare_where(struct operator_call *call)
{
	const struct tensor_type *types[] = { &call->inputs[0], &call->inputs[1],
					      &call->inputs[2] };
	struct where *where = operator_state(call, sizeof(*where));
	if (where == NULL)
		return -1;
	where->element_bytes = data_type_bytes(call->outputs[0].data_type);
	broadcast_create(&where->broadcast, &call->outputs[0], types, 3);
	call->kernel->run = run_where;
	return 0;
}

static const struct op where_operators[] = {
	{ .type = "Where",
	  .since = 9,
	  .inputs = { 3, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_where,
	  .prepare = prepare_where },
};

const struct operator_family operator_family_where = {
	where_operators,
	sizeof(where_operators) / sizeof(where_operators[0]),
};
