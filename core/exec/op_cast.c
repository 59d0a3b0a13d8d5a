/* Cast and CastLike. */
#include "exec/cast.h"
#include "exec/operator.h"
#include "exec/parallel.h"

enum { GRAIN_ELEMENTS = 32768 };

struct cast {
	enum data_type from;
	enum data_type to;
	int64_t elements;
	unsigned threads;
};

struct cast_run {
	const struct cast *cast;
	const struct operands *operands;
};

static void
run_part(void *context, int64_t begin, int64_t end)
{
	const struct cast_run *run = context;
	const struct cast *cast = run->cast;
	const char *in = run->operands->inputs[0];
	char *out = run->operands->outputs[0];
	cast_run(cast->to, out + begin * (int64_t)data_type_bytes(cast->to), cast->from,
		 in + begin * (int64_t)data_type_bytes(cast->from), end - begin);
}

static int
run_cast(const void *state, const struct operands *operands)
{
	const struct cast *cast = state;
	struct cast_run run = { cast, operands };
	parallel_for(cast->threads, cast->elements, GRAIN_ELEMENTS, run_part, &run);
	return 0;
}

static int
infer_cast(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t to = node_int(call->node, "to", 0);
	if (to <= 0 || to > DATA_TYPE_BFLOAT16 || data_type_bytes((enum data_type)to) == 0)
		return operator_unimplemented(call, "cast to element type %d is not supported",
					      (int)to);
	return operator_output(call, 0, (enum data_type)to, input->rank, input->dims);
}

static int
infer_cast_like(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	return operator_output(call, 0, call->inputs[1].data_type, input->rank, input->dims);
}

static int
prepare_cast(struct operator_call *call)
{
	struct cast *cast = operator_state(call, sizeof(*cast));
	if (cast == NULL)
		return -1;
	*cast = (struct cast){
		.from = call->inputs[0].data_type,
		.to = call->outputs[0].data_type,
		.elements = tensor_elements(&call->outputs[0]),
		.threads = call->threads,
	};
	call->kernel->run = run_cast;
	return 0;
}

static const struct op cast_operators[] = {
	{ .type = "Cast",
	  .since = 6,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .infer = infer_cast,
	  .prepare = prepare_cast },
	{ .type = "CastLike",
	  .since = 15,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_LIKE,
	  .infer = infer_cast_like,
	  .prepare = prepare_cast },
};

const struct operator_family operator_family_cast = {
	cast_operators,
	sizeof(cast_operators) / sizeof(cast_operators[0]),
};
