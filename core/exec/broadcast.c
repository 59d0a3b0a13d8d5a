#include "exec/broadcast.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* Fill steps of one operand for the unmerged dims of out. */
static void
set_steps(int64_t *steps, const struct tensor_type *out, const struct tensor_type *type)
{
	int64_t step = 1;
	uint32_t lead = out->rank - type->rank;
	for (uint32_t i = out->rank; i-- > 0;) {
		int64_t dim = i < lead ? 1 : type->dims[i - lead];
		steps[i] = dim == 1 ? 0 : step;
		step *= dim;
	}
}

/* May the last merged dimension take dimension i in? */
static bool
merges(const struct broadcast *broadcast, int64_t dim, uint32_t i)
{
	uint32_t last = broadcast->rank - 1;
	for (uint32_t k = 0; k < broadcast->operands; k++)
		if (broadcast->steps[k][last] != broadcast->steps[k][i] * dim)
			return false;
	return true;
}

static void
merge_dims(struct broadcast *broadcast, const struct tensor_type *out)
{
	broadcast->rank = 0;
	for (uint32_t i = 0; i < out->rank; i++) {
		if (out->dims[i] == 1)
			continue;
		bool merge = broadcast->rank != 0 && merges(broadcast, out->dims[i], i);
		uint32_t to = merge ? broadcast->rank - 1 : broadcast->rank++;
		broadcast->dims[to] = merge ? broadcast->dims[to] * out->dims[i] : out->dims[i];
		for (uint32_t k = 0; k < broadcast->operands; k++)
			broadcast->steps[k][to] = broadcast->steps[k][i];
	}
	if (broadcast->rank == 0) {
		broadcast->rank = 1;
		broadcast->dims[0] = 1;
		for (uint32_t k = 0; k < broadcast->operands; k++)
			broadcast->steps[k][0] = 0;
	}
}

void
broadcast_create(struct broadcast *broadcast, const struct tensor_type *out,
		 const struct tensor_type *const *types, uint32_t operands)
{
	assert(operands <= BROADCAST_OPERANDS);
	*broadcast = (struct broadcast){ .operands = operands };
	for (uint32_t k = 0; k < operands; k++)
		set_steps(broadcast->steps[k], out, types[k]);
	merge_dims(broadcast, out);
	broadcast->rows = 1;
	for (uint32_t i = 0; i + 1 < broadcast->rank; i++)
		broadcast->rows *= broadcast->dims[i];
}

void
broadcast_offsets(const struct broadcast *broadcast, int64_t row,
		  int64_t offsets[BROADCAST_OPERANDS])
{
	memset(offsets, 0, BROADCAST_OPERANDS * sizeof(offsets[0]));
	for (uint32_t i = broadcast->rank - 1; i-- > 0;) {
		int64_t index = row % broadcast->dims[i];
		row /= broadcast->dims[i];
		for (uint32_t k = 0; k < broadcast->operands; k++)
			offsets[k] += index * broadcast->steps[k][i];
	}
}
