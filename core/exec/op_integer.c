/*
 * Matrix products and convolutions of 8-bit integers: MatMulInteger, ConvInteger give 32-bit sums, QLinearMatMul and
 * QLinearConv round them to 8 bits again. Operands are widened, their zero points taken off, before they are multiplied.
 */
#include "exec/op_integer.h"

#include <inttypes.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/cast.h"
#include "exec/parallel.h"
#include "exec/quantize.h"
#include "exec/target.h"

enum {
	GRAIN_PRODUCTS = 65536,
};

/* Where an operator has scale and zero point of its operands. */
struct places {
	uint8_t b;
	uint8_t a_scale;
	uint8_t a_zero;
	uint8_t b_scale;
	uint8_t b_zero;
	uint8_t y_scale;
	uint8_t y_zero;
	uint8_t bias;
};

static const struct places integer_places = {
	1, OP_INTEGER_NONE, 2, OP_INTEGER_NONE, 3, OP_INTEGER_NONE, OP_INTEGER_NONE, OP_INTEGER_NONE
};
static const struct places linear_places = { 3, 1, 2, 4, 5, 6, 7, 8 };

/* --- reading operands --------------------------------------------------------------------------------------------- */

/* The operand's elements less their zero points; each run of `inner` elements has one, in turns. */
static void
widen(const struct side *side, const struct operands *operands, uint8_t input, int64_t inner,
      int32_t *out)
{
	const void *in = operands->inputs[input];
	cast_run(DATA_TYPE_INT32, out, side->data_type, in, side->elements);
	if (side->zero == OP_INTEGER_NONE)
		return;
	for (int64_t i = 0; i < side->elements; i += inner) {
		int32_t zero = (int32_t)cast_get(side->data_type, operands->inputs[side->zero],
						 i / inner % side->zeros);
		for (int64_t k = 0; k < inner && zero != 0; k++)
			out[i + k] -= zero;
	}
}

static double
scale_of(const struct side *side, const struct operands *operands, int64_t i)
{
	return cast_get(side->scale_type, operands->inputs[side->scale], i % side->scales);
}

/* n sums of one output row; row and column number choose a's and b's scales. */
static void
store(const struct integer *product, const struct operands *operands, const int32_t *sums,
      int64_t at, int64_t n, int64_t row, int64_t column, int64_t column_step)
{
	if (!product->rounds) {
		memcpy((int32_t *)operands->outputs[0] + at, sums, (size_t)n * sizeof(*sums));
		return;
	}
	double low, high, zero = 0;
	double a_scale = scale_of(&product->a, operands, row);
	double y_scale = scale_of(&product->y, operands, 0);
	if (product->y.zero != OP_INTEGER_NONE)
		zero = cast_get(product->y.data_type, operands->inputs[product->y.zero], 0);
	quantize_range(product->y.data_type, &low, &high);
	for (int64_t i = 0; i < n; i++) {
		double b_scale = scale_of(&product->b, operands, column + i * column_step);
		cast_set(product->y.data_type, operands->outputs[0], at + i,
			 quantize_number(sums[i] * (a_scale * b_scale / y_scale), zero, low, high));
	}
}

/* --- matrix products ---------------------------------------------------------------------------------------------- */

TARGET_CLONES static void
add_scaled(int32_t *sums, const int32_t *row, int32_t by, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		sums[i] += by * row[i];
}

struct product_run {
	const struct integer *product;
	const struct operands *operands;
	const int32_t *a;
	const int32_t *b;
	/* A row of n a thread would be racy to share: one for each row of the result. */
	int32_t *sums;
};

static void
matmul_rows(void *context, int64_t begin, int64_t end)
{
	const struct product_run *run = context;
	const struct integer *product = run->product;
	int64_t n = product->n, k = product->k;
	for (int64_t i = begin; i < end; i++) {
		int64_t batch = i / product->m, a_at = 0, b_at = 0;
		for (uint32_t d = product->batch_rank; d-- > 0;) {
			a_at += batch % product->dims[d] * product->a_steps[d];
			b_at += batch % product->dims[d] * product->b_steps[d];
			batch /= product->dims[d];
		}
		const int32_t *a = run->a + a_at + i % product->m * k;
		int32_t *sums = run->sums + i * n;
		memset(sums, 0, (size_t)n * sizeof(*sums));
		for (int64_t p = 0; p < k; p++)
			add_scaled(sums, run->b + b_at + p * n, a[p], n);
		store(product, run->operands, sums, i * n, n, i % product->m, 0, 1);
	}
}

int
op_integer_matmul(const void *state, const struct operands *operands)
{
	const struct integer *product = state;
	int32_t *a = operands->scratch;
	int32_t *b = a + product->a.elements;
	struct product_run run = { product, operands, a, b, b + product->b.elements };
	/* a's zero points go by rows, b's by columns. */
	widen(&product->a, operands, 0, product->a.zeros == 1 ? product->a.elements : product->k,
	      a);
	widen(&product->b, operands, product->rounds ? linear_places.b : integer_places.b,
	      product->b.zeros == 1 ? product->b.elements : 1, b);
	parallel_for(product->threads, product->batches * product->m,
		     GRAIN_PRODUCTS / (product->n * product->k) + 1, matmul_rows, &run);
	return 0;
}

static bool
is_linear(const struct operator_call *call)
{
	return strncmp(call->node->op_type, "QLinear", 7) == 0;
}

static const struct places *
places_of(const struct operator_call *call)
{
	return is_linear(call) ? &linear_places : &integer_places;
}

/* Fill in a side and check that its scale and zero point are one each or `many`. */
static int
read_side(const struct operator_call *call, const struct tensor_type *type, uint8_t scale,
	  uint8_t zero, int64_t many, struct side *side)
{
	bool has_zero = zero != OP_INTEGER_NONE && operator_has_input(call, zero);
	*side = (struct side){
		.data_type = type->data_type,
		.elements = tensor_elements(type),
		.zeros = has_zero ? tensor_elements(&call->inputs[zero]) : 1,
		.scales = scale != OP_INTEGER_NONE ? tensor_elements(&call->inputs[scale]) : 1,
		.scale_type =
			scale != OP_INTEGER_NONE ? call->inputs[scale].data_type : DATA_TYPE_FLOAT,
		.scale = scale,
		.zero = has_zero ? zero : OP_INTEGER_NONE,
	};
	if (type->data_type != DATA_TYPE_INT8 && type->data_type != DATA_TYPE_UINT8)
		return operator_unimplemented(call, "an operand of %s is not supported",
					      data_type_name(type->data_type));
	if (has_zero && call->inputs[zero].data_type != type->data_type)
		return operator_error(call, "a zero point is not of its operand's type");
	if ((side->zeros != 1 && side->zeros != many) ||
	    (side->scales != 1 && side->scales != many))
		return operator_error(call, "scales or zero points do not fit their operand");
	return 0;
}

/* Sides and result type; rows and columns are how many scales a and b may have. */
static int
read_sides(const struct operator_call *call, int64_t rows, int64_t columns, struct integer *product)
{
	const struct places *places = places_of(call);
	struct tensor_type result = { .data_type = DATA_TYPE_UINT8 };
	product->rounds = is_linear(call);
	product->bias = places->bias != OP_INTEGER_NONE && operator_has_input(call, places->bias)
				? places->bias
				: OP_INTEGER_NONE;
	product->threads = call->threads;
	if (read_side(call, &call->inputs[0], places->a_scale, places->a_zero, rows, &product->a) !=
		    0 ||
	    read_side(call, &call->inputs[places->b], places->b_scale, places->b_zero, columns,
		      &product->b) != 0)
		return -1;
	if (!product->rounds)
		return 0;
	result.data_type = call->inputs[places->y_zero].data_type;
	return read_side(call, &result, places->y_scale, places->y_zero, 1, &product->y);
}

static enum data_type
result_type(const struct operator_call *call)
{
	return is_linear(call) ? call->inputs[linear_places.y_zero].data_type : DATA_TYPE_INT32;
}

static int
infer_matmul(struct operator_call *call)
{
	const struct tensor_type *a = &call->inputs[0];
	const struct tensor_type *b = &call->inputs[places_of(call)->b];
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	if (a->rank < 2 || b->rank < 2 || a->dims[a->rank - 1] != b->dims[b->rank - 2])
		return operator_error(call, "the operands are no matrices that can be multiplied");
	struct tensor_type a_batch = *a, b_batch = *b;
	a_batch.rank -= 2;
	b_batch.rank -= 2;
	if (operator_broadcast(call, &rank, dims, &a_batch) != 0 ||
	    operator_broadcast(call, &rank, dims, &b_batch) != 0)
		return -1;
	dims[rank++] = a->dims[a->rank - 2];
	dims[rank++] = b->dims[b->rank - 1];
	return operator_output(call, 0, result_type(call), rank, dims);
}

/* Steps of an operand's batch dimensions for those of the result; 0 where it is repeated. */
static void
batch_steps(const struct tensor_type *type, const struct tensor_type *result, int64_t *steps)
{
	int64_t own[TENSOR_MAX_RANK];
	uint32_t lead = result->rank - type->rank;
	axis_steps(type, own);
	for (uint32_t i = 0; i + 2 < result->rank; i++)
		steps[i] = i < lead || type->dims[i - lead] == 1 ? 0 : own[i - lead];
}

static int
prepare_matmul(struct operator_call *call)
{
	const struct tensor_type *a = &call->inputs[0], *y = &call->outputs[0];
	const struct tensor_type *b = &call->inputs[places_of(call)->b];
	struct integer *product = operator_state(call, sizeof(*product));
	if (product == NULL)
		return -1;
	product->m = a->dims[a->rank - 2];
	product->k = a->dims[a->rank - 1];
	product->n = b->dims[b->rank - 1];
	product->batch_rank = y->rank - 2;
	product->batches = axis_from(y, product->batch_rank).outer;
	memcpy(product->dims, y->dims, sizeof(product->dims));
	batch_steps(a, y, product->a_steps);
	batch_steps(b, y, product->b_steps);
	if (read_sides(call, product->m, product->n, product) != 0)
		return -1;
	call->kernel->scratch_bytes =
		(size_t)(product->a.elements + product->b.elements + tensor_elements(y)) *
		sizeof(int32_t);
	call->kernel->run = op_integer_matmul;
	return 0;
}

/* --- convolutions ------------------------------------------------------------------------------------------------- */

/* sums[i] += by * in[i * stride]. */
TARGET_CLONES static void
add_strided(int32_t *sums, const int32_t *in, int32_t by, int64_t n, int64_t stride)
{
	if (stride == 1) {
		for (int64_t i = 0; i < n; i++)
			sums[i] += by * in[i];
		return;
	}
	for (int64_t i = 0; i < n; i++)
		sums[i] += by * in[i * stride];
}

/* One element of the kernel, at tap z, y, x, over one plane. */
static void
add_tap(const struct integer *product, const int32_t *in, int32_t by, const int64_t *tap,
	int32_t *sums)
{
	const struct window *window = &product->window;
	int64_t first[WINDOW_MAX_RANK], end[WINDOW_MAX_RANK], shift[WINDOW_MAX_RANK];
	for (uint32_t i = 0; i < WINDOW_MAX_RANK; i++) {
		/* Output positions whose input, position * stride + shift, is within the plane. */
		shift[i] = tap[i] * window->dilations[i] - window->begin[i];
		int64_t stride = window->strides[i];
		first[i] = shift[i] >= 0 ? 0 : (-shift[i] + stride - 1) / stride;
		end[i] = shift[i] >= product->in[i]
				 ? 0
				 : (product->in[i] - shift[i] + stride - 1) / stride;
		end[i] = end[i] < window->out[i] ? end[i] : window->out[i];
	}
	if (end[2] <= first[2])
		return;
	for (int64_t z = first[0]; z < end[0]; z++) {
		int64_t in_z = z * window->strides[0] + shift[0];
		for (int64_t y = first[1]; y < end[1]; y++) {
			int64_t in_y = y * window->strides[1] + shift[1];
			int64_t in_x = first[2] * window->strides[2] + shift[2];
			add_strided(sums + (z * window->out[1] + y) * window->out[2] + first[2],
				    in + (in_z * product->in[1] + in_y) * product->in[2] + in_x, by,
				    end[2] - first[2], window->strides[2]);
		}
	}
}

/* Items: planes of the result, batch by batch. */
static void
conv_planes(void *context, int64_t begin, int64_t end)
{
	const struct product_run *run = context;
	const struct integer *product = run->product;
	const int64_t *kernel = product->window.kernel;
	int64_t taps = kernel[0] * kernel[1] * kernel[2];
	int64_t in_size = product->in[0] * product->in[1] * product->in[2];
	for (int64_t i = begin; i < end; i++) {
		int64_t batch = i / product->m, channel = i % product->m;
		int64_t group = channel / (product->m / product->groups);
		int32_t *sums = run->sums + i * product->n;
		int32_t bias =
			product->bias == OP_INTEGER_NONE
				? 0
				: ((const int32_t *)run->operands->inputs[product->bias])[channel];
		for (int64_t k = 0; k < product->n; k++)
			sums[k] = bias;
		const int32_t *in =
			run->a + (batch * product->groups + group) * product->channels * in_size;
		const int32_t *weights = run->b + channel * product->channels * taps;
		for (int64_t k = 0; k < product->channels * taps; k++) {
			const int64_t tap[] = { k % taps / (kernel[1] * kernel[2]),
						k % taps / kernel[2] % kernel[1], k % kernel[2] };
			add_tap(product, in + k / taps * in_size, weights[k], tap, sums);
		}
		store(product, run->operands, sums, i * product->n, product->n, 0, channel, 0);
	}
}

int
op_integer_conv(const void *state, const struct operands *operands)
{
	const struct integer *product = state;
	int32_t *a = operands->scratch;
	int32_t *b = a + product->a.elements;
	struct product_run run = { product, operands, a, b, b + product->b.elements };
	widen(&product->a, operands, 0, product->a.elements, a);
	widen(&product->b, operands, product->rounds ? linear_places.b : integer_places.b,
	      product->b.elements / (product->b.zeros == 1 ? 1 : product->m), b);
	parallel_for(product->threads, product->batches * product->m,
		     GRAIN_PRODUCTS / (product->n * product->k) + 1, conv_planes, &run);
	return 0;
}

static int
infer_conv(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0];
	const struct tensor_type *w = &call->inputs[places_of(call)->b];
	int64_t dims[TENSOR_MAX_RANK], groups = node_int(call->node, "group", 1);
	struct window window;
	if (x->rank != w->rank || x->rank < 3 || groups < 1 || w->dims[0] % groups != 0 ||
	    x->dims[1] != w->dims[1] * groups)
		return operator_error(call, "the weights do not fit the input");
	if (window_read(call, w->dims + 2, &window) != 0)
		return -1;
	if (is_linear(call) && operator_has_input(call, linear_places.bias) &&
	    (call->inputs[linear_places.bias].data_type != DATA_TYPE_INT32 ||
	     tensor_elements(&call->inputs[linear_places.bias]) != w->dims[0]))
		return operator_error(call, "the bias must be %" PRId64 " INT32", w->dims[0]);
	dims[0] = x->dims[0];
	dims[1] = w->dims[0];
	memcpy(dims + 2, window.out, window.rank * sizeof(dims[0]));
	return operator_output(call, 0, result_type(call), x->rank, dims);
}

static int
prepare_conv(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0], *y = &call->outputs[0];
	const struct tensor_type *w = &call->inputs[places_of(call)->b];
	struct integer *product = operator_state(call, sizeof(*product));
	if (product == NULL || window_read(call, w->dims + 2, &product->window) != 0 ||
	    read_sides(call, 1, w->dims[0], product) != 0)
		return -1;
	window_spread(&product->window, x, product->in);
	product->batches = x->dims[0];
	product->m = w->dims[0];
	product->groups = node_int(call->node, "group", 1);
	product->channels = w->dims[1];
	product->n = axis_from(y, 2).dim;
	product->k = axis_from(w, 1).dim;
	call->kernel->scratch_bytes =
		(size_t)(product->a.elements + product->b.elements + tensor_elements(y)) *
		sizeof(int32_t);
	call->kernel->run = op_integer_conv;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, LEAST, MOST, RULE)                                                          \
	{ .type = NAME, .since = 10, .inputs = { LEAST, MOST }, .outputs = { 1, 1 },               \
	  .infer = infer_##RULE, .prepare = prepare_##RULE }
/* clang-format on */

static const struct op integer_operators[] = {
	OPERATOR("MatMulInteger", 2, 4, matmul),
	OPERATOR("QLinearMatMul", 8, 8, matmul),
	OPERATOR("ConvInteger", 2, 4, conv),
	OPERATOR("QLinearConv", 8, 9, conv),
};

const struct operator_family operator_family_integer = {
	integer_operators,
	sizeof(integer_operators) / sizeof(integer_operators[0]),
};
