/* Matrix products: oneDNN's for floats, with constant matrices packed; plain loops for other element types. */
#include <inttypes.h>
#include <string.h>

#include "exec/onednn.h"
#include "exec/op_matmul.h"
#include "exec/operator.h"
#include "exec/panels.h"
#include "exec/parallel.h"

enum {
	/* Multiply-adds worth a thread of their own, in the plain loops. */
	GRAIN_PRODUCTS = 65536,
	/* Fewest rows of A, columns and rows of B for which panels were measured to be faster than oneDNN's ways. */
	PANELS_M = 8,
	PANELS_N = 64,
	PANELS_K = 64,
};

/* Batch dims of A, B and of the result. */
static int
set_batch(const struct operator_call *call, struct product *product, const struct tensor_type *a,
	  const struct tensor_type *b)
{
	uint32_t rank_a = a->rank > 2 ? a->rank - 2 : 0;
	uint32_t rank_b = b->rank > 2 ? b->rank - 2 : 0;
	uint32_t rank = rank_a > rank_b ? rank_a : rank_b;
	struct tensor_type batch_b = { .rank = rank_b };
	memcpy(batch_b.dims, b->dims, rank_b * sizeof(b->dims[0]));
	product->batch_rank = rank_a;
	memcpy(product->batch, a->dims, rank_a * sizeof(a->dims[0]));
	for (uint32_t i = 0; i < rank; i++) {
		product->batch_a[i] = i < rank - rank_a ? 1 : a->dims[i - (rank - rank_a)];
		product->batch_b[i] = i < rank - rank_b ? 1 : b->dims[i - (rank - rank_b)];
	}
	return operator_broadcast(call, &product->batch_rank, product->batch, &batch_b);
}

/* Our own MatMulTransposed reads B with its last two dimensions the other way round. */
static bool
is_transposed(const struct operator_call *call)
{
	return strcmp(call->node->op_type, "MatMulTransposed") == 0;
}

int
op_matmul_read(const struct operator_call *call, struct product *product)
{
	const struct tensor_type *a = &call->inputs[0];
	const struct tensor_type *b = &call->inputs[1];
	*product = (struct product){ .scale = 1 };
	if (a->rank == 0 || b->rank == 0)
		return operator_error(call, "a scalar is no matrix");
	if (a->data_type != b->data_type)
		return operator_error(call, "input 1 is %s, input 0 is %s",
				      data_type_name(b->data_type), data_type_name(a->data_type));
	product->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
	product->k = a->dims[a->rank - 1];
	product->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
	int64_t k = b->rank > 1 ? b->dims[b->rank - 2] : b->dims[0];
	product->transpose_b = is_transposed(call);
	if (product->transpose_b) {
		if (b->rank < 2)
			return operator_error(call, "a vector is not to be transposed");
		int64_t rows = k;
		k = product->n;
		product->n = rows;
	}
	if (k != product->k)
		return operator_error(call, "%" PRId64 " columns do not fit %" PRId64 " rows",
				      product->k, k);
	return set_batch(call, product, a, b);
}

static int
infer_matmul(struct operator_call *call)
{
	struct product product;
	if (op_matmul_read(call, &product) != 0)
		return -1;
	int64_t dims[TENSOR_MAX_RANK + 2];
	uint32_t rank = product.batch_rank;
	memcpy(dims, product.batch, rank * sizeof(dims[0]));
	if (call->inputs[0].rank > 1)
		dims[rank++] = product.m;
	if (call->inputs[1].rank > 1)
		dims[rank++] = product.n;
	return operator_output(call, 0, call->inputs[0].data_type, rank, dims);
}

/* --- plain loops -------------------------------------------------------------------------------------------------- */

struct plain_product {
	struct product product;
	enum data_type data_type;
	int64_t batches;
	unsigned threads;
};

struct plain_run {
	const struct plain_product *plain;
	const struct operands *operands;
};

/* Matrix of an operand that belongs to batch `index` of the result. */
static int64_t
batch_offset(const struct product *product, const int64_t *dims, int64_t index)
{
	int64_t offset = 0;
	int64_t step = 1;
	for (uint32_t i = product->batch_rank; i-- > 0;) {
		int64_t at = index % product->batch[i];
		index /= product->batch[i];
		offset += dims[i] == 1 ? 0 : at * step;
		step *= dims[i];
	}
	return offset;
}

#define PLAIN_TYPES(X)                                                                             \
	X(FLOAT, float)                                                                            \
	X(DOUBLE, double)                                                                          \
	X(INT32, int32_t)                                                                          \
	X(UINT32, uint32_t)                                                                        \
	X(INT64, int64_t)                                                                          \
	X(UINT64, uint64_t)

/* One row of the result. */
#define PLAIN_ROW(N, type)                                                                         \
	static void plain_row_##N(const struct product *product, const type *a, const type *b,     \
				  type *c)                                                         \
	{                                                                                          \
		for (int64_t j = 0; j < product->n; j++)                                           \
			c[j] = 0;                                                                  \
		for (int64_t i = 0; i < product->k; i++)                                           \
			for (int64_t j = 0; j < product->n; j++)                                   \
				c[j] += a[i] * b[i * product->n + j];                              \
	}
PLAIN_TYPES(PLAIN_ROW)

/* Rows begin … end-1 of all matrices of the result. */
static void
run_plain_rows(void *context, int64_t begin, int64_t end)
{
	const struct plain_run *run = context;
	const struct product *product = &run->plain->product;
	for (int64_t row = begin; row < end; row++) {
		int64_t batch = row / product->m;
		int64_t a = (batch_offset(product, product->batch_a, batch) * product->m +
			     row % product->m) *
			    product->k;
		int64_t b =
			batch_offset(product, product->batch_b, batch) * product->k * product->n;
		switch (run->plain->data_type) {
#define X(N, type)                                                                                 \
	case DATA_TYPE_##N:                                                                        \
		plain_row_##N(product, (const type *)run->operands->inputs[0] + a,                 \
			      (const type *)run->operands->inputs[1] + b,                          \
			      (type *)run->operands->outputs[0] + row * product->n);               \
		break;
			PLAIN_TYPES(X)
#undef X
		default:
			break;
		}
	}
}

static int
run_plain(const void *state, const struct operands *operands)
{
	const struct plain_product *plain = state;
	struct plain_run run = { plain, operands };
	int64_t products = plain->product.n * plain->product.k;
	parallel_for(plain->threads, plain->batches * plain->product.m,
		     GRAIN_PRODUCTS / (products + 1) + 1, run_plain_rows, &run);
	return 0;
}

static int
prepare_plain(struct operator_call *call, const struct product *product)
{
	struct plain_product *plain = operator_state(call, sizeof(*plain));
	if (plain == NULL)
		return -1;
	*plain = (struct plain_product){ *product, call->inputs[0].data_type, 1, call->threads };
	for (uint32_t i = 0; i < product->batch_rank; i++)
		plain->batches *= product->batch[i];
	switch (plain->data_type) {
#define X(N, type) case DATA_TYPE_##N:
		PLAIN_TYPES(X)
#undef X
		call->kernel->run = run_plain;
		return 0;
	default:
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(plain->data_type));
	}
}

/* --- oneDNN ------------------------------------------------------------------------------------------------------- */

/* A matrix operand: batch dims, then rows and columns, which lie the other way round when transposed. */
static int
matrix_desc(const struct operator_call *call, const struct product *product, const int64_t *batch,
	    int64_t rows, int64_t columns, bool transposed, dnnl_memory_desc_t *desc)
{
	dnnl_dims_t dims;
	dnnl_dims_t strides;
	uint32_t rank = product->batch_rank;
	int64_t step = rows * columns;
	dims[rank] = rows;
	dims[rank + 1] = columns;
	strides[rank] = transposed ? 1 : columns;
	strides[rank + 1] = transposed ? rows : 1;
	for (uint32_t i = rank; i-- > 0;) {
		dims[i] = batch[i];
		strides[i] = step;
		step *= batch[i];
	}
	return onednn_check(
		call,
		dnnl_memory_desc_init_by_strides(desc, (int)rank + 2, dims, dnnl_f32, strides),
		"matrix");
}

/* B when it is constant: as it lies, and in whatever form is fastest or was chosen before. */
static int
choose_weights(const struct operator_call *call, const dnnl_memory_desc_t *plain,
	       dnnl_memory_desc_t *wanted)
{
	*wanted = *plain;
	if (call->constants[1] == NULL || plain->ndims != 2)
		return 0;
	if (operator_packed(call, 1, "matmul", wanted, sizeof(*wanted)))
		return 0;
	return onednn_check(call,
			    dnnl_memory_desc_init_by_tag(wanted, plain->ndims, plain->dims,
							 dnnl_f32, dnnl_format_tag_any),
			    "matrix");
}

static int
use_onednn(struct operator_call *call, const struct product *product, const struct post *posts,
	   uint32_t post_count)
{
	dnnl_memory_desc_t a, b, packed, c;
	dnnl_matmul_desc_t desc;
	dnnl_primitive_attr_t attr = NULL;
	struct onednn *onednn = NULL;
	if (matrix_desc(call, product, product->batch_a, product->m, product->k,
			product->transpose_a, &a) != 0 ||
	    matrix_desc(call, product, product->batch_b, product->k, product->n,
			product->transpose_b, &b) != 0 ||
	    matrix_desc(call, product, product->batch, product->m, product->n, false, &c) != 0 ||
	    choose_weights(call, &b, &packed) != 0 ||
	    onednn_check(call, dnnl_matmul_desc_init(&desc, &a, &packed, NULL, &c), "product") !=
		    0 ||
	    onednn_check(call, dnnl_primitive_attr_create(&attr), "attributes") != 0)
		return -1;
	if (onednn_check(call, dnnl_primitive_attr_set_output_scales(attr, 1, 0, &product->scale),
			 "scale") == 0 &&
	    onednn_posts(call, posts, post_count, &c, attr) == 0)
		onednn = onednn_begin(call, &desc, attr);
	dnnl_primitive_attr_destroy(attr);
	if (onednn == NULL)
		return -1;
	packed = *onednn_query(onednn, dnnl_query_weights_md);
	if (onednn_argument(call, DNNL_ARG_SRC, &a, ONEDNN_INPUT, 0) != 0 ||
	    onednn_argument(call, DNNL_ARG_WEIGHTS, &packed, ONEDNN_INPUT, 1) != 0 ||
	    onednn_argument(call, DNNL_ARG_DST, &c, ONEDNN_OUTPUT, 0) != 0 ||
	    onednn_post_arguments(call, posts, post_count, &c) != 0)
		return -1;
	if (call->constants[1] != NULL)
		return onednn_pack(call, 1, "matmul", &b, &packed);
	return 0;
}

void
op_matmul_collapse(struct product *product)
{
	for (uint32_t i = 0; i < product->batch_rank; i++)
		if (product->batch_b[i] != 1)
			return;
	for (uint32_t i = 0; i < product->batch_rank; i++)
		product->m *= product->batch_a[i];
	product->batch_rank = 0;
}

uint64_t
op_matmul_flops(const struct product *product)
{
	uint64_t flops = 2 * (uint64_t)product->m * (uint64_t)product->n * (uint64_t)product->k;
	for (uint32_t i = 0; i < product->batch_rank; i++)
		flops *= (uint64_t)product->batch[i];
	return flops;
}

/* Is a constant matrix to be read in panels: packed so, or fit for it and not packed otherwise? */
static bool
suits_panels(const struct operator_call *call, const struct product *product)
{
	dnnl_memory_desc_t other;
	if (call->constants[1] == NULL || product->batch_rank != 0 || product->transpose_a ||
	    product->scale != 1 || !panels_supported())
		return false;
	if (panels_packed(call, 1, product->n, product->k))
		return true;
	return product->m >= PANELS_M && product->n >= PANELS_N && product->k >= PANELS_K &&
	       !operator_packed(call, 1, "matmul", &other, sizeof(other));
}

/* By exec/panels.h. */
static int
use_panels(struct operator_call *call, const struct product *product, const struct post *posts,
	   uint32_t post_count)
{
	struct panels_form form = { .items = 1,
				    .m = product->m,
				    .n = product->n,
				    .k = product->k,
				    .b_row = product->transpose_b ? 1 : product->n,
				    .b_column = product->transpose_b ? product->k : 1,
				    .plain = true,
				    .bias = -1,
				    .posts = posts,
				    .post_count = post_count };
	return panels_prepare(call, &form);
}

static int
prepare_product(struct operator_call *call, struct product *product, const struct post *posts,
		uint32_t post_count)
{
	bool floats = call->inputs[0].data_type == DATA_TYPE_FLOAT && product->k != 0;
	op_matmul_collapse(product);
	if (floats && suits_panels(call, product))
		return use_panels(call, product, posts, post_count);
	int result = floats ? use_onednn(call, product, posts, post_count)
			    : prepare_plain(call, product);
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

/* --- Gemm --------------------------------------------------------------------------------------------------------- */

int
op_matmul_read_gemm(const struct operator_call *call, struct product *product)
{
	const struct tensor_type *a = &call->inputs[0];
	const struct tensor_type *b = &call->inputs[1];
	if (a->rank != 2 || b->rank != 2)
		return operator_error(call, "the operands are no matrices");
	*product = (struct product){
		.scale = 1,
		.transpose_a = node_int(call->node, "transA", 0) != 0,
		.transpose_b = node_int(call->node, "transB", 0) != 0,
	};
	product->m = a->dims[product->transpose_a ? 1 : 0];
	product->k = a->dims[product->transpose_a ? 0 : 1];
	product->n = b->dims[product->transpose_b ? 0 : 1];
	if (b->dims[product->transpose_b ? 1 : 0] != product->k)
		return operator_error(call, "%" PRId64 " columns do not fit the second matrix",
				      product->k);
	return 0;
}

static int
infer_gemm(struct operator_call *call)
{
	struct product product = { 0 };
	if (op_matmul_read_gemm(call, &product) != 0)
		return -1;
	int64_t dims[] = { product.m, product.n };
	uint32_t rank = 2;
	if (operator_has_input(call, 2) &&
	    (operator_broadcast(call, &rank, dims, &call->inputs[2]) != 0 || rank != 2 ||
	     dims[0] != product.m || dims[1] != product.n))
		return operator_error(call, "C does not broadcast to the product");
	return operator_output(call, 0, call->inputs[0].data_type, 2, dims);
}

uint32_t
op_matmul_gemm_posts(const struct operator_call *call, struct post *posts, float *scale)
{
	float alpha = node_float(call->node, "alpha", 1);
	float beta = node_float(call->node, "beta", 1);
	bool add = operator_has_input(call, 2) && beta != 0;
	uint32_t count = 0;
	*scale = add ? alpha / beta : alpha;
	if (add)
		posts[count++] = (struct post){ .kind = POST_ADD, .input = 2 };
	if (add && beta != 1)
		posts[count++] = (struct post){ .kind = POST_LINEAR, .alpha = beta };
	return count;
}

static int
prepare_gemm(struct operator_call *call)
{
	struct product product;
	uint32_t own = call->node->post_count;
	struct post *posts = arena_calloc(call->arena, own + OP_MATMUL_GEMM_POSTS, sizeof(*posts));
	if (posts == NULL || op_matmul_read_gemm(call, &product) != 0)
		return -1;
	if (call->inputs[0].data_type != DATA_TYPE_FLOAT || product.k == 0)
		return operator_unimplemented(call, "element type %s or no columns",
					      data_type_name(call->inputs[0].data_type));
	uint32_t count = op_matmul_gemm_posts(call, posts, &product.scale);
	if (own != 0)
		memcpy(posts + count, call->node->posts, own * sizeof(*posts));
	return prepare_product(call, &product, posts, count + own);
}

static const struct op matmul_operators[] = {
	{ .type = "MatMul",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_POSTS,
	  .infer = infer_matmul,
	  .prepare = prepare_matmul },
	{ .domain = "tidepool",
	  .type = "MatMulTransposed",
	  .since = 1,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_POSTS,
	  .infer = infer_matmul,
	  .prepare = prepare_matmul },
	{ .type = "Gemm",
	  .since = 7,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_POSTS,
	  .infer = infer_gemm,
	  .prepare = prepare_gemm },
};

const struct operator_family operator_family_matmul = {
	matmul_operators,
	sizeof(matmul_operators) / sizeof(matmul_operators[0]),
};
