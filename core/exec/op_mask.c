/*
 * Masks of attention as numbers that are added to its scores: our own operators, which what attention is made of
 * (model/expand_attention.c) needs, since the forms that masks come in are told apart by types that are known late.
 */
#include "exec/op_mask.h"

#include <inttypes.h>
#include <math.h>

#include "exec/cast.h"
#include "exec/parallel.h"

enum {
	/* Rows a thread, at least. */
	GRAIN_ROWS = 64,
	/* Dimensions of queries and keys: batch, heads, length, size. */
	RANK = 4,
};

/* --- MaskBias ------------------------------------------------------------------------------------------------------- */

struct mask_run {
	const struct mask *mask;
	const char *in;
	float *out;
};

/* Inputs: a mask, [..., up to length of keys]; the keys. Output: as many dimensions, the last one the length of keys. */
static int
infer_mask_bias(struct operator_call *call)
{
	const struct tensor_type *mask = &call->inputs[0], *keys = &call->inputs[1];
	int64_t dims[TENSOR_MAX_RANK];
	if (mask->rank == 0 || keys->rank != RANK || mask->dims[mask->rank - 1] > keys->dims[2])
		return operator_error(call, "the mask does not fit the keys");
	for (uint32_t i = 0; i < mask->rank; i++)
		dims[i] = mask->dims[i];
	dims[mask->rank - 1] = keys->dims[2];
	return operator_output(call, 0, keys->data_type, mask->rank, dims);
}

static void
fill_mask_rows(void *context, int64_t begin, int64_t end)
{
	const struct mask_run *run = context;
	const struct mask *mask = run->mask;
	bool is_bool = mask->data_type == DATA_TYPE_BOOL;
	size_t bytes = data_type_bytes(mask->data_type);
	for (int64_t row = begin; row < end; row++) {
		float *out = run->out + row * mask->keys;
		const char *in = run->in + (size_t)(row * mask->width) * bytes;
		if (!is_bool)
			cast_run(DATA_TYPE_FLOAT, out, mask->data_type, in, mask->width);
		for (int64_t i = 0; i < mask->width && is_bool; i++)
			out[i] = in[i] != 0 ? 0 : -INFINITY;
		for (int64_t i = mask->width; i < mask->keys; i++)
			out[i] = -INFINITY;
	}
}

int
op_mask_bias(const void *state, const struct operands *operands)
{
	const struct mask *mask = state;
	struct mask_run run = { mask, operands->inputs[0], operands->outputs[0] };
	parallel_for(mask->threads, mask->rows, GRAIN_ROWS, fill_mask_rows, &run);
	return 0;
}

static int
prepare_mask_bias(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct mask *mask = operator_state(call, sizeof(*mask));
	if (mask == NULL)
		return -1;
	if (call->outputs[0].data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "keys of type %s",
					      data_type_name(call->outputs[0].data_type));
	*mask = (struct mask){ .data_type = in->data_type,
			       .width = in->dims[in->rank - 1],
			       .keys = call->inputs[1].dims[2],
			       .threads = call->threads };
	mask->rows = mask->keys == 0 ? 0 : tensor_elements(&call->outputs[0]) / mask->keys;
	call->kernel->run = op_mask_bias;
	return 0;
}

/* --- KeyBias -------------------------------------------------------------------------------------------------------- */

/* Does the input tell one row for each query, rather than one for all? */
static bool
tells_queries(const struct operator_call *call)
{
	return call->inputs[0].rank == 3 || node_int(call->node, "causal", 0) != 0;
}

static bool
fits(const struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	int64_t batches = call->inputs[1].dims[0], queries = call->inputs[1].dims[2];
	int64_t keys = call->inputs[2].dims[2];
	if (in->rank == 1)
		return in->dims[0] == batches || in->dims[0] == 2 * batches;
	if (in->rank == 2)
		return in->dims[0] == batches && in->dims[1] == keys;
	return in->rank == 3 && in->dims[0] == batches && in->dims[1] == queries &&
	       in->dims[2] == keys;
}

/*
 * Inputs: lengths [batch], lengths and begins [2 batch], or a mask [batch, keys] or [batch, queries, keys], integers; the
 * queries; the keys. Output: [batch, 1, queries or 1, keys], 0 or `hidden`. causal: lengths hide what lies behind a query,
 * whose last one stands at the last key that counts.
 */
static int
infer_key_bias(struct operator_call *call)
{
	const struct tensor_type *queries = &call->inputs[1], *keys = &call->inputs[2];
	if (queries->rank != RANK || keys->rank != RANK || !fits(call))
		return operator_error(call, "the mask of keys does not fit queries and keys");
	int64_t dims[RANK] = { queries->dims[0], 1, tells_queries(call) ? queries->dims[2] : 1,
			       keys->dims[2] };
	return operator_output(call, 0, queries->data_type, RANK, dims);
}

/* Is the key hidden from the query? in: the input. */
static bool
hides(const struct key_bias *bias, const char *in, int64_t batch, int64_t query, int64_t key)
{
	if (bias->rank == 2)
		return cast_get(bias->data_type, in, batch * bias->keys + key) == 0;
	if (bias->rank == 3)
		return cast_get(bias->data_type, in,
				(batch * bias->queries + query) * bias->keys + key) == 0;
	double length = cast_get(bias->data_type, in, batch);
	double first = bias->has_begins ? cast_get(bias->data_type, in, bias->batches + batch) : 0;
	bool behind = bias->causal && (double)key > (double)query + length - (double)bias->queries;
	return (double)key >= length || (double)key < first || behind;
}

int
op_mask_keys(const void *state, const struct operands *operands)
{
	const struct key_bias *bias = state;
	float *out = operands->outputs[0];
	for (int64_t batch = 0; batch < bias->batches; batch++)
		for (int64_t row = 0; row < bias->rows; row++)
			for (int64_t key = 0; key < bias->keys; key++)
				*out++ = hides(bias, operands->inputs[0], batch, row, key)
						 ? bias->hidden
						 : 0;
	return 0;
}

static int
prepare_key_bias(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0], *out = &call->outputs[0];
	struct key_bias *bias = operator_state(call, sizeof(*bias));
	if (bias == NULL)
		return -1;
	if (out->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "queries of type %s",
					      data_type_name(out->data_type));
	*bias = (struct key_bias){ .data_type = in->data_type,
				   .rank = in->rank,
				   .has_begins = in->rank == 1 && in->dims[0] != out->dims[0],
				   .causal = node_int(call->node, "causal", 0) != 0,
				   .hidden = node_float(call->node, "hidden", -INFINITY),
				   .batches = out->dims[0],
				   .rows = out->dims[2],
				   .queries = call->inputs[1].dims[2],
				   .keys = out->dims[3] };
	call->kernel->run = op_mask_keys;
	return 0;
}

static const struct op mask_operators[] = {
	{ .domain = "tidepool",
	  .type = "KeyBias",
	  .since = 1,
	  .inputs = { 3, 3 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_LIKE,
	  .infer = infer_key_bias,
	  .prepare = prepare_key_bias },
	{ .domain = "tidepool",
	  .type = "MaskBias",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_LIKE,
	  .infer = infer_mask_bias,
	  .prepare = prepare_mask_bias },
};

const struct operator_family operator_family_mask = {
	mask_operators,
	sizeof(mask_operators) / sizeof(mask_operators[0]),
};
