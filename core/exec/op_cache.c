/* TensorScatter: writes what is new of a sequence into a cache of keys or values. */
#include "exec/op_cache.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

/* The axis that attribute `axis` names, which is not the batch; -1 with the error set. */
static int64_t
axis_of(const struct operator_call *call)
{
	int64_t rank = call->inputs[0].rank;
	int64_t axis = node_int(call->node, "axis", -2);
	axis = axis < 0 ? axis + rank : axis;
	if (axis >= 1 && axis < rank)
		return axis;
	return operator_error(call, "axis %" PRId64 " of %" PRId64 " dimensions", axis, rank);
}

/* Inputs: cache, update, and optionally where each batch's begins. */
static int
infer_cache(struct operator_call *call)
{
	const struct tensor_type *cache = &call->inputs[0], *update = &call->inputs[1];
	const char *mode = node_string(call->node, "mode", "linear");
	int64_t axis = axis_of(call);
	if (axis < 0)
		return -1;
	if (strcmp(mode, "linear") != 0 && strcmp(mode, "circular") != 0)
		return operator_error(call, "mode '%s'", mode);
	if (cache->rank != update->rank || cache->data_type != update->data_type)
		return operator_error(call, "the update is not like the cache");
	for (uint32_t i = 0; i < cache->rank; i++)
		if (i == axis ? update->dims[i] > cache->dims[i]
			      : update->dims[i] != cache->dims[i])
			return operator_error(call,
					      "dimension %" PRIu32 " of the update is %" PRId64
					      ", that of the cache %" PRId64,
					      i, update->dims[i], cache->dims[i]);
	if (operator_has_input(call, 2) &&
	    (call->inputs[2].rank != 1 || call->inputs[2].dims[0] != cache->dims[0]))
		return operator_error(call, "write_indices are not one a batch");
	return operator_output(call, 0, cache->data_type, cache->rank, cache->dims);
}

/* Where the batch's update begins; -1 with OUT_OF_RANGE. */
static int64_t
begin_of(const struct cache *cache, const void *indices, int64_t batch)
{
	int64_t begin = 0;
	if (cache->has_indices)
		begin = cache->index_type == DATA_TYPE_INT64 ? ((const int64_t *)indices)[batch]
							     : ((const int32_t *)indices)[batch];
	int64_t last = cache->circular ? cache->length - 1 : cache->length - cache->count;
	if (begin >= 0 && (begin <= last || cache->count == 0))
		return begin;
	return error_set(ERR_OUT_OF_RANGE,
			 "write_indices[%" PRId64 "] is %" PRId64 "; %" PRId64
			 " is the last that fits",
			 batch, begin, last);
}

/* Copy an update's rows to where they belong among `to`'s, those beyond the end to the beginning. */
static void
write_rows(const struct cache *cache, char *to, const char *from, int64_t begin)
{
	int64_t left = cache->length - begin;
	int64_t first = cache->count < left ? cache->count : left;
	memcpy(to + (size_t)begin * cache->row_bytes, from, (size_t)first * cache->row_bytes);
	memcpy(to, from + (size_t)first * cache->row_bytes,
	       (size_t)(cache->count - first) * cache->row_bytes);
}

int
op_cache_run(const void *state, const struct operands *operands)
{
	const struct cache *cache = state;
	size_t stride = (size_t)cache->length * cache->row_bytes;
	size_t update = (size_t)cache->count * cache->row_bytes;
	char *to = operands->outputs[0];
	const char *from = operands->inputs[1];
	memcpy(to, operands->inputs[0], stride * (size_t)(cache->batches * cache->prefixes));
	for (int64_t batch = 0; batch < cache->batches; batch++) {
		int64_t begin = begin_of(cache, operands->inputs[2], batch);
		if (begin < 0)
			return -1;
		for (int64_t i = 0; i < cache->prefixes; i++, to += stride, from += update)
			write_rows(cache, to, from, begin);
	}
	return 0;
}

/* As op_cache_run, for an operator that has no third input. */
int
op_cache_from_start(const void *state, const struct operands *operands)
{
	const void *inputs[3] = { operands->inputs[0], operands->inputs[1], NULL };
	struct operands with = *operands;
	with.inputs = inputs;
	return op_cache_run(state, &with);
}

static int
prepare_cache(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct cache *cache = operator_state(call, sizeof(*cache));
	int64_t axis = axis_of(call);
	if (cache == NULL)
		return -1;
	*cache = (struct cache){ .batches = in->dims[0],
				 .prefixes = 1,
				 .length = in->dims[axis],
				 .count = call->inputs[1].dims[axis],
				 .row_bytes = data_type_bytes(in->data_type),
				 .has_indices = operator_has_input(call, 2),
				 .circular = strcmp(node_string(call->node, "mode", "linear"),
						    "circular") == 0 };
	if (cache->has_indices)
		cache->index_type = call->inputs[2].data_type;
	for (int64_t i = 1; i < axis; i++)
		cache->prefixes *= in->dims[i];
	for (int64_t i = axis + 1; i < in->rank; i++)
		cache->row_bytes *= (size_t)in->dims[i];
	call->kernel->run = cache->has_indices ? op_cache_run : op_cache_from_start;
	return 0;
}

static const struct op cache_operators[] = {
	{ .type = "TensorScatter",
	  .since = 24,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_cache,
	  .prepare = prepare_cache },
};

const struct operator_family operator_family_cache = {
	cache_operators,
	sizeof(cache_operators) / sizeof(cache_operators[0]),
};
