/* Nodes that only pass a tensor on, as exported models are full of. */
#include "model/match.h"
#include "model/pass.h"

/* Dropout passes its input on unless it trains, which only its third input or an old attribute can say. */
static bool
is_idle_dropout(const struct graph *graph, const struct node *node)
{
	if (!match_is(node, "Dropout") || (node->output_count > 1 && node->outputs[1] >= 0))
		return false;
	if (node->input_count < 3 || node->inputs[2] < 0)
		return node_int(node, "is_test", 1) != 0;
	const struct constant *training = graph->values[node->inputs[2]].constant;
	return training != NULL && tensor_elements(&training->type) == 1 &&
	       *(const uint8_t *)training->data == 0;
}

int
pass_identity(struct graph *graph, struct arena *scratch)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		if (!match_is(node, "Identity") && !is_idle_dropout(graph, node))
			continue;
		/* What the model declares of its output goes with it. */
		struct value *value = &graph->values[node->inputs[0]];
		if (value->type.data_type == DATA_TYPE_NONE)
			value->type = graph->values[node->outputs[0]].type;
		graph_replace(graph, node->outputs[0], node->inputs[0]);
		node->op_type = NULL;
	}
	return 0;
}
