/* Layer normalisation over the last dimension, as models spell it out: (x - mean) / sqrt(variance + epsilon) * scale + bias. */
#include <math.h>
#include <string.h>

#include "model/match.h"
#include "model/pass.h"

/* Does the node reduce the last dimension of its input, and keep it as 1? */
static bool
reduces_last(const struct match *match, const struct node *node)
{
	const struct value *values = match->graph->values;
	uint32_t count;
	const int64_t *axes = node_ints(node, "axes", &count);
	if (node->input_count > 1 && node->inputs[1] >= 0) {
		const struct constant *constant = values[node->inputs[1]].constant;
		if (constant == NULL || constant->type.data_type != DATA_TYPE_INT64)
			return false;
		count = (uint32_t)tensor_elements(&constant->type);
		axes = constant->data;
	}
	int64_t rank = values[node->inputs[0]].type.rank;
	return count == 1 && (axes[0] == -1 || axes[0] == rank - 1) &&
	       node_int(node, "keepdims", 1) != 0;
}

/* The value that `centered` is minus its mean over the last dimension; -1 when it is not that. */
static int32_t
original_of(const struct match *match, const struct node *centered)
{
	const struct node *mean = match_producer(match, centered, 1, "ReduceMean");
	if (mean == NULL || mean->inputs[0] != centered->inputs[0] || !reduces_last(match, mean))
		return -1;
	return centered->inputs[0];
}

/* Is the node (a Sqrt) the root of the mean square of `centered`, plus *epsilon? */
static bool
is_deviation(const struct match *match, const struct node *root, int32_t centered, float *epsilon)
{
	uint32_t other;
	float power;
	const struct node *add = match_producer(match, root, 0, "Add");
	if (add == NULL || !match_with_scalar(match, add, "Add", NAN, epsilon, &other))
		return false;
	const struct node *mean = match_producer(match, add, other, "ReduceMean");
	if (mean == NULL || !reduces_last(match, mean))
		return false;
	const struct node *square = match_producer(match, mean, 0, "Pow");
	if (square != NULL)
		return square->inputs[0] == centered && match_scalar(match, square, 1, &power) &&
		       power == 2;
	square = match_producer(match, mean, 0, "Mul");
	return square != NULL && square->inputs[0] == centered && square->inputs[1] == centered;
}

/* The node of that type that alone reads node's output, with a vector of `width` floats as other operand in *vector. */
static struct node *
vector_consumer(const struct match *match, const struct node *node, const char *op_type,
		int64_t width, int32_t *vector)
{
	struct node *next = match_sole_consumer(match, node->outputs[0]);
	if (next == NULL || !match_is(next, op_type))
		return NULL;
	uint32_t other = next->inputs[0] == node->outputs[0] ? 1 : 0;
	const struct constant *constant = match_floats(match, next, other);
	if (constant == NULL || constant->type.rank != 1 || constant->type.dims[0] != width)
		return NULL;
	*vector = next->inputs[other];
	return next;
}

/* A vector of ones. */
static int32_t
make_ones(struct graph *graph, int64_t width)
{
	void *data;
	int32_t value = match_add_constant(graph, "ones", DATA_TYPE_FLOAT, 1, &width, &data);
	for (int64_t i = 0; i < width && value >= 0; i++)
		((float *)data)[i] = 1;
	return value;
}

/* LayerNormalization(x, scale, bias) in the place of node. */
static int
become_layer_norm(struct graph *graph, struct node *node, int32_t x, int32_t scale, int32_t bias,
		  float epsilon)
{
	int32_t *inputs = arena_alloc(graph->arena, 3 * sizeof(inputs[0]));
	struct attribute *attribute = arena_calloc(graph->arena, 1, sizeof(*attribute));
	if (inputs == NULL || attribute == NULL)
		return -1;
	inputs[0] = x;
	inputs[1] = scale;
	inputs[2] = bias;
	attribute->name = "epsilon";
	attribute->kind = ATTRIBUTE_FLOAT;
	attribute->as.f = epsilon;
	node->op_type = "LayerNormalization";
	node->opset = 17;
	node->inputs = inputs;
	node->input_count = bias >= 0 ? 3 : 2;
	node->attributes = attribute;
	node->attribute_count = 1;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

/* Rewrite what ends in this Div and what scales and shifts its result. */
static int
rewrite(const struct match *match, struct node *div)
{
	struct graph *graph = match->graph;
	float epsilon;
	int32_t scale = -1, bias = -1;
	const struct node *centered = match_producer(match, div, 0, "Sub");
	const struct node *root = match_producer(match, div, 1, "Sqrt");
	if (centered == NULL || root == NULL ||
	    !is_deviation(match, root, centered->outputs[0], &epsilon))
		return 0;
	int32_t x = original_of(match, centered);
	if (x < 0 || graph->values[x].type.data_type != DATA_TYPE_FLOAT)
		return 0;
	int64_t width = graph->values[x].type.dims[graph->values[x].type.rank - 1];
	struct node *last = div;
	struct node *next = vector_consumer(match, last, "Mul", width, &scale);
	last = next != NULL ? next : last;
	next = vector_consumer(match, last, "Add", width, &bias);
	last = next != NULL ? next : last;
	if (scale < 0)
		scale = make_ones(graph, width);
	return scale < 0 ? -1 : become_layer_norm(graph, last, x, scale, bias, epsilon);
}

int
pass_layer_norm(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++)
		if (match_is(&graph->nodes[i], "Div") && rewrite(&match, &graph->nodes[i]) != 0)
			return -1;
	return 0;
}
