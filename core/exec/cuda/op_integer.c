/*
 * Products of 8-bit integers by the tensor cores, through cuBLASLt, where B is one constant matrix and everything fits; else by a
 * kernel of ours. cuBLASLt multiplies signed bytes, and its kernels for them want A transposed, B not, dims and steps that are
 * multiples of 4 (its documentation of cublasLtMatmul). To it our B is A, and columns come first: so B is kept column by column,
 * as signed bytes, in the model's image, with its columns' sums behind it.
 */
#include "exec/op_integer.h"

#include <stdio.h>

#include "exec/cuda/algorithm.h"
#include "exec/cuda/op.h"
#include "exec/cuda/runs.h"

enum {
	/* What every tensor and its parts are aligned to, bytes. */
	ALIGNMENT = 64,
	/* What cuBLASLt counts on: loads of so many bytes. */
	LOADS = 16,
	/* Dims are multiples of it. */
	STEP = 4,
};

struct cuda_integer {
	struct integer integer;
	/* Of all batches. */
	int64_t rows;
	/* The input that is B. */
	uint32_t weights_input;
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t weights;
	cublasLtMatrixLayout_t a;
	cublasLtMatrixLayout_t products;
	cublasLtMatmulAlgo_t algorithm;
	/* Places in the scratch memory, behind the sums of rows; 0: the operand or the output serves. */
	size_t shifted_at;
	size_t products_at;
};

/* B as it is packed. */
struct packing {
	int64_t k;
	int64_t n;
	uint32_t is_signed;
	uint32_t padding;
};

static const char packing_key[] = "signed columns";

static const int32_t one = 1, zero = 0;

/* --- running ---------------------------------------------------------------------------------------------------------- */

static int
run_integer(const void *state, const struct operands *operands)
{
	const struct cuda_integer *own = state;
	const struct integer *integer = &own->integer;
	struct cuda_compute *compute = cuda_op_compute(operands);
	char *scratch = operands->scratch;
	const char *weights = operands->inputs[own->weights_input];
	void *shifted = own->shifted_at != 0 ? scratch + own->shifted_at : NULL;
	const void *a = shifted != NULL ? shifted : operands->inputs[0];
	void *products = own->products_at != 0 ? scratch + own->products_at : operands->outputs[0];
	if (cuda_op_launched(operands,
			     kernel_integer_rows(compute->stream, operands->inputs[0], shifted,
						 (int32_t *)scratch, own->rows, integer->k),
			     "kernel_integer_rows") != 0)
		return -1;
	cublasStatus_t status = cublasLtMatmul(
		compute->blas, own->desc, &one, weights, own->weights, a, own->a, &zero, products,
		own->products, products, own->products, &own->algorithm, compute->workspace,
		compute->workspace_bytes, compute->stream);
	if (cuda_compute_check_blas(compute, status, "cublasLtMatmul") != 0)
		return -1;
	const int32_t *column_sums = (const int32_t *)(weights + integer->k * integer->n);
	return cuda_op_launched(operands,
				kernel_integer_finish(integer, operands, products,
						      (const int32_t *)scratch, column_sums,
						      own->rows),
				"kernel_integer_finish");
}

static void
destroy_integer(const void *state)
{
	const struct cuda_integer *own = state;
	const cublasLtMatrixLayout_t layouts[] = { own->weights, own->a, own->products };
	for (int i = 0; i < 3; i++)
		if (layouts[i] != NULL)
			cublasLtMatrixLayoutDestroy(layouts[i]);
	if (own->desc != NULL)
		cublasLtMatmulDescDestroy(own->desc);
}

/* --- preparing -------------------------------------------------------------------------------------------------------- */

/* B's columns one after the other as signed bytes, then the sum of each. */
static int
pack(void *context, const struct constant *from, void *to)
{
	const struct packing *packing = context;
	const uint8_t *in = from->data;
	int8_t *out = to;
	int32_t *sums = (int32_t *)(out + packing->k * packing->n);
	for (int64_t column = 0; column < packing->n; column++) {
		sums[column] = 0;
		for (int64_t i = 0; i < packing->k; i++) {
			uint8_t byte = in[i * packing->n + column];
			*out = (int8_t)(packing->is_signed ? byte : byte ^ 0x80);
			sums[column] += *out++;
		}
	}
	return 0;
}

/* Is it one product, of a constant B, that cuBLASLt has kernels for? */
static bool
fits(const struct operator_call *call, const struct cuda_integer *own)
{
	const struct integer *integer = &own->integer;
	return call->constants[own->weights_input] != NULL && own->rows != 0 &&
	       integer->b.elements == integer->k * integer->n && integer->k % STEP == 0 &&
	       integer->n % STEP == 0 && integer->k != 0 && integer->n != 0;
}

static cublasStatus_t
describe(struct cuda_integer *own)
{
	const cublasOperation_t turned = CUBLAS_OP_T;
	uint64_t k = (uint64_t)own->integer.k, n = (uint64_t)own->integer.n;
	uint64_t rows = (uint64_t)own->rows;
	cublasStatus_t status =
		cublasLtMatmulDescCreate(&own->desc, CUBLAS_COMPUTE_32I, CUDA_R_32I);
	if (status == CUBLAS_STATUS_SUCCESS)
		status = cublasLtMatmulDescSetAttribute(own->desc, CUBLASLT_MATMUL_DESC_TRANSA,
							&turned, sizeof(turned));
	if (status == CUBLAS_STATUS_SUCCESS)
		status = cublasLtMatrixLayoutCreate(&own->weights, CUDA_R_8I, k, n, (int64_t)k);
	if (status == CUBLAS_STATUS_SUCCESS)
		status = cublasLtMatrixLayoutCreate(&own->a, CUDA_R_8I, k, rows, (int64_t)k);
	if (status == CUBLAS_STATUS_SUCCESS)
		status =
			cublasLtMatrixLayoutCreate(&own->products, CUDA_R_32I, n, rows, (int64_t)n);
	return status;
}

static int
choose(struct cuda_integer *own)
{
	const struct integer *integer = &own->integer;
	size_t k = (size_t)integer->k, n = (size_t)integer->n, rows = (size_t)own->rows;
	struct algorithm_problem problem = {
		.desc = own->desc,
		.a = { own->weights, LOADS, k * n },
		.b = { own->a, LOADS, k * rows },
		.c = { own->products, LOADS, n * rows * sizeof(int32_t) },
		.one = &one,
		.zero = &zero,
	};
	snprintf(problem.key, sizeof(problem.key), "matmul INT8%s %zux%zux%zu",
		 planner_times() ? " timed" : "", rows, n, k);
	return algorithm_choose(&problem, &own->algorithm);
}

static size_t
rounded(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Returns how many bytes of scratch there are. */
static size_t
place(struct cuda_integer *own)
{
	size_t rows = (size_t)own->rows, at = rounded(rows * sizeof(int32_t));
	if (own->integer.a.data_type != DATA_TYPE_INT8) {
		own->shifted_at = at;
		at += rounded(rows * (size_t)own->integer.k);
	}
	if (own->integer.rounds) {
		own->products_at = at;
		at += rounded(rows * (size_t)own->integer.n * sizeof(int32_t));
	}
	return at;
}

/* As cuBLASLt can; -1 with UNIMPLEMENTED when it cannot. */
static int
use_blas(struct operator_call *call, const struct integer *integer)
{
	struct cuda_integer *own = operator_state(call, sizeof(*own));
	if (own == NULL)
		return -1;
	call->kernel->destroy = destroy_integer;
	own->integer = *integer;
	own->rows = integer->m * integer->batches;
	own->weights_input = integer->rounds ? 3 : 1;
	if (!fits(call, own))
		return operator_unimplemented(call, "it does not fit cuBLASLt");
	if (describe(own) != CUBLAS_STATUS_SUCCESS)
		return operator_unimplemented(call, "cuBLASLt cannot describe it");
	if (choose(own) != 0)
		return -1;
	struct packing packing = { integer->k, integer->n, integer->b.data_type == DATA_TYPE_INT8,
				   0 };
	call->kernel->run = run_integer;
	call->kernel->scratch_bytes = place(own);
	return operator_pack(call, own->weights_input, packing_key, &packing, sizeof(packing),
			     (size_t)integer->n * ((size_t)integer->k + sizeof(int32_t)), pack,
			     &packing);
}

/* The host's state tells what is multiplied; our own kernel takes that as it is. */
static int
prepare_product(struct operator_call *call)
{
	if (runs_prepare(call) != 0)
		return -1;
	struct kernel plain = *call->kernel;
	*call->kernel = (struct kernel){ 0 };
	if (use_blas(call, plain.state) == 0)
		return 0;
	if (call->kernel->destroy != NULL)
		call->kernel->destroy(call->kernel->state);
	*call->kernel = plain;
	return error_last()->code == ERR_UNIMPLEMENTED ? 0 : -1;
}

static const struct cuda_op integer_operators[] = {
	{ NULL, "MatMulInteger", 10, prepare_product },
	{ NULL, "QLinearMatMul", 10, prepare_product },
};

const struct cuda_family cuda_family_integer = {
	integer_operators,
	sizeof(integer_operators) / sizeof(integer_operators[0]),
};
