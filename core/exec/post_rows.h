/*
 * Posts as rows: a node's posts of one operand, applied by our own kernels to a row that was just written and is still in
 * the cache.
 */
#pragma once

#include <stdint.h>

#include "exec/operator.h"
#include "exec/rows.h"

struct post_rows {
	uint32_t count;
	struct {
		row_unary_f *row;
		float alpha;
		float beta;
	} steps[8];
};

/* The row function for a post of one operand, given its alpha and beta. */
row_unary_f *
post_rows_function(enum post_kind kind);

/* The posts of the call's node, which must be of one operand. -1 with the error set. */
int
post_rows_create(struct post_rows *posts, const struct operator_call *call);

/* out[0 … n-1], in place. */
void
post_rows_apply(const struct post_rows *posts, float *out, int64_t n);
