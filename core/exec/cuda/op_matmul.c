/* Matrix products: cuBLASLt's for reals, with what follows fused where it can be; a kernel of ours for integers. */
#include "exec/op_matmul.h"

#include <stdio.h>
#include <string.h>

#include "device/cuda.h"
#include "exec/cuda/algorithm.h"
#include "exec/cuda/posts.h"

/* What every tensor is aligned to, bytes. */
enum { TENSOR_ALIGNMENT = 64 };

/*
 * cuBLASLt counts columns first. A matrix that lies row by row is to it the transposed one, so C = A B is asked for as
 * C' = B' A': B comes first, and the rows of what it computes are our columns.
 */
struct matmul {
	struct product product;
	enum data_type data_type;
	cublasComputeType_t compute;
	cudaDataType_t scale_type;
	cublasLtMatrixLayout_t a;
	cublasLtMatrixLayout_t b;
	cublasLtMatrixLayout_t c;
	cublasLtMatmulAlgo_t algorithm;
	cublasLtEpilogue_t epilogue;
	/* Input that is the bias, when the epilogue has one. */
	uint32_t bias;
	/* Products that one call makes, and calls for all; dims are product.batch's. */
	int64_t inner;
	int64_t outer;
	uint32_t inner_dims;
	struct cuda_posts posts;
};

static const struct {
	enum data_type data_type;
	cudaDataType_t type;
	cublasComputeType_t compute;
	cudaDataType_t scale;
} types[] = {
	{ DATA_TYPE_FLOAT, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F },
	{ DATA_TYPE_DOUBLE, CUDA_R_64F, CUBLAS_COMPUTE_64F, CUDA_R_64F },
	{ DATA_TYPE_FLOAT16, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F },
	{ DATA_TYPE_BFLOAT16, CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F },
};

static bool
is_biased(const struct matmul *matmul)
{
	return matmul->epilogue == CUBLASLT_EPILOGUE_BIAS ||
	       matmul->epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
}

/* --- running ---------------------------------------------------------------------------------------------------------- */

/* The product's description; the caller destroys it. -1 with the error set. */
static int
describe(const struct operator_call *call, struct cuda_compute *compute,
	 const struct matmul *matmul, const void *bias, cublasLtMatmulDesc_t *desc)
{
	cublasOperation_t first = matmul->product.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
	cublasOperation_t second = matmul->product.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
	cublasLtEpilogue_t epilogue = matmul->epilogue;
	cublasStatus_t status = cublasLtMatmulDescCreate(desc, matmul->compute, matmul->scale_type);
	if (status != CUBLAS_STATUS_SUCCESS) {
		*desc = NULL;
		goto end;
	}
	status = cublasLtMatmulDescSetAttribute(*desc, CUBLASLT_MATMUL_DESC_TRANSA, &first,
						sizeof(first));
	if (status == CUBLAS_STATUS_SUCCESS)
		status = cublasLtMatmulDescSetAttribute(*desc, CUBLASLT_MATMUL_DESC_TRANSB, &second,
							sizeof(second));
	if (status == CUBLAS_STATUS_SUCCESS && epilogue != CUBLASLT_EPILOGUE_DEFAULT)
		status = cublasLtMatmulDescSetAttribute(*desc, CUBLASLT_MATMUL_DESC_EPILOGUE,
							&epilogue, sizeof(epilogue));
	if (status == CUBLAS_STATUS_SUCCESS && bias != NULL)
		status = cublasLtMatmulDescSetAttribute(*desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
							&bias, sizeof(bias));
end:
	if (status == CUBLAS_STATUS_SUCCESS)
		return 0;
	if (*desc != NULL)
		cublasLtMatmulDescDestroy(*desc);
	if (compute != NULL)
		return cuda_compute_check_blas(compute, status, "cublasLtMatmulDesc");
	return operator_unimplemented(call, "cublasLtMatmulDesc: status %d", (int)status);
}

/* Matrix of an operand that belongs to matrix `index` of the result. */
static int64_t
matrix_of(const struct product *product, const int64_t *dims, int64_t index)
{
	int64_t matrix = 0, step = 1;
	for (uint32_t i = product->batch_rank; i-- > 0;) {
		matrix += dims[i] == 1 ? 0 : index % product->batch[i] * step;
		index /= product->batch[i];
		step *= dims[i];
	}
	return matrix;
}

/* The matrices of one call, from matrix `index` of the result on. */
static int
put_product(const struct matmul *matmul, const struct operands *operands, cublasLtMatmulDesc_t desc,
	    int64_t index)
{
	const struct product *product = &matmul->product;
	struct cuda_compute *compute = cuda_op_compute(operands);
	int64_t bytes = (int64_t)data_type_bytes(matmul->data_type);
	const char *a =
		(const char *)operands->inputs[0] +
		matrix_of(product, product->batch_a, index) * product->m * product->k * bytes;
	const char *b =
		(const char *)operands->inputs[1] +
		matrix_of(product, product->batch_b, index) * product->k * product->n * bytes;
	char *c = (char *)operands->outputs[0] + index * product->m * product->n * bytes;
	float alpha = product->scale, beta = 0;
	double wide_alpha = product->scale, wide_beta = 0;
	bool wide = matmul->scale_type == CUDA_R_64F;
	cublasStatus_t status = cublasLtMatmul(
		compute->blas, desc, wide ? (const void *)&wide_alpha : &alpha, b, matmul->b, a,
		matmul->a, wide ? (const void *)&wide_beta : &beta, c, matmul->c, c, matmul->c,
		&matmul->algorithm, compute->workspace, compute->workspace_bytes, compute->stream);
	return cuda_compute_check_blas(compute, status, "cublasLtMatmul");
}

static int
run_matmul(const void *state, const struct operands *operands)
{
	const struct matmul *matmul = state;
	cublasLtMatmulDesc_t desc;
	if (describe(NULL, cuda_op_compute(operands), matmul,
		     is_biased(matmul) ? operands->inputs[matmul->bias] : NULL, &desc) != 0)
		return -1;
	int result = 0;
	for (int64_t i = 0; i < matmul->outer && result == 0; i++)
		result = put_product(matmul, operands, desc, i * matmul->inner);
	cublasLtMatmulDescDestroy(desc);
	if (result != 0)
		return -1;
	return cuda_posts_run(&matmul->posts, operands, operands->outputs[0], operands->outputs[0]);
}

static void
destroy_matmul(const void *state)
{
	const struct matmul *matmul = state;
	const cublasLtMatrixLayout_t layouts[] = { matmul->a, matmul->b, matmul->c };
	for (int i = 0; i < 3; i++)
		if (layouts[i] != NULL)
			cublasLtMatrixLayoutDestroy(layouts[i]);
}

/* --- preparing -------------------------------------------------------------------------------------------------------- */

/* How many of the last batch dims one call can walk: those along which each operand either repeats or goes on. */
static void
split_batch(struct matmul *matmul)
{
	const struct product *product = &matmul->product;
	bool repeats_a = false, repeats_b = false, begun = false;
	matmul->inner = matmul->outer = 1;
	matmul->inner_dims = 0;
	bool open = true;
	for (uint32_t i = product->batch_rank; i-- > 0;) {
		if (product->batch[i] == 1) {
			matmul->inner_dims += open;
			continue;
		}
		bool a = product->batch_a[i] == 1, b = product->batch_b[i] == 1;
		open &= !begun || (a == repeats_a && b == repeats_b);
		repeats_a = a;
		repeats_b = b;
		begun = true;
		*(open ? &matmul->inner : &matmul->outer) *= product->batch[i];
		matmul->inner_dims += open;
	}
}

/* Do the matrices of one call repeat the same one of the operand? */
static bool
repeats(const struct matmul *matmul, const int64_t *dims)
{
	const struct product *product = &matmul->product;
	for (uint32_t i = product->batch_rank - matmul->inner_dims; i < product->batch_rank; i++)
		if (dims[i] != 1)
			return false;
	return true;
}

/* A matrix of rows by columns that lies row by row, for cuBLASLt. */
static cublasStatus_t
create_layout(const struct matmul *matmul, cudaDataType_t type, int64_t rows, int64_t columns,
	      bool transposed, bool repeated, cublasLtMatrixLayout_t *layout)
{
	int64_t across = transposed ? rows : columns, down = transposed ? columns : rows;
	int32_t count = (int32_t)matmul->inner;
	int64_t stride = repeated ? 0 : rows * columns;
	cublasStatus_t status =
		cublasLtMatrixLayoutCreate(layout, type, (uint64_t)across, (uint64_t)down, across);
	if (status != CUBLAS_STATUS_SUCCESS || count == 1)
		return status;
	status = cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
						  &count, sizeof(count));
	if (status != CUBLAS_STATUS_SUCCESS)
		return status;
	return cublasLtMatrixLayoutSetAttribute(
		*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof(stride));
}

static int
create_layouts(struct operator_call *call, struct matmul *matmul, cudaDataType_t type)
{
	const struct product *product = &matmul->product;
	cublasStatus_t status =
		create_layout(matmul, type, product->m, product->k, product->transpose_a,
			      repeats(matmul, product->batch_a), &matmul->a);
	if (status == CUBLAS_STATUS_SUCCESS)
		status = create_layout(matmul, type, product->k, product->n, product->transpose_b,
				       repeats(matmul, product->batch_b), &matmul->b);
	if (status == CUBLAS_STATUS_SUCCESS)
		status = create_layout(matmul, type, product->m, product->n, false, false,
				       &matmul->c);
	if (status == CUBLAS_STATUS_SUCCESS)
		return 0;
	return operator_unimplemented(call, "cublasLtMatrixLayout: status %d", (int)status);
}

/* What a matrix of so many elements is aligned to when others of its size may lie before it. */
static uint32_t
alignment_of(const struct matmul *matmul, int64_t elements)
{
	uint64_t bytes = (uint64_t)elements * data_type_bytes(matmul->data_type);
	uint64_t largest = matmul->outer == 1 ? TENSOR_ALIGNMENT : bytes & -bytes;
	return (uint32_t)(largest > TENSOR_ALIGNMENT ? TENSOR_ALIGNMENT : largest);
}

/* An operand as cuBLASLt's algorithms are chosen for it. */
static struct algorithm_matrix
matrix_for(const struct matmul *matmul, cublasLtMatrixLayout_t layout, int64_t elements,
	   bool repeated)
{
	return (struct algorithm_matrix){
		.layout = layout,
		.alignment = alignment_of(matmul, elements),
		.bytes = data_type_bytes(matmul->data_type) *
			 (size_t)(elements * (repeated ? 1 : matmul->inner)),
	};
}

/* UNIMPLEMENTED when there is none. */
static int
choose_algorithm(struct operator_call *call, struct matmul *matmul)
{
	const struct product *product = &matmul->product;
	int64_t m = product->m, n = product->n, k = product->k;
	bool repeats_a = repeats(matmul, product->batch_a);
	bool repeats_b = repeats(matmul, product->batch_b);
	/* A bias must have an address for the heuristic to look at its alignment: that of tensors. */
	static const void *const aligned = (const void *)TENSOR_ALIGNMENT;
	static const float one = 1, zero = 0;
	static const double wide_one = 1, wide_zero = 0;
	bool is_wide = matmul->scale_type == CUDA_R_64F;
	struct algorithm_problem problem = {
		.a = matrix_for(matmul, matmul->b, k * n, repeats_b),
		.b = matrix_for(matmul, matmul->a, m * k, repeats_a),
		.c = matrix_for(matmul, matmul->c, m * n, false),
		.one = is_wide ? (const void *)&wide_one : &one,
		.zero = is_wide ? (const void *)&wide_zero : &zero,
		.biased = is_biased(matmul),
	};
	snprintf(problem.key, sizeof(problem.key),
		 "matmul %s %s%s %lldx%lldx%lld%s%s x%lld%s%s e%d a%u,%u,%u",
		 data_type_name(matmul->data_type), device_math_name(cuda_math()),
		 planner_times() ? " timed" : "", (long long)m, (long long)n, (long long)k,
		 product->transpose_a ? " at" : "", product->transpose_b ? " bt" : "",
		 (long long)matmul->inner, repeats_a ? " a1" : "", repeats_b ? " b1" : "",
		 (int)matmul->epilogue, problem.a.alignment, problem.b.alignment,
		 problem.c.alignment);
	if (describe(call, NULL, matmul, problem.biased ? aligned : NULL, &problem.desc) != 0)
		return -1;
	int result = algorithm_choose(&problem, &matmul->algorithm);
	cublasLtMatmulDescDestroy(problem.desc);
	return result;
}

/* A bias of one element a column, then maybe a Relu, go into the product; the rest follows. Returns how many did. */
static uint32_t
fuse_posts(const struct operator_call *call, struct matmul *matmul, const struct post *posts,
	   uint32_t count)
{
	uint32_t fused = 0;
	bool biased = false;
	if (count != 0 && posts[0].kind == POST_ADD) {
		const struct tensor_type *type = &call->inputs[posts[0].input];
		biased = type->rank >= 1 && type->dims[type->rank - 1] == matmul->product.n &&
			 tensor_elements(type) == matmul->product.n &&
			 type->data_type == matmul->data_type;
	}
	if (biased) {
		matmul->bias = posts[0].input;
		matmul->epilogue = CUBLASLT_EPILOGUE_BIAS;
		fused = 1;
	}
	if (count > fused && posts[fused].kind == POST_RELU) {
		matmul->epilogue = biased ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
		fused++;
	}
	return fused;
}

/*
 * An algorithm with as many posts fused as there is one for: all that an epilogue could do, or none. Returns how many, -1 with
 * UNIMPLEMENTED. Epilogues in doubles are not to be had.
 */
static int
choose_fusion(struct operator_call *call, struct matmul *matmul, const struct post *posts,
	      uint32_t count)
{
	uint32_t fused = 0;
	matmul->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
	if (matmul->data_type != DATA_TYPE_DOUBLE)
		fused = fuse_posts(call, matmul, posts, count);
	if (choose_algorithm(call, matmul) == 0)
		return (int)fused;
	if (fused == 0)
		return -1;
	matmul->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
	return choose_algorithm(call, matmul);
}

/* How FP32 products are computed. */
static cublasComputeType_t
float_compute(void)
{
	switch (cuda_math()) {
	case DEVICE_MATH_TF32:
		return CUBLAS_COMPUTE_32F_FAST_TF32;
	case DEVICE_MATH_FP16:
		return CUBLAS_COMPUTE_32F_FAST_16F;
	case DEVICE_MATH_BF16:
		return CUBLAS_COMPUTE_32F_FAST_16BF;
	default:
		return CUBLAS_COMPUTE_32F;
	}
}

static int
use_blas(struct operator_call *call, const struct product *product, const struct post *posts,
	 uint32_t count)
{
	size_t i = 0;
	while (i < sizeof(types) / sizeof(types[0]) &&
	       types[i].data_type != call->inputs[0].data_type)
		i++;
	if (i == sizeof(types) / sizeof(types[0]) || product->k == 0)
		return cuda_op_unsupported(call, call->inputs[0].data_type);
	struct matmul *matmul = operator_state(call, sizeof(*matmul));
	if (matmul == NULL)
		return -1;
	call->kernel->destroy = destroy_matmul;
	call->kernel->run = run_matmul;
	matmul->product = *product;
	matmul->data_type = types[i].data_type;
	matmul->compute = types[i].compute;
	if (types[i].type == CUDA_R_32F)
		matmul->compute = float_compute();
	matmul->scale_type = types[i].scale;
	split_batch(matmul);
	if (create_layouts(call, matmul, types[i].type) != 0)
		return -1;
	int fused = choose_fusion(call, matmul, posts, count);
	if (fused < 0)
		return -1;
	cuda_posts_begin(&matmul->posts, call);
	for (uint32_t k = (uint32_t)fused; k < count; k++)
		if (cuda_posts_add(&matmul->posts, call, &posts[k]) != 0)
			return -1;
	return 0;
}

/* --- integers ---------------------------------------------------------------------------------------------------------- */

struct plain {
	struct kernel_product kernel;
	enum data_type data_type;
};

static int
run_plain(const void *state, const struct operands *operands)
{
	const struct plain *plain = state;
	return cuda_op_launched(operands,
				kernel_product(cuda_op_compute(operands)->stream, plain->data_type,
					       &plain->kernel, operands->inputs[0],
					       operands->inputs[1], operands->outputs[0]),
				"kernel_product");
}

static int
use_plain(struct operator_call *call, const struct product *product)
{
	struct plain *plain = operator_state(call, sizeof(*plain));
	if (plain == NULL)
		return -1;
	plain->data_type = call->inputs[0].data_type;
	switch (plain->data_type) {
	case DATA_TYPE_INT32:
	case DATA_TYPE_UINT32:
	case DATA_TYPE_INT64:
	case DATA_TYPE_UINT64:
		break;
	default:
		return cuda_op_unsupported(call, plain->data_type);
	}
	plain->kernel = (struct kernel_product){ .m = product->m,
						 .n = product->n,
						 .k = product->k,
						 .batch_rank = product->batch_rank,
						 .batches = 1 };
	for (uint32_t i = 0; i < product->batch_rank; i++) {
		plain->kernel.batch[i] = product->batch[i];
		plain->kernel.batch_a[i] = product->batch_a[i];
		plain->kernel.batch_b[i] = product->batch_b[i];
		plain->kernel.batches *= product->batch[i];
	}
	call->kernel->run = run_plain;
	return 0;
}

/* --- the table ---------------------------------------------------------------------------------------------------------- */

static int
prepare_product(struct operator_call *call, struct product *product, const struct post *posts,
		uint32_t count)
{
	op_matmul_collapse(product);
	int result = cuda_op_is_real(call->inputs[0].data_type)
			     ? use_blas(call, product, posts, count)
			     : use_plain(call, product);
	call->kernel->flops = op_matmul_flops(product);
	return result;
}

static int
prepare_matmul(struct operator_call *call)
{
	struct product product;
	if (op_matmul_read(call, &product) != 0)
		return -1;
	return prepare_product(call, &product, call->node->posts, call->node->post_count);
}

static int
prepare_gemm(struct operator_call *call)
{
	struct product product;
	uint32_t own = call->node->post_count;
	struct post *posts = arena_calloc(call->arena, own + OP_MATMUL_GEMM_POSTS, sizeof(*posts));
	if (posts == NULL || op_matmul_read_gemm(call, &product) != 0)
		return -1;
	if (!cuda_op_is_real(call->inputs[0].data_type))
		return cuda_op_unsupported(call, call->inputs[0].data_type);
	uint32_t count = op_matmul_gemm_posts(call, posts, &product.scale);
	if (own != 0)
		memcpy(posts + count, call->node->posts, own * sizeof(*posts));
	return prepare_product(call, &product, posts, count + own);
}

static const struct cuda_op matmul_operators[] = {
	{ NULL, "MatMul", 1, prepare_matmul },
	{ "tidepool", "MatMulTransposed", 1, prepare_matmul },
	{ NULL, "Gemm", 7, prepare_gemm },
};

const struct cuda_family cuda_family_matmul = {
	matmul_operators,
	sizeof(matmul_operators) / sizeof(matmul_operators[0]),
};
