/*
 * What matrix products compute, for every backend.
 */
#pragma once

#include "exec/operator.h"

/* Posts that Gemm adds to the node's own: add C, scale. */
enum { OP_MATMUL_GEMM_POSTS = 2 };

/*
 * C[batch][m][n] = A[batch][m][k] B[batch][k][n]. Batch dims are of equal rank, 1 where a matrix is repeated. When B has
 * none, A's are part of m.
 */
struct product {
	uint32_t batch_rank;
	int64_t batch[TENSOR_MAX_RANK];
	int64_t batch_a[TENSOR_MAX_RANK];
	int64_t batch_b[TENSOR_MAX_RANK];
	int64_t m;
	int64_t n;
	int64_t k;
	/* Of the product, before anything is added. */
	float scale;
	/* The operand lies transposed. */
	bool transpose_a;
	bool transpose_b;
};

/* What MatMul's, and what Gemm's inputs make. -1 with the error set when they do not fit. */
int
op_matmul_read(const struct operator_call *call, struct product *product);
int
op_matmul_read_gemm(const struct operator_call *call, struct product *product);

/* One B for all of A: A's batch dims become rows. */
void
op_matmul_collapse(struct product *product);

/*
 * alpha A B + beta C as (A B alpha/beta + C) beta, leaving out what does nothing. The first factor goes to *scale; returns
 * how many posts (OP_MATMUL_GEMM_POSTS at most) were written.
 */
uint32_t
op_matmul_gemm_posts(const struct operator_call *call, struct post *posts, float *scale);

/* Multiply-adds times two. */
uint64_t
op_matmul_flops(const struct product *product);
