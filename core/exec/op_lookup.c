/*
 * Our own Lookup: a row of a table for each index; what a one-hot encoding times a matrix becomes. The last row is for
 * indices that are none, whose encoding is all zeros.
 */
#include "exec/op_lookup.h"

#include <inttypes.h>
#include <string.h>

#include "exec/parallel.h"

/* Bytes worth a thread of their own. */
enum { GRAIN_BYTES = 65536 };

struct lookup_run {
	const struct lookup *lookup;
	const struct operands *operands;
};

static void
run_lookup_part(void *context, int64_t begin, int64_t end)
{
	const struct lookup_run *run = context;
	const struct lookup *lookup = run->lookup;
	const char *table = run->operands->inputs[1];
	char *out = run->operands->outputs[0];
	for (int64_t i = begin; i < end; i++) {
		int64_t index = lookup->wide ? ((const int64_t *)run->operands->inputs[0])[i]
					     : ((const int32_t *)run->operands->inputs[0])[i];
		if (index < 0 || index > lookup->rows)
			index = lookup->rows;
		memcpy(out + (size_t)i * lookup->row_bytes,
		       table + (size_t)index * lookup->row_bytes, lookup->row_bytes);
	}
}

int
op_lookup_run(const void *state, const struct operands *operands)
{
	const struct lookup *lookup = state;
	struct lookup_run run = { lookup, operands };
	parallel_for(lookup->threads, lookup->indices, GRAIN_BYTES / (int64_t)lookup->row_bytes + 1,
		     run_lookup_part, &run);
	return 0;
}

/* The indices' last dimension is 1, and becomes the row. */
static int
infer_lookup(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	if (in->rank == 0 || in->dims[in->rank - 1] != 1 || call->inputs[1].rank != 2 ||
	    (in->data_type != DATA_TYPE_INT32 && in->data_type != DATA_TYPE_INT64))
		return operator_error(call, "the indices do not fit");
	operator_output(call, 0, call->inputs[1].data_type, in->rank, in->dims);
	call->outputs[0].dims[in->rank - 1] = call->inputs[1].dims[1];
	return 0;
}

static int
prepare_lookup(struct operator_call *call)
{
	struct lookup *lookup = operator_state(call, sizeof(*lookup));
	if (lookup == NULL)
		return -1;
	*lookup = (struct lookup){
		.indices = tensor_elements(&call->inputs[0]),
		.rows = call->inputs[1].dims[0] - 1,
		.row_bytes = (size_t)call->inputs[1].dims[1] *
			     data_type_bytes(call->inputs[1].data_type),
		.wide = call->inputs[0].data_type == DATA_TYPE_INT64,
		.threads = call->threads,
	};
	call->kernel->run = op_lookup_run;
	return 0;
}

static const struct op lookup_operators[] = {
	{ .domain = "tidepool",
	  .type = "Lookup",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .infer = infer_lookup,
	  .prepare = prepare_lookup },
};

const struct operator_family operator_family_lookup = {
	lookup_operators,
	sizeof(lookup_operators) / sizeof(lookup_operators[0]),
};
