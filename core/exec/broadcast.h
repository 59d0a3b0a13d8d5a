/*
 * Broadcast: walking up to three operands and one result element by element, as ONNX's (NumPy's) rules say. Neighbouring
 * dimensions that all operands walk alike are merged first, so that what is left is few long rows.
 */
#pragma once

#include <stdint.h>

#include "exec/tensor.h"

enum { BROADCAST_OPERANDS = 3 };

/* How to walk. The result is contiguous. */
struct broadcast {
	uint32_t operands;
	/* Merged dimensions; the last one is the row. At least 1. */
	uint32_t rank;
	int64_t dims[TENSOR_MAX_RANK];
	/* Elements from one index of a dimension to the next; 0 where the operand is repeated. The row's are 0 or 1. */
	int64_t steps[BROADCAST_OPERANDS][TENSOR_MAX_RANK];
	/* Product of all dims but the row. */
	int64_t rows;
};

/* types: the operands' shapes, which broadcast to out's. */
void
broadcast_create(struct broadcast *broadcast, const struct tensor_type *out,
		 const struct tensor_type *const *types, uint32_t operands);

/* Element offsets of the operands at the start of row `row`. */
void
broadcast_offsets(const struct broadcast *broadcast, int64_t row,
		  int64_t offsets[BROADCAST_OPERANDS]);
