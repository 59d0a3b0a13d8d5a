/*
 * A tensor seen along one axis: outer pieces, each of dim rows of inner elements.
 */
#pragma once

#include <stdint.h>

#include "exec/tensor.h"

struct axis {
	/* Products of the dims before and after the axis; its own dim. */
	int64_t outer;
	int64_t dim;
	int64_t inner;
};

/* index: 0 … rank - 1. */
struct axis
axis_of(const struct tensor_type *type, uint32_t index);

/* All dims from index on (0 … rank) as the axis, inner 1. */
struct axis
axis_from(const struct tensor_type *type, uint32_t index);

/* Elements of a contiguous tensor from one index of dimension i to the next, for each dimension; the last one's is 1. */
void
axis_steps(const struct tensor_type *type, int64_t *steps);

/* Element i of INT32 or INT64 data. */
int64_t
axis_integer(enum data_type data_type, const void *data, int64_t i);

/* *index, negative from the end, as 0 … dim-1. -1 with OUT_OF_RANGE. */
int
axis_index(int64_t *index, int64_t dim) __attribute__((warn_unused_result));
