/* Powers with cheap exponents: squares and roots. */
#include <string.h>

#include "model/match.h"
#include "model/pass.h"

int
pass_power(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		float exponent;
		if (!match_is(node, "Pow") || !match_scalar(&match, node, 1, &exponent) ||
		    !tensor_type_equal(&graph->values[node->inputs[0]].type,
				       &graph->values[node->outputs[0]].type))
			continue;
		if (exponent == 2) {
			node->op_type = "Mul";
			node->inputs[1] = node->inputs[0];
		} else if (exponent == 0.5f) {
			node->op_type = "Sqrt";
			node->input_count = 1;
		} else {
			continue;
		}
		node->op = operator_find(node);
		if (node->op == NULL)
			return -1;
	}
	return 0;
}
