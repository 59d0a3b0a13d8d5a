/*
 * cuBLASLt's part that Tidepool calls: products of matrices that lie column by column, with what the epilogue adds. Shapes,
 * types, alignment and memory are checked as the documentation says; what it does not promise is not supported.
 */
#include <stdlib.h>
#include <string.h>

#include "blas.h"
#include "element.h"
#include "library.h"
#include "product.h"

enum {
	WORKSPACE_ALIGNMENT = 16,
	/* What an algorithm uses where it may. */
	WORKSPACE_BYTES = 1 << 20,
	/* Ways to compute a product; the second takes no workspace. */
	ALGORITHMS = 2,
};

/* What cublasLtMatmulAlgo_t holds: the problem that it was chosen for. */
struct algorithm {
	uint64_t problem;
	uint64_t workspace;
	uint32_t alignment[BLAS_MATRICES];
};
_Static_assert(sizeof(struct algorithm) <= sizeof(cublasLtMatmulAlgo_t), "cublasLtMatmulAlgo_t");

/* One call, checked. */
struct matmul {
	struct cublasLtMatmulDesc desc;
	struct cublasLtMatrixLayout layouts[BLAS_MATRICES];
	const void *memory[BLAS_MATRICES - 1];
	void *out;
	double alpha;
	double beta;
};

/* --- checks ---------------------------------------------------------------------------------------------------------- */

static enum element
element_of(cudaDataType_t type)
{
	static const enum element elements[] = {
		[CUDA_R_32F] = ELEMENT_FLOAT, [CUDA_R_64F] = ELEMENT_DOUBLE,
		[CUDA_R_16F] = ELEMENT_HALF,  [CUDA_R_8I] = ELEMENT_INT8,
		[CUDA_R_32I] = ELEMENT_INT32, [CUDA_R_16BF] = ELEMENT_BFLOAT16
	};
	return elements[type];
}

/* Summed in doubles, which hold integers' sums exactly, too. */
static bool
is_wide(const struct cublasLtMatmulDesc *desc)
{
	return desc->compute == CUBLAS_COMPUTE_64F || desc->compute == CUBLAS_COMPUTE_32I;
}

/*
 * Bytes, as its documentation has them in a plain layout: the first transposed, the second not, m, k and all steps multiples of 4,
 * sums of 32 bits and nothing after them.
 */
static bool
are_bytes_supported(const struct matmul *matmul)
{
	const struct cublasLtMatmulDesc *desc = &matmul->desc;
	const struct cublasLtMatrixLayout *layouts = matmul->layouts;
	bool fit = desc->scale == CUDA_R_32I && desc->epilogue == CUBLASLT_EPILOGUE_DEFAULT &&
		   desc->transpose[0] == CUBLAS_OP_T && desc->transpose[1] == CUBLAS_OP_N &&
		   layouts[0].rows % 4 == 0 && layouts[0].columns % 4 == 0;
	for (int i = 0; i < BLAS_MATRICES; i++)
		fit &= layouts[i].type == (i < 2 ? CUDA_R_8I : CUDA_R_32I) &&
		       layouts[i].step % 4 == 0;
	return fit;
}

/* The rows of cublasLtMatmul's table of types that are of one type throughout, and bytes. */
static bool
are_types_supported(const struct matmul *matmul)
{
	if (matmul->desc.compute == CUBLAS_COMPUTE_32I)
		return are_bytes_supported(matmul);
	const struct cublasLtMatmulDesc *desc = &matmul->desc;
	cudaDataType_t type = matmul->layouts[0].type;
	for (int i = 1; i < BLAS_MATRICES; i++) {
		if (matmul->layouts[i].type != type)
			return false;
	}
	switch (desc->compute) {
	case CUBLAS_COMPUTE_32F:
	case CUBLAS_COMPUTE_32F_PEDANTIC:
		return desc->scale == CUDA_R_32F &&
		       (type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF);
	case CUBLAS_COMPUTE_32F_FAST_TF32:
	case CUBLAS_COMPUTE_32F_FAST_16F:
	case CUBLAS_COMPUTE_32F_FAST_16BF:
		return desc->scale == CUDA_R_32F && type == CUDA_R_32F;
	case CUBLAS_COMPUTE_64F:
		return desc->scale == CUDA_R_64F && type == CUDA_R_64F;
	default:
		return false;
	}
}

static bool
is_epilogue_supported(const struct cublasLtMatmulDesc *desc)
{
	switch (desc->epilogue) {
	case CUBLASLT_EPILOGUE_DEFAULT:
		return true;
	case CUBLASLT_EPILOGUE_RELU:
		return !is_wide(desc);
	case CUBLASLT_EPILOGUE_BIAS:
	case CUBLASLT_EPILOGUE_RELU_BIAS:
		return !is_wide(desc) && desc->bias != NULL;
	default:
		return false;
	}
}

/* op(A) (m, k), op(B) (k, n), C and D (m, n); as many in each. */
static bool
do_shapes_fit(const struct matmul *matmul)
{
	const struct cublasLtMatrixLayout *a = &matmul->layouts[0], *b = a + 1, *c = a + 2,
					  *d = a + 3;
	bool ta = matmul->desc.transpose[0] != CUBLAS_OP_N;
	bool tb = matmul->desc.transpose[1] != CUBLAS_OP_N;
	uint64_t m = ta ? a->columns : a->rows, k = ta ? a->rows : a->columns;
	uint64_t n = tb ? b->rows : b->columns;
	bool fit = (tb ? b->columns : b->rows) == k && c->rows == m && c->columns == n &&
		   d->rows == m && d->columns == n;
	for (int i = 0; i < BLAS_MATRICES; i++) {
		const struct cublasLtMatrixLayout *layout = &matmul->layouts[i];
		fit &= layout->rows > 0 && layout->columns > 0 && layout->batch == d->batch &&
		       layout->batch > 0 && layout->step >= (int64_t)layout->rows;
	}
	/* Results of one batch may not lie on top of each other. */
	return fit && (d->batch == 1 || d->stride >= d->step * (int64_t)d->columns);
}

static cublasStatus_t
check(const struct matmul *matmul)
{
	if (!do_shapes_fit(matmul))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (!are_types_supported(matmul) || !is_epilogue_supported(&matmul->desc))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	return CUBLAS_STATUS_SUCCESS;
}

/* A number for what an algorithm is chosen by. */
static uint64_t
problem_of(const struct matmul *matmul)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	const struct cublasLtMatmulDesc *desc = &matmul->desc;
	uint64_t words[6 + 6 * BLAS_MATRICES] = { desc->compute, desc->scale, desc->transpose[0],
						  desc->transpose[1], desc->epilogue };
	for (int i = 0; i < BLAS_MATRICES; i++) {
		const struct cublasLtMatrixLayout *layout = &matmul->layouts[i];
		uint64_t *at = words + 6 + 6 * i;
		at[0] = layout->type;
		at[1] = layout->rows;
		at[2] = layout->columns;
		at[3] = (uint64_t)layout->step;
		at[4] = (uint64_t)layout->batch;
		at[5] = (uint64_t)layout->stride;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * UINT64_C(0x100000001b3);
	return hash;
}

cublasStatus_t
cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
			       cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
			       cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
			       cublasLtMatmulPreference_t preference, int requestedAlgoCount,
			       cublasLtMatmulHeuristicResult_t results[], int *returnAlgoCount)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	if (handle_check(lightHandle, HANDLE_BLAS, "cublasLtMatmulAlgoGetHeuristic") != cudaSuccess)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	if (requestedAlgoCount <= 0)
		return CUBLAS_STATUS_INVALID_VALUE;
	struct matmul matmul = { .desc = *operationDesc,
				 .layouts = { *Adesc, *Bdesc, *Cdesc, *Ddesc } };
	*returnAlgoCount = 0;
	cublasStatus_t status = check(&matmul);
	if (status != CUBLAS_STATUS_SUCCESS)
		return status;
	struct algorithm algorithm = { .problem = problem_of(&matmul) };
	memcpy(algorithm.alignment, preference->alignment, sizeof(algorithm.alignment));
	for (int i = 0; i < ALGORITHMS && i < requestedAlgoCount; i++) {
		algorithm.workspace =
			i != 0 || preference->workspace < WORKSPACE_BYTES ? 0 : WORKSPACE_BYTES;
		memset(&results[i], 0, sizeof(results[i]));
		memcpy(&results[i].algo, &algorithm, sizeof(algorithm));
		results[i].workspaceSize = algorithm.workspace;
		results[i].wavesCount = 1;
		*returnAlgoCount = i + 1;
	}
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulAlgoCheck(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
			cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
			cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
			const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	struct matmul matmul = { .desc = *operationDesc,
				 .layouts = { *Adesc, *Bdesc, *Cdesc, *Ddesc } };
	struct algorithm algorithm;
	memcpy(&algorithm, algo, sizeof(algorithm));
	if (handle_check(lightHandle, HANDLE_BLAS, "cublasLtMatmulAlgoCheck") != cudaSuccess)
		return CUBLAS_STATUS_NOT_INITIALIZED;
	cublasStatus_t status = check(&matmul);
	if (status != CUBLAS_STATUS_SUCCESS)
		return status;
	if (algorithm.problem != problem_of(&matmul))
		return CUBLAS_STATUS_INVALID_VALUE;
	result->workspaceSize = algorithm.workspace;
	return CUBLAS_STATUS_SUCCESS;
}

/* --- running --------------------------------------------------------------------------------------------------------- */

/* Column j of matrix `index`. */
static const void *
column_of(const struct matmul *matmul, int which, int32_t index, int64_t j)
{
	const struct cublasLtMatrixLayout *layout = &matmul->layouts[which];
	int64_t at = index * layout->stride + j * layout->step;
	return (const char *)matmul->memory[which] +
	       at * (int64_t)element_bytes(element_of(layout->type));
}

/* An operand as products of that kind take it. */
static float
round_for(cublasComputeType_t compute, float value)
{
	switch (compute) {
	case CUBLAS_COMPUTE_32F_FAST_TF32:
		return element_tf32(value);
	case CUBLAS_COMPUTE_32F_FAST_16F:
		return element_rounded(ELEMENT_HALF, value);
	case CUBLAS_COMPUTE_32F_FAST_16BF:
		return element_rounded(ELEMENT_BFLOAT16, value);
	default:
		return value;
	}
}

/* Matrix `index` of a batch as op(it), without gaps, column by column. */
static float *
load_narrow(const struct matmul *matmul, int which, int32_t index)
{
	const struct cublasLtMatrixLayout *layout = &matmul->layouts[which];
	bool transpose = matmul->desc.transpose[which] != CUBLAS_OP_N;
	int64_t rows = (int64_t)layout->rows, columns = (int64_t)layout->columns;
	float *to = malloc(sizeof(to[0]) * (size_t)(rows * columns));
	float *column = malloc(sizeof(to[0]) * (size_t)rows);
	for (int64_t j = 0; j < columns; j++) {
		element_floats(element_of(layout->type), column_of(matmul, which, index, j), rows,
			       column);
		for (int64_t i = 0; i < rows; i++)
			column[i] = round_for(matmul->desc.compute, column[i]);
		for (int64_t i = 0; transpose && i < rows; i++)
			to[i * columns + j] = column[i];
		if (!transpose)
			memcpy(to + j * rows, column, sizeof(to[0]) * (size_t)rows);
	}
	free(column);
	return to;
}

static double *
load_wide(const struct matmul *matmul, int which, int32_t index)
{
	const struct cublasLtMatrixLayout *layout = &matmul->layouts[which];
	bool transpose = matmul->desc.transpose[which] != CUBLAS_OP_N;
	int64_t rows = (int64_t)layout->rows, columns = (int64_t)layout->columns;
	double *to = malloc(sizeof(to[0]) * (size_t)(rows * columns));
	for (int64_t j = 0; j < columns; j++) {
		const void *column = column_of(matmul, which, index, j);
		for (int64_t i = 0; i < rows; i++)
			to[transpose ? i * columns + j : j * rows + i] =
				element_load(element_of(layout->type), column, i);
	}
	return to;
}

/* What becomes of product (m, n), matrix `index`: scaled, added to, and stored. */
static double
finish_element(const struct matmul *matmul, int64_t i, double value, double before)
{
	const struct cublasLtMatmulDesc *desc = &matmul->desc;
	double result = matmul->alpha * value;
	if (matmul->beta != 0)
		result += matmul->beta * before;
	if ((desc->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0)
		result += element_load(element_of(matmul->layouts[3].type), desc->bias, i);
	if ((desc->epilogue & CUBLASLT_EPILOGUE_RELU) != 0 && result < 0)
		result = 0;
	return result;
}

static void
store(const struct matmul *matmul, int32_t index, const float *narrow, const double *wide)
{
	const struct cublasLtMatrixLayout *c = &matmul->layouts[2], *d = &matmul->layouts[3];
	enum element element = element_of(d->type);
	int64_t m = (int64_t)d->rows, n = (int64_t)d->columns;
	for (int64_t at = 0; at < m * n; at++) {
		int64_t i = at % m, j = at / m;
		double before = 0;
		if (matmul->beta != 0)
			before = element_load(element, matmul->memory[2],
					      index * c->stride + j * c->step + i);
		element_store(
			element, matmul->out, index * d->stride + j * d->step + i,
			finish_element(matmul, i, wide != NULL ? wide[at] : narrow[at], before));
	}
}

static void
run_narrow(const struct matmul *matmul, int32_t index, int64_t k)
{
	int64_t m = (int64_t)matmul->layouts[3].rows, n = (int64_t)matmul->layouts[3].columns;
	float *a = load_narrow(matmul, 0, index), *b = load_narrow(matmul, 1, index);
	float *product = malloc(sizeof(float) * (size_t)(m * n));
	product_float(m, n, k, a, b, product);
	store(matmul, index, product, NULL);
	free(a);
	free(b);
	free(product);
}

static void
run_wide(const struct matmul *matmul, int32_t index, int64_t k)
{
	int64_t m = (int64_t)matmul->layouts[3].rows, n = (int64_t)matmul->layouts[3].columns;
	double *a = load_wide(matmul, 0, index), *b = load_wide(matmul, 1, index);
	double *product = malloc(sizeof(double) * (size_t)(m * n));
	product_double(m, n, k, a, b, product);
	store(matmul, index, NULL, product);
	free(a);
	free(b);
	free(product);
}

static void
run(const void *context)
{
	const struct matmul *matmul = context;
	const struct cublasLtMatrixLayout *a = &matmul->layouts[0];
	int64_t k = (int64_t)(matmul->desc.transpose[0] != CUBLAS_OP_N ? a->rows : a->columns);
	for (int32_t i = 0; i < a->batch; i++) {
		if (is_wide(&matmul->desc))
			run_wide(matmul, i, k);
		else
			run_narrow(matmul, i, k);
	}
}

/* --- the call -------------------------------------------------------------------------------------------------------- */

static bool
is_aligned(const void *address, uint64_t alignment)
{
	return (uintptr_t)address % alignment == 0;
}

/* All that the call names is memory of the stream's device, aligned as the algorithm was promised. */
static cublasStatus_t
check_memory(const struct matmul *matmul, const struct algorithm *algorithm, cudaStream_t stream)
{
	static const char *const names[] = { "cublasLtMatmul's A", "cublasLtMatmul's B",
					     "cublasLtMatmul's C", "cublasLtMatmul's D" };
	for (int i = 0; i < BLAS_MATRICES; i++) {
		const struct cublasLtMatrixLayout *layout = &matmul->layouts[i];
		const void *memory = i == 3 ? matmul->out : matmul->memory[i];
		int64_t last = (layout->batch - 1) * layout->stride +
			       ((int64_t)layout->columns - 1) * layout->step +
			       (int64_t)layout->rows;
		size_t bytes = (size_t)last * element_bytes(element_of(layout->type));
		if (i == 2 && matmul->beta == 0)
			continue;
		if (!library_check(names[i], stream, memory, bytes))
			return CUBLAS_STATUS_INVALID_VALUE;
		if (algorithm != NULL && !is_aligned(memory, algorithm->alignment[i])) {
			call_misuse(cudaErrorInvalidValue,
				    "%s: %p is not aligned to the %u bytes that its algorithm was "
				    "promised",
				    names[i], memory, algorithm->alignment[i]);
			return CUBLAS_STATUS_INVALID_VALUE;
		}
	}
	size_t bias_bytes = (size_t)matmul->layouts[3].rows *
			    element_bytes(element_of(matmul->layouts[3].type));
	if ((matmul->desc.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0 &&
	    !library_check("cublasLtMatmul's bias", stream, matmul->desc.bias, bias_bytes))
		return CUBLAS_STATUS_INVALID_VALUE;
	return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t
check_algorithm(const struct matmul *matmul, const struct algorithm *algorithm, void *workspace,
		size_t bytes, cudaStream_t stream)
{
	if (algorithm->problem != problem_of(matmul) || algorithm->workspace > bytes)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (!is_aligned(workspace, WORKSPACE_ALIGNMENT) ||
	    !library_check("cublasLtMatmul's workspace", stream, workspace, algorithm->workspace))
		return CUBLAS_STATUS_INVALID_VALUE;
	return CUBLAS_STATUS_SUCCESS;
}

static double
scalar(const struct cublasLtMatmulDesc *desc, const void *value)
{
	switch (desc->scale) {
	case CUDA_R_64F:
		return *(const double *)value;
	case CUDA_R_32I:
		return *(const int32_t *)value;
	default:
		return *(const float *)value;
	}
}

cublasStatus_t
cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc, const void *alpha,
	       const void *A, cublasLtMatrixLayout_t Adesc, const void *B,
	       cublasLtMatrixLayout_t Bdesc, const void *beta, const void *C,
	       cublasLtMatrixLayout_t Cdesc, void *D, cublasLtMatrixLayout_t Ddesc,
	       const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspaceSizeInBytes,
	       cudaStream_t stream)
{
	LIBRARY_BEGIN(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED);
	if (handle_check(lightHandle, HANDLE_BLAS, "cublasLtMatmul") != cudaSuccess ||
	    stream_check(stream, "cublasLtMatmul") != cudaSuccess)
		return CUBLAS_STATUS_EXECUTION_FAILED;
	struct matmul matmul = {
		.desc = *computeDesc,
		.layouts = { *Adesc, *Bdesc, *Cdesc, *Ddesc },
		.memory = { A, B, C },
		.out = D,
		.alpha = scalar(computeDesc, alpha),
		.beta = scalar(computeDesc, beta),
	};
	struct algorithm algorithm;
	cublasStatus_t status = check(&matmul);
	if (status == CUBLAS_STATUS_SUCCESS && algo != NULL) {
		memcpy(&algorithm, algo, sizeof(algorithm));
		status = check_algorithm(&matmul, &algorithm, workspace, workspaceSizeInBytes,
					 stream);
	}
	if (status == CUBLAS_STATUS_SUCCESS)
		status = check_memory(&matmul, algo == NULL ? NULL : &algorithm, stream);
	if (status != CUBLAS_STATUS_SUCCESS)
		return status;
	return library_put(stream, run, &matmul, sizeof(matmul)) == cudaSuccess
		       ? CUBLAS_STATUS_SUCCESS
		       : CUBLAS_STATUS_EXECUTION_FAILED;
}
