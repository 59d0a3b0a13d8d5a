/*
 * Transpositions that need not be done: of a transposed tensor, and of what a matrix product reads with its last two dimensions
 * the other way round, a constant's too, which then is packed from where it lies.
 */
#include <string.h>

#include "model/match.h"
#include "model/pass.h"

/* A Transpose's order in `order`; false when it is not known here, since the rank is not. */
static bool
read_order(const struct match *match, const struct node *node, int64_t *order, uint32_t *rank)
{
	const struct value *value = &match->graph->values[node->inputs[0]];
	const int64_t *perm = node_ints(node, "perm", rank);
	bool is_typed = value->constant != NULL || value->type.data_type != DATA_TYPE_NONE;
	if (perm == NULL && !is_typed)
		return false;
	if (perm == NULL)
		*rank = value->type.rank;
	if (*rank > TENSOR_MAX_RANK)
		return false;
	for (uint32_t i = 0; i < *rank; i++) {
		order[i] = perm == NULL ? (int64_t)(*rank - 1 - i) : perm[i];
		order[i] += order[i] < 0 ? *rank : 0;
		if (order[i] < 0 || order[i] >= *rank)
			return false;
	}
	return true;
}

static bool
is_identity(const int64_t *order, uint32_t rank)
{
	for (uint32_t i = 0; i < rank; i++)
		if (order[i] != (int64_t)i)
			return false;
	return true;
}

/* The transposition of a transposition is one, or none. -1 for want of memory. */
static int
merge(const struct match *match, struct node *node)
{
	struct graph *graph = match->graph;
	int64_t outer[TENSOR_MAX_RANK], inner[TENSOR_MAX_RANK];
	uint32_t rank, inner_rank;
	const struct node *before = match_producer(match, node, 0, "Transpose");
	if (before == NULL || !read_order(match, node, outer, &rank) ||
	    !read_order(match, before, inner, &inner_rank) || rank != inner_rank)
		return 0;
	int64_t *order = arena_alloc(graph->arena, rank * sizeof(order[0]));
	struct attribute *attribute = arena_calloc(graph->arena, 1, sizeof(*attribute));
	if (order == NULL || attribute == NULL)
		return -1;
	for (uint32_t i = 0; i < rank; i++)
		order[i] = inner[outer[i]];
	if (is_identity(order, rank)) {
		graph_replace(graph, node->outputs[0], before->inputs[0]);
		node->op_type = NULL;
		return 0;
	}
	*attribute = (struct attribute){ .name = "perm", .kind = ATTRIBUTE_INTS, .count = rank };
	attribute->as.ints = order;
	node->attributes = attribute;
	node->attribute_count = 1;
	node->inputs[0] = before->inputs[0];
	return 0;
}

/* A product with a matrix whose last two dimensions are swapped reads it as it lies. */
static int
sink(const struct match *match, struct node *product)
{
	struct graph *graph = match->graph;
	int64_t order[TENSOR_MAX_RANK], swapped;
	uint32_t rank;
	const struct node *transpose = match_producer(match, product, 1, "Transpose");
	if (transpose == NULL || !read_order(match, transpose, order, &rank) || rank < 2 ||
	    graph->values[transpose->inputs[0]].type.data_type != DATA_TYPE_FLOAT)
		return 0;
	swapped = order[rank - 1];
	order[rank - 1] = order[rank - 2];
	order[rank - 2] = swapped;
	if (!is_identity(order, rank))
		return 0;
	int32_t *inputs = arena_alloc(graph->arena, 2 * sizeof(inputs[0]));
	if (inputs == NULL)
		return -1;
	inputs[0] = product->inputs[0];
	inputs[1] = transpose->inputs[0];
	product->inputs = inputs;
	product->op_type = "MatMulTransposed";
	product->domain = "tidepool";
	product->opset = 1;
	product->op = operator_find(product);
	return product->op != NULL ? 0 : -1;
}

int
pass_transpose(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		if (match_is(node, "Transpose") && merge(&match, node) != 0)
			return -1;
		if (match_is(node, "MatMul") && node->post_count == 0 && sink(&match, node) != 0)
			return -1;
	}
	return 0;
}
