/*
 * Strided copies: every element of a contiguous result comes from an input at offset + sum of index * step. Transpose,
 * Slice, Expand and Split are this with different steps. Dimensions are merged when the copy is created.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "exec/tensor.h"

struct strided {
	/* Merged dimensions; the last one is the row. At least 1. */
	uint32_t rank;
	int64_t dims[TENSOR_MAX_RANK];
	/* Elements of the input from one index to the next; may be 0 or negative. */
	int64_t steps[TENSOR_MAX_RANK];
	/* Element that index 0, 0, … reads. */
	int64_t offset;
	/* Product of all dims but the row. */
	int64_t rows;
	size_t element_bytes;
};

/* rank dims of the result with the input's steps for each. */
void
strided_create(struct strided *strided, uint32_t rank, const int64_t *dims, const int64_t *steps,
	       int64_t offset, size_t element_bytes);

/* Copy, on at most so many threads. */
void
strided_copy(const struct strided *strided, const void *in, void *out, unsigned threads);
