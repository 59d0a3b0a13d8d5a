/* cuBLASLt's handles and descriptions: what they are made of is looked at when they are used. */
#include <stdlib.h>
#include <string.h>

#include "blas.h"
#include "library.h"

enum {
	/* What cuBLASLt takes for granted of addresses unless the preference says less. */
	DEFAULT_ALIGNMENT = 256,
	VERSION = 130100,
};

cublasStatus_t
cublasLtCreate(cublasLtHandle_t *lightHandle)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	struct gpu *gpu = library_gpu();
	if (lightHandle == NULL)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (gpu == NULL)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	*lightHandle = handle_new(gpu, HANDLE_BLAS, sizeof(**lightHandle));
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtDestroy(cublasLtHandle_t lightHandle)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	if (handle_check(lightHandle, HANDLE_BLAS, "cublasLtDestroy") != cudaSuccess)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	handle_free(lightHandle);
	return CUBLAS_STATUS_SUCCESS;
}

size_t
cublasLtGetVersion(void)
{
	return VERSION;
}

const char *
cublasLtGetStatusName(cublasStatus_t status)
{
	switch (status) {
	case CUBLAS_STATUS_SUCCESS:
		return "CUBLAS_STATUS_SUCCESS";
	case CUBLAS_STATUS_NOT_INITIALIZED:
		return "CUBLAS_STATUS_NOT_INITIALIZED";
	case CUBLAS_STATUS_ALLOC_FAILED:
		return "CUBLAS_STATUS_ALLOC_FAILED";
	case CUBLAS_STATUS_INVALID_VALUE:
		return "CUBLAS_STATUS_INVALID_VALUE";
	case CUBLAS_STATUS_NOT_SUPPORTED:
		return "CUBLAS_STATUS_NOT_SUPPORTED";
	case CUBLAS_STATUS_EXECUTION_FAILED:
		return "CUBLAS_STATUS_EXECUTION_FAILED";
	default:
		return "CUBLAS_STATUS_INTERNAL_ERROR";
	}
}

const char *
cublasLtGetStatusString(cublasStatus_t status)
{
	return cublasLtGetStatusName(status);
}

cublasStatus_t
cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *matmulDesc, cublasComputeType_t computeType,
			 cudaDataType_t scaleType)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	struct cublasLtMatmulDesc *desc = calloc(1, sizeof(*desc));
	desc->compute = computeType;
	desc->scale = scaleType;
	desc->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
	*matmulDesc = desc;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc)
{
	free(matmulDesc);
	return CUBLAS_STATUS_SUCCESS;
}

/* Copy an attribute of exactly that size. */
static cublasStatus_t
set(void *to, size_t bytes, const void *from, size_t given)
{
	if (from == NULL || given != bytes)
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(to, from, bytes);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attr,
			       const void *buf, size_t bytes)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	switch (attr) {
	case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
		return set(&desc->compute, sizeof(desc->compute), buf, bytes);
	case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
		return set(&desc->scale, sizeof(desc->scale), buf, bytes);
	case CUBLASLT_MATMUL_DESC_TRANSA:
		return set(&desc->transpose[0], sizeof(desc->transpose[0]), buf, bytes);
	case CUBLASLT_MATMUL_DESC_TRANSB:
		return set(&desc->transpose[1], sizeof(desc->transpose[1]), buf, bytes);
	case CUBLASLT_MATMUL_DESC_EPILOGUE:
		return set(&desc->epilogue, sizeof(desc->epilogue), buf, bytes);
	case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
		return set(&desc->bias, sizeof(desc->bias), buf, bytes);
	default:
		return CUBLAS_STATUS_NOT_SUPPORTED;
	}
}

cublasStatus_t
cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *matLayout, cudaDataType type, uint64_t rows,
			   uint64_t cols, int64_t ld)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	struct cublasLtMatrixLayout *layout = calloc(1, sizeof(*layout));
	*layout = (struct cublasLtMatrixLayout){
		.type = type, .rows = rows, .columns = cols, .step = ld, .batch = 1
	};
	*matLayout = layout;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout)
{
	free(matLayout);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
				 cublasLtMatrixLayoutAttribute_t attr, const void *buf,
				 size_t bytes)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	switch (attr) {
	case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
		return set(&layout->batch, sizeof(layout->batch), buf, bytes);
	case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
		return set(&layout->stride, sizeof(layout->stride), buf, bytes);
	default:
		return CUBLAS_STATUS_NOT_SUPPORTED;
	}
}

cublasStatus_t
cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *pref)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	struct cublasLtMatmulPreference *preference = calloc(1, sizeof(*preference));
	for (int i = 0; i < BLAS_MATRICES; i++)
		preference->alignment[i] = DEFAULT_ALIGNMENT;
	*pref = preference;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref)
{
	free(pref);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
				     cublasLtMatmulPreferenceAttributes_t attr, const void *buf,
				     size_t bytes)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	unsigned which = (unsigned)attr - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
	if (attr == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
		return set(&pref->workspace, sizeof(pref->workspace), buf, bytes);
	if (which < BLAS_MATRICES)
		return set(&pref->alignment[which], sizeof(pref->alignment[which]), buf, bytes);
	return CUBLAS_STATUS_NOT_SUPPORTED;
}
