/* Cells: what becomes one number, a group of elements of a tensor each, spread over its dims. Reductions and normalisations. */
#pragma once

#include "exec/cuda/number.cuh"

/* Blocks for that many results, one each, grid-stride. */
static inline unsigned
grid_of(int64_t results)
{
	return (unsigned)(results < 1 ? 1 : results > GRID_MOST ? GRID_MOST : results);
}

/* The input's dims apart: those that stay, and those behind one result, with their steps in the input. */
struct cells {
	uint32_t kept;
	uint32_t reduced;
	int64_t kept_dims[TENSOR_MAX_RANK];
	int64_t kept_steps[TENSOR_MAX_RANK];
	int64_t reduced_dims[TENSOR_MAX_RANK];
	int64_t reduced_steps[TENSOR_MAX_RANK];
	int64_t results;
	int64_t count;
};

/* Where element i of these dims lies. */
static __device__ __forceinline__ int64_t
place_of(uint32_t rank, const int64_t *dims, const int64_t *steps, int64_t i)
{
	int64_t at = 0;
	if (rank == 1)
		return i * steps[0];
	for (int d = (int)rank - 1; d >= 0; d--) {
		at += i % dims[d] * steps[d];
		i /= dims[d];
	}
	return at;
}
