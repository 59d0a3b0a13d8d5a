/* What ONNX Runtime's optimiser makes of several operators, taken apart again: our own passes fuse what suits our kernels. */
#include <string.h>

#include "model/expand.h"

/* --- activations ---------------------------------------------------------------------------------------------------- */

/* The element of a list of floats of the node, or the fallback. */
static float
parameter(const struct expand *expand, const char *list, uint32_t index, float fallback)
{
	const struct attribute *attribute = node_attribute(&expand->node, list);
	return attribute != NULL && attribute->kind == ATTRIBUTE_FLOATS && index < attribute->count
		       ? attribute->as.floats[index]
		       : fallback;
}

static int32_t
clip(struct expand *expand, int32_t value, float low, float high)
{
	int32_t least = EXPAND(expand, "CastLike", expand_scalar(expand, low), value);
	int32_t most = EXPAND(expand, "CastLike", expand_scalar(expand, high), value);
	return EXPAND(expand, "Clip", value, least, most);
}

/* The function that attribute `activation` names, with its parameters, of value. */
static int32_t
activate(struct expand *expand, int32_t value, float alpha, float beta)
{
	static const char *const plain[] = { "Relu", "Tanh", "Sigmoid" };
	const char *name = node_string(&expand->node, "activation", "");
	if (name[0] == '\0')
		return value;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(name, plain[i]) == 0)
			return EXPAND(expand, plain[i], value);
	if (strcmp(name, "Clip") == 0)
		return clip(expand, value, alpha, beta);
	if (strcmp(name, "LeakyRelu") != 0 && strcmp(name, "HardSigmoid") != 0) {
		expand_refuse(expand, "that activation");
		return -1;
	}
	int32_t activated = EXPAND(expand, name, value);
	expand_float(expand, "alpha", alpha);
	if (strcmp(name, "HardSigmoid") == 0)
		expand_float(expand, "beta", beta);
	return activated;
}

/* activation(Conv(x, w, b) + z) */
static void
fused_conv(struct expand *expand)
{
	int32_t y = EXPAND(expand, "Conv", expand_input(expand, 0), expand_input(expand, 1),
			   expand_input(expand, 2));
	expand_inherit(expand);
	if (expand_input(expand, 3) >= 0)
		y = EXPAND(expand, "Add", y, expand_input(expand, 3));
	expand_give(expand, 0,
		    activate(expand, y, parameter(expand, "activation_params", 0, 0.01f),
			     parameter(expand, "activation_params", 1, 0)));
}

static void
fused_gemm(struct expand *expand)
{
	int32_t y = EXPAND(expand, "Gemm", expand_input(expand, 0), expand_input(expand, 1),
			   expand_input(expand, 2));
	expand_inherit(expand);
	expand_give(expand, 0,
		    activate(expand, y, node_float(&expand->node, "activation_alpha", 0.01f),
			     node_float(&expand->node, "activation_beta", 0)));
}

static void
gelu(struct expand *expand)
{
	expand_give(expand, 0, EXPAND(expand, "Gelu", expand_input(expand, 0)));
}

static void
bias_gelu(struct expand *expand)
{
	int32_t sum = EXPAND(expand, "Add", expand_input(expand, 0), expand_input(expand, 1));
	expand_give(expand, 0, EXPAND(expand, "Gelu", sum));
}

static void
fast_gelu(struct expand *expand)
{
	int32_t x = expand_input(expand, 0);
	if (expand_input(expand, 1) >= 0)
		x = EXPAND(expand, "Add", x, expand_input(expand, 1));
	int32_t y = EXPAND(expand, "Gelu", x);
	expand_text(expand, "approximate", "tanh");
	expand_give(expand, 0, y);
}

static void
quick_gelu(struct expand *expand)
{
	int32_t x = expand_input(expand, 0);
	int32_t scaled = expand_scale(expand, x, node_float(&expand->node, "alpha", 1.702f));
	expand_give(expand, 0, EXPAND(expand, "Mul", x, EXPAND(expand, "Sigmoid", scaled)));
}

static void
bias_add(struct expand *expand)
{
	int32_t sum = EXPAND(expand, "Add", expand_input(expand, 0), expand_input(expand, 1));
	expand_give(expand, 0, EXPAND(expand, "Add", sum, expand_input(expand, 2)));
}

/* --- products ------------------------------------------------------------------------------------------------------- */

/* The last two dimensions change places, however many there are. */
static int32_t
turn(struct expand *expand, int32_t value)
{
	int32_t turned = EXPAND(expand, "Einsum", value);
	expand_text(expand, "equation", "...ij->...ji");
	return turned;
}

static void
fused_matmul(struct expand *expand)
{
	const struct node *node = &expand->node;
	int32_t a = expand_input(expand, 0), b = expand_input(expand, 1);
	if (node_int(node, "transBatchA", 0) != 0 || node_int(node, "transBatchB", 0) != 0)
		expand_refuse(expand, "a transposed batch");
	if (node_int(node, "transA", 0) != 0)
		a = turn(expand, a);
	if (node_int(node, "transB", 0) != 0)
		b = turn(expand, b);
	int32_t y = EXPAND(expand, "MatMul", a, b);
	float alpha = node_float(node, "alpha", 1);
	expand_give(expand, 0, alpha == 1 ? y : expand_scale(expand, y, alpha));
}

/* --- normalisation -------------------------------------------------------------------------------------------------- */

/* Outputs 1 and 2 are what training keeps. */
static void
refuse_statistics(struct expand *expand)
{
	if (expand_wants(expand, 1) || expand_wants(expand, 2))
		expand_refuse(expand, "an output of statistics");
}

/* Normalise value over its last dimension. bias -1: by its root mean square alone, where there is no mean either. */
static int32_t
normalize(struct expand *expand, const char *op_type, int32_t value, int32_t scale, int32_t bias)
{
	int32_t y = EXPAND(expand, op_type, value, scale, bias);
	expand_int(expand, "axis", -1);
	expand_float(expand, "epsilon", node_float(&expand->node, "epsilon", 1e-12f));
	return y;
}

/* The sum of input and skip, and of the bias that is input `bias`. */
static int32_t
skip_sum(struct expand *expand, uint32_t bias)
{
	int32_t sum = EXPAND(expand, "Add", expand_input(expand, 0), expand_input(expand, 1));
	if (expand_input(expand, bias) >= 0)
		sum = EXPAND(expand, "Add", sum, expand_input(expand, bias));
	refuse_statistics(expand);
	return sum;
}

static void
skip_layer_normalization(struct expand *expand)
{
	int32_t sum = skip_sum(expand, 4);
	expand_give(expand, 0,
		    normalize(expand, "LayerNormalization", sum, expand_input(expand, 2),
			      expand_input(expand, 3)));
	expand_give(expand, 3, sum);
}

static void
skip_simplified(struct expand *expand)
{
	int32_t sum = skip_sum(expand, 3);
	expand_give(expand, 0,
		    normalize(expand, "RMSNormalization", sum, expand_input(expand, 2), -1));
	expand_give(expand, 3, sum);
}

static void
simplified(struct expand *expand)
{
	refuse_statistics(expand);
	int32_t y = EXPAND(expand, "RMSNormalization", expand_input(expand, 0),
			   expand_input(expand, 1));
	expand_inherit(expand);
	expand_give(expand, 0, y);
}

/* The rows of the table of positions that the tokens need: those of position_ids, or the first ones. */
static int32_t
positions(struct expand *expand, int32_t tokens, int32_t table, int32_t ids)
{
	if (ids >= 0)
		return EXPAND(expand, "Gather", table, ids);
	int32_t length = EXPAND(expand, "Shape", tokens);
	expand_int(expand, "start", 1);
	expand_int(expand, "end", 2);
	return EXPAND(expand, "Slice", table, EXPAND_NUMBERS(expand, 0), length,
		      EXPAND_NUMBERS(expand, 0));
}

/* How many of each row of the mask are set; 0 without a mask. */
static int32_t
count_mask(struct expand *expand, int32_t tokens, int32_t mask)
{
	int32_t set = mask;
	if (mask < 0)
		set = EXPAND(expand, "Sub", tokens, tokens);
	int32_t sum = EXPAND(expand, "ReduceSum", set, EXPAND_NUMBERS(expand, 1));
	expand_int(expand, "keepdims", 0);
	return sum;
}

/*
 * Inputs: tokens, segments, tables of words, positions and segments, scale, bias, mask, positions' indices. Outputs: the
 * normalised sum, the lengths, the sum.
 */
static void
embed_layer_normalization(struct expand *expand)
{
	int32_t tokens = expand_input(expand, 0), segments = expand_input(expand, 1);
	int32_t sum = EXPAND(expand, "Gather", expand_input(expand, 2), tokens);
	sum = EXPAND(expand, "Add", sum,
		     positions(expand, tokens, expand_input(expand, 3), expand_input(expand, 8)));
	if (segments >= 0)
		sum = EXPAND(expand, "Add", sum,
			     EXPAND(expand, "Gather", expand_input(expand, 4), segments));
	expand_give(expand, 0,
		    normalize(expand, "LayerNormalization", sum, expand_input(expand, 5),
			      expand_input(expand, 6)));
	if (expand_wants(expand, 1))
		expand_give(expand, 1, count_mask(expand, tokens, expand_input(expand, 7)));
	expand_give(expand, 2, sum);
}

/* --- the list ------------------------------------------------------------------------------------------------------- */

#define MICROSOFT(name, function)                                                                  \
	{                                                                                          \
		"com.microsoft", name, 1, function                                                 \
	}

static const struct expansion expansions[] = {
	MICROSOFT("BiasAdd", bias_add),
	MICROSOFT("BiasGelu", bias_gelu),
	MICROSOFT("EmbedLayerNormalization", embed_layer_normalization),
	MICROSOFT("FastGelu", fast_gelu),
	MICROSOFT("FusedConv", fused_conv),
	MICROSOFT("FusedGemm", fused_gemm),
	MICROSOFT("FusedMatMul", fused_matmul),
	MICROSOFT("Gelu", gelu),
	MICROSOFT("QuickGelu", quick_gelu),
	MICROSOFT("SkipLayerNormalization", skip_layer_normalization),
	MICROSOFT("SkipSimplifiedLayerNormalization", skip_simplified),
	MICROSOFT("TransposeMatMul", fused_matmul),
	/* In ONNX's domain, though ONNX has none of that name. */
	{ "", "SimplifiedLayerNormalization", 1, simplified },
};

const struct expansion_list expand_fused = {
	expansions,
	sizeof(expansions) / sizeof(expansions[0]),
};
