/*
 * A table that both picks rows (an embedding) and is the matrix of a product (what turns the result into words again) is held
 * once: the product's packed form, from which rows are picked too.
 */
#include <string.h>

#include "model/match.h"
#include "model/pass.h"

/* Fewest rows and columns for which a product's matrix is packed as GatherPanels reads it. */
enum { LEAST = 64 };

static bool
is_tied(const struct graph *graph, const struct node *node, int32_t table)
{
	return match_is(node, "Gather") && node->inputs[0] == table &&
	       node_int(node, "axis", 0) == 0 &&
	       graph->values[node->inputs[1]].type.rank < TENSOR_MAX_RANK;
}

/* Let all Gathers from the matrix of this product read its packed form. */
static int
tie(struct graph *graph, const struct node *product)
{
	int32_t table = product->inputs[1];
	const struct constant *constant = graph->values[table].constant;
	if (constant == NULL || constant->type.rank != 2 || constant->type.dims[0] < LEAST ||
	    constant->type.dims[1] < LEAST || constant->type.data_type != DATA_TYPE_FLOAT)
		return 0;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		if (!is_tied(graph, node, table))
			continue;
		node->op_type = "GatherPanels";
		node->domain = "tidepool";
		node->opset = 1;
		node->op = operator_find(node);
		if (node->op == NULL)
			return -1;
	}
	return 0;
}

int
pass_tied(struct graph *graph, struct arena *scratch)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		bool is_product = node->op_type != NULL && node->op->domain != NULL &&
				  strcmp(node->op_type, "MatMulTransposed") == 0;
		if (is_product && tie(graph, node) != 0)
			return -1;
	}
	return 0;
}
