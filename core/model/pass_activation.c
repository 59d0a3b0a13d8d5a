/*
 * Activations that models spell out as sums and products: GELU in both forms, Swish, HardSwish. A product is looked at as
 * one scalar and a list of factors, in whatever order and association it was written.
 */
#include <math.h>
#include <string.h>

#include "model/match.h"
#include "model/pass.h"

enum {
	FACTORS_MAX = 4,
	/* Products within products that are looked into. */
	DEPTH_MAX = 6,
};

/* Scalars may be rounded to 16 bits. */
static const float TOLERANCE = 1e-3f;

struct product {
	float scalar;
	uint32_t count;
	int32_t factors[FACTORS_MAX];
};

static bool
is_near(float x, float wanted)
{
	return fabsf(x - wanted) <= TOLERANCE * fabsf(wanted);
}

static bool
add_factor(struct product *product, int32_t value)
{
	if (product->count == FACTORS_MAX)
		return false;
	product->factors[product->count++] = value;
	return true;
}

/* Multiply product by the value, looking into it. False when there are too many factors. */
static bool
multiply(const struct match *match, int32_t value, struct product *product, int depth)
{
	float scalar;
	uint32_t other;
	int32_t producer = match->producers[value];
	const struct node *node = producer >= 0 ? &match->graph->nodes[producer] : NULL;
	if (node == NULL || node->op_type == NULL || depth == DEPTH_MAX)
		return add_factor(product, value);
	if (match_with_scalar(match, node, "Mul", NAN, &scalar, &other)) {
		product->scalar *= scalar;
		return multiply(match, node->inputs[other], product, depth + 1);
	}
	if (match_with_scalar(match, node, "Div", NAN, &scalar, &other) && other == 0) {
		product->scalar /= scalar;
		return multiply(match, node->inputs[0], product, depth + 1);
	}
	if (match_is(node, "Mul"))
		return multiply(match, node->inputs[0], product, depth + 1) &&
		       multiply(match, node->inputs[1], product, depth + 1);
	if (match_is(node, "Pow") && match_scalar(match, node, 1, &scalar) &&
	    (scalar == 2 || scalar == 3)) {
		for (int i = 0; i < (int)scalar; i++)
			if (!add_factor(product, node->inputs[0]))
				return false;
		return true;
	}
	return add_factor(product, value);
}

/* Is the value scalar * x^power? */
static bool
is_power(const struct match *match, int32_t value, float scalar, int32_t x, uint32_t power)
{
	struct product product = { .scalar = 1 };
	if (!multiply(match, value, &product, 0) || product.count != power ||
	    !is_near(product.scalar, scalar))
		return false;
	for (uint32_t i = 0; i < power; i++)
		if (product.factors[i] != x)
			return false;
	return true;
}

static const struct node *
producer_of(const struct match *match, int32_t value, const char *op_type)
{
	int32_t producer = match->producers[value];
	if (producer < 0 || !match_is(&match->graph->nodes[producer], op_type))
		return NULL;
	return &match->graph->nodes[producer];
}

/* Is the value x + 0.044715 x^3? */
static bool
is_cubic(const struct match *match, int32_t value, int32_t x)
{
	const struct node *add = producer_of(match, value, "Add");
	for (uint32_t i = 0; i < 2 && add != NULL; i++)
		if (add->inputs[i] == x && is_power(match, add->inputs[1 - i], 0.044715f, x, 3))
			return true;
	return false;
}

/* Is the value 1 + function(…)? Then what the function is of; -1 otherwise. */
static int32_t
one_plus(const struct match *match, int32_t value, const char *function)
{
	uint32_t other;
	const struct node *add = producer_of(match, value, "Add");
	if (add == NULL || !match_with_scalar(match, add, "Add", 1, NULL, &other))
		return -1;
	const struct node *inner = producer_of(match, add->inputs[other], function);
	return inner != NULL ? inner->inputs[0] : -1;
}

/* 0.5 x (1 + erf(x / sqrt 2)) */
static bool
is_gelu_erf(const struct match *match, float scalar, int32_t x, int32_t gate)
{
	int32_t inner = one_plus(match, gate, "Erf");
	return is_near(scalar, 0.5f) && inner >= 0 && is_power(match, inner, 0.70710678f, x, 1);
}

/* 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
static bool
is_gelu_tanh(const struct match *match, float scalar, int32_t x, int32_t gate)
{
	struct product product = { .scalar = 1 };
	int32_t inner = one_plus(match, gate, "Tanh");
	return is_near(scalar, 0.5f) && inner >= 0 && multiply(match, inner, &product, 0) &&
	       product.count == 1 && is_near(product.scalar, 0.79788456f) &&
	       is_cubic(match, product.factors[0], x);
}

/* x sigmoid(alpha x) */
static bool
is_swish(const struct match *match, float scalar, int32_t x, int32_t gate, float *alpha)
{
	struct product product = { .scalar = 1 };
	const struct node *sigmoid = producer_of(match, gate, "Sigmoid");
	if (sigmoid == NULL || scalar != 1 || !multiply(match, sigmoid->inputs[0], &product, 0) ||
	    product.count != 1 || product.factors[0] != x)
		return false;
	*alpha = product.scalar;
	return true;
}

/* x hard_sigmoid(x), or x clip(x + 3, 0, 6) / 6 */
static bool
is_hard_swish(const struct match *match, float scalar, int32_t x, int32_t gate)
{
	uint32_t other;
	const struct node *hard = producer_of(match, gate, "HardSigmoid");
	if (hard != NULL)
		return scalar == 1 && hard->inputs[0] == x &&
		       is_near(node_float(hard, "alpha", 0.2f), 1.0f / 6) &&
		       is_near(node_float(hard, "beta", 0.5f), 0.5f);
	const struct node *clip = producer_of(match, gate, "Clip");
	if (clip == NULL || !is_near(scalar, 1.0f / 6))
		return false;
	float low = node_float(clip, "min", -INFINITY);
	float high = node_float(clip, "max", INFINITY);
	match_scalar(match, clip, 1, &low);
	match_scalar(match, clip, 2, &high);
	const struct node *add = producer_of(match, clip->inputs[0], "Add");
	return low == 0 && high == 6 && add != NULL &&
	       match_with_scalar(match, add, "Add", 3, NULL, &other) && add->inputs[other] == x;
}

/* Make the node that operator, of x. */
static int
become(struct graph *graph, struct node *node, const char *op_type, int opset, int32_t x,
       const struct attribute *attribute)
{
	int32_t *inputs = arena_alloc(graph->arena, sizeof(inputs[0]));
	struct attribute *attributes = arena_alloc(graph->arena, sizeof(*attributes));
	if (inputs == NULL || attributes == NULL)
		return -1;
	inputs[0] = x;
	node->op_type = op_type;
	node->opset = opset;
	node->inputs = inputs;
	node->input_count = 1;
	node->attributes = attributes;
	node->attribute_count = attribute != NULL;
	if (attribute != NULL)
		*attributes = *attribute;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

/* Try x and gate in these roles. 1: the node was rewritten; 0: it was not; -1: error. */
static int
rewrite(const struct match *match, struct node *node, float scalar, int32_t x, int32_t gate)
{
	struct graph *graph = match->graph;
	struct attribute tanh = { .name = "approximate", .kind = ATTRIBUTE_STRING };
	struct attribute alpha = { .name = "alpha", .kind = ATTRIBUTE_FLOAT };
	int result = 0;
	tanh.as.s = "tanh";
	if (is_gelu_erf(match, scalar, x, gate))
		result = become(graph, node, "Gelu", 20, x, NULL);
	else if (is_gelu_tanh(match, scalar, x, gate))
		result = become(graph, node, "Gelu", 20, x, &tanh);
	else if (is_swish(match, scalar, x, gate, &alpha.as.f))
		result = become(graph, node, "Swish", 24, x, &alpha);
	else if (is_hard_swish(match, scalar, x, gate))
		result = become(graph, node, "HardSwish", 14, x, NULL);
	else
		return 0;
	return result == 0 ? 1 : -1;
}

int
pass_activation(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		struct product product = { .scalar = 1 };
		if ((!match_is(node, "Mul") && !match_is(node, "Div")) ||
		    !multiply(&match, node->outputs[0], &product, 0) || product.count != 2)
			continue;
		int done = rewrite(&match, node, product.scalar, product.factors[0],
				   product.factors[1]);
		if (done == 0)
			done = rewrite(&match, node, product.scalar, product.factors[1],
				       product.factors[0]);
		if (done < 0)
			return -1;
	}
	return 0;
}
