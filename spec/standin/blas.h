/* What cuBLASLt's opaque types are here. */
#pragma once

#include "cublasLt.h"
#include "gpu.h"

/* A, B, C and D. */
enum { BLAS_MATRICES = 4 };

struct cublasLtContext {
	struct handle handle;
};

struct cublasLtMatmulDesc {
	cublasComputeType_t compute;
	cudaDataType_t scale;
	cublasOperation_t transpose[2];
	cublasLtEpilogue_t epilogue;
	const void *bias;
};

struct cublasLtMatrixLayout {
	cudaDataType_t type;
	uint64_t rows;
	uint64_t columns;
	int64_t step;
	int32_t batch;
	int64_t stride;
};

struct cublasLtMatmulPreference {
	uint64_t workspace;
	/* Of A, B, C and D. */
	uint32_t alignment[BLAS_MATRICES];
};
