/*
 * Operators on integers that stand for numbers, as ONNX Runtime's quantizer writes them: taken apart into what they mean,
 * numbers again, the operator, integers. ONNX Runtime computes most of them so, too; results differ by one step at most.
 */
#include <string.h>

#include "model/expand.h"

static int32_t
dequantize(struct expand *expand, int32_t value, int32_t scale, int32_t zero)
{
	return EXPAND(expand, "DequantizeLinear", value, scale, zero);
}

/* Inputs first, first + 1 and first + 2: integers, scale, zero. */
static int32_t
dequantized(struct expand *expand, uint32_t first)
{
	return dequantize(expand, expand_input(expand, first), expand_input(expand, first + 1),
			  expand_input(expand, first + 2));
}

/* Value as integers by the scale and the zero that are inputs `scale` and scale + 1: output 0. */
static void
give_quantized(struct expand *expand, int32_t value, uint32_t scale)
{
	expand_give(expand, 0,
		    EXPAND(expand, "QuantizeLinear", value, expand_input(expand, scale),
			   expand_input(expand, scale + 1)));
}

static void
binary(struct expand *expand, const char *op_type)
{
	give_quantized(expand,
		       EXPAND(expand, op_type, dequantized(expand, 0), dequantized(expand, 3)), 6);
}

static void
qlinear_add(struct expand *expand)
{
	binary(expand, "Add");
}

static void
qlinear_mul(struct expand *expand)
{
	binary(expand, "Mul");
}

static void
unary(struct expand *expand, const char *op_type)
{
	int32_t y = EXPAND(expand, op_type, dequantized(expand, 0));
	expand_inherit(expand);
	give_quantized(expand, y, 3);
}

static void
qlinear_sigmoid(struct expand *expand)
{
	unary(expand, "Sigmoid");
}

static void
qlinear_leaky_relu(struct expand *expand)
{
	unary(expand, "LeakyRelu");
}

static void
qlinear_softmax(struct expand *expand)
{
	unary(expand, "Softmax");
}

static void
refuse_channels_last(struct expand *expand)
{
	if (node_int(&expand->node, "channels_last", 0) != 0)
		expand_refuse(expand, "channels_last");
}

static void
qlinear_average_pool(struct expand *expand)
{
	refuse_channels_last(expand);
	unary(expand, "AveragePool");
}

static void
qlinear_global_average_pool(struct expand *expand)
{
	refuse_channels_last(expand);
	unary(expand, "GlobalAveragePool");
}

static void
qlinear_reduce_mean(struct expand *expand)
{
	const struct attribute *axes = node_attribute(&expand->node, "axes");
	int32_t over = axes != NULL && axes->kind == ATTRIBUTE_INTS
			       ? expand_numbers(expand, axes->count, axes->as.ints)
			       : -1;
	int32_t y = EXPAND(expand, "ReduceMean", dequantized(expand, 0), over);
	expand_int(expand, "keepdims", node_int(&expand->node, "keepdims", 1));
	give_quantized(expand, y, 3);
}

/* Inputs: scale and zero of the output, then three a part. */
static void
qlinear_concat(struct expand *expand)
{
	uint32_t parts = expand->node.input_count / 3;
	int32_t *values = arena_calloc(expand->graph->arena, parts, sizeof(values[0]));
	if (values == NULL) {
		expand->failed = true;
		return;
	}
	for (uint32_t i = 0; i < parts; i++)
		values[i] = dequantized(expand, 2 + 3 * i);
	if (parts == 0 || expand->node.input_count != 2 + 3 * parts)
		expand_refuse(expand, "that number of inputs");
	int32_t y = expand_op(expand, "Concat", parts, values);
	expand_int(expand, "axis", node_int(&expand->node, "axis", 0));
	give_quantized(expand, y, 0);
}

/* Inputs: A and B with scale and zero each, C, which is summed with their scales multiplied; scale and zero of the output. */
static void
qgemm(struct expand *expand)
{
	const struct node *node = &expand->node;
	int32_t sum = expand_input(expand, 6), y;
	if (sum >= 0) {
		int32_t scale =
			EXPAND(expand, "Mul", expand_input(expand, 1), expand_input(expand, 4));
		sum = EXPAND(expand, "Mul", EXPAND(expand, "CastLike", sum, scale), scale);
	}
	y = EXPAND(expand, "Gemm", dequantized(expand, 0), dequantized(expand, 3), sum);
	expand_int(expand, "transA", node_int(node, "transA", 0));
	expand_int(expand, "transB", node_int(node, "transB", 0));
	expand_float(expand, "alpha", node_float(node, "alpha", 1));
	if (expand_input(expand, 7) >= 0)
		give_quantized(expand, y, 7);
	else
		expand_give(expand, 0, y);
}

/* (A - a_zero)(B - b_zero) in integers, times scale, plus the bias, if any. */
static void
give_product(struct expand *expand, int32_t a, int32_t a_zero, int32_t b_zero, int32_t scale,
	     int32_t bias)
{
	int32_t y = EXPAND(expand, "MatMulInteger", a, expand_input(expand, 1), a_zero, b_zero);
	y = EXPAND(expand, "Mul", EXPAND(expand, "CastLike", y, scale), scale);
	expand_give(expand, 0, bias >= 0 ? EXPAND(expand, "Add", y, bias) : y);
}

/* Inputs: A, B, their scales, their zeros, bias. */
static void
matmul_integer_to_float(struct expand *expand)
{
	int32_t scale = EXPAND(expand, "Mul", expand_input(expand, 2), expand_input(expand, 3));
	give_product(expand, expand_input(expand, 0), expand_input(expand, 4),
		     expand_input(expand, 5), scale, expand_input(expand, 6));
}

/* Inputs: A, as floats; B, its scale and zero; bias. */
static void
dynamic_quantize_matmul(struct expand *expand)
{
	int32_t a = EXPAND(expand, "DynamicQuantizeLinear", expand_input(expand, 0));
	int32_t a_scale = expand_more(expand), a_zero = expand_more(expand);
	int32_t scale = EXPAND(expand, "Mul", a_scale, expand_input(expand, 2));
	give_product(expand, a, a_zero, expand_input(expand, 3), scale, expand_input(expand, 4));
}

static void
same(struct expand *expand)
{
	int32_t y = EXPAND(expand, expand->node.op_type, expand_input(expand, 0),
			   expand_input(expand, 1), expand_input(expand, 2));
	expand_inherit(expand);
	expand_give(expand, 0, y);
}

#define MICROSOFT(name, function)                                                                  \
	{                                                                                          \
		"com.microsoft", name, 1, function                                                 \
	}

static const struct expansion expansions[] = {
	MICROSOFT("DequantizeLinear", same),
	MICROSOFT("DynamicQuantizeMatMul", dynamic_quantize_matmul),
	MICROSOFT("MatMulIntegerToFloat", matmul_integer_to_float),
	MICROSOFT("QGemm", qgemm),
	MICROSOFT("QLinearAdd", qlinear_add),
	MICROSOFT("QLinearAveragePool", qlinear_average_pool),
	MICROSOFT("QLinearConcat", qlinear_concat),
	MICROSOFT("QLinearGlobalAveragePool", qlinear_global_average_pool),
	MICROSOFT("QLinearLeakyRelu", qlinear_leaky_relu),
	MICROSOFT("QLinearMul", qlinear_mul),
	MICROSOFT("QLinearReduceMean", qlinear_reduce_mean),
	MICROSOFT("QLinearSigmoid", qlinear_sigmoid),
	MICROSOFT("QLinearSoftmax", qlinear_softmax),
	MICROSOFT("QuantizeLinear", same),
};

const struct expansion_list expand_quantized = {
	expansions,
	sizeof(expansions) / sizeof(expansions[0]),
};
