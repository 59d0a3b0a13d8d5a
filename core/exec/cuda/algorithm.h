/*
 * Algorithms: how cuBLASLt is to compute a product of matrices, as its heuristic puts first or, where ways are timed, the
 * quickest of those that it proposes; what was found before is not asked for again.
 */
#pragma once

#include <cublasLt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/cuda/planner.h"

/* One matrix, or all of a batch. */
struct algorithm_matrix {
	cublasLtMatrixLayout_t layout;
	/* What its address is a multiple of. */
	uint32_t alignment;
	size_t bytes;
};

/* A, B and C as cuBLASLt names them; D is like C. */
struct algorithm_problem {
	cublasLtMatmulDesc_t desc;
	struct algorithm_matrix a;
	struct algorithm_matrix b;
	struct algorithm_matrix c;
	/* 1 and 0 as the product's scales are given: floats, doubles or INT32. */
	const void *one;
	const void *zero;
	/* desc has a bias, one element a row of C. */
	bool biased;
	/* The problem in words. */
	char key[PLANNER_KEY_BYTES];
};

/* UNIMPLEMENTED: there is none. May block, and take long where ways are timed. */
int
algorithm_choose(const struct algorithm_problem *problem, cublasLtMatmulAlgo_t *algorithm);
