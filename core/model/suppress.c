#include "model/suppress.h"

#include <string.h>

#include "exec/call.h"
#include "model/match.h"

enum {
	/* NonMaxSuppression's inputs. */
	INPUTS = 5,
	/* With more room than this for its rows it is interpreted: most of it would be copied for nothing. */
	ROWS_BYTES = 16 << 20,
};

/* A scalar of that type, or when it may be absent none? */
static bool
is_scalar(const struct graph *graph, const struct node *node, uint32_t input,
	  enum data_type data_type)
{
	if (input >= node->input_count || node->inputs[input] < 0)
		return true;
	const struct value *value = &graph->values[node->inputs[input]];
	return value->has_type && value->type.data_type == data_type &&
	       tensor_elements(&value->type) == 1;
}

/* A NonMaxSuppression of boxes and scores that are there, whose scalars are as they should be? */
static bool
is_splittable(const struct graph *graph, const struct node *node)
{
	return match_is(node, "NonMaxSuppression") && node->input_count >= 3 &&
	       node->input_count <= INPUTS && node->output_count == 1 && node->inputs[2] >= 0 &&
	       graph->values[node->inputs[0]].has_type && graph->values[node->inputs[1]].has_type &&
	       !graph->values[node->outputs[0]].has_type &&
	       is_scalar(graph, node, 2, DATA_TYPE_INT64) &&
	       is_scalar(graph, node, 3, DATA_TYPE_FLOAT) &&
	       is_scalar(graph, node, 4, DATA_TYPE_FLOAT);
}

/* The node's outputs as new values with the types that infer says; 1: none, since there is no room or no need for them. */
static int
add_outputs(struct graph *graph, struct node *node, struct arena *scratch)
{
	struct operator_call call;
	if (call_create(&call, graph, node, node->op, scratch) != 0 || operator_infer(&call) != 0)
		return -1;
	size_t bytes = tensor_bytes(&call.outputs[0]);
	if (bytes == 0 || bytes > ROWS_BYTES)
		return 1;
	for (uint32_t i = 0; i < node->output_count; i++) {
		node->outputs[i] = graph_add_value(graph, node->name);
		if (node->outputs[i] < 0)
			return -1;
		graph->values[node->outputs[i]].type = call.outputs[i];
		graph->values[node->outputs[i]].has_type = true;
	}
	return 0;
}

/* Suppress with the node's inputs and attributes, not in the graph yet. */
static int
make_suppress(const struct node *node, struct node *suppress, int32_t *outputs)
{
	*suppress = *node;
	suppress->op_type = "Suppress";
	suppress->domain = "tidepool";
	suppress->opset = 1;
	suppress->outputs = outputs;
	suppress->output_count = 2;
	outputs[0] = outputs[1] = -1;
	suppress->op = operator_find(suppress);
	return suppress->op != NULL ? 0 : -1;
}

/* The node becomes Slice(rows, {0}, {real}, {0}). */
static int
become_slice(struct graph *graph, struct node *node, const int32_t *rows)
{
	enum { SLICE_INPUTS = 4 };
	const int64_t one = 1;
	void *zero;
	int32_t *inputs = arena_alloc(graph->arena, SLICE_INPUTS * sizeof(inputs[0]));
	int32_t first = match_add_constant(graph, "first", DATA_TYPE_INT64, 1, &one, &zero);
	if (inputs == NULL || first < 0)
		return -1;
	memset(zero, 0, sizeof(int64_t));
	inputs[0] = rows[0];
	inputs[1] = first;
	inputs[2] = rows[1];
	inputs[3] = first;
	node->op_type = "Slice";
	node->inputs = inputs;
	node->input_count = SLICE_INPUTS;
	node->attribute_count = 0;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

static int
split_node(struct graph *graph, uint32_t index, struct arena *scratch)
{
	struct node suppress;
	int32_t *outputs = arena_alloc(graph->arena, 2 * sizeof(outputs[0]));
	if (outputs == NULL || make_suppress(&graph->nodes[index], &suppress, outputs) != 0)
		return -1;
	int added = add_outputs(graph, &suppress, scratch);
	if (added != 0)
		return added > 0 ? 0 : -1;
	struct node *node = graph_add_node(graph, "Suppress", 0, 0, 0);
	if (node == NULL)
		return -1;
	*node = suppress;
	return become_slice(graph, &graph->nodes[index], outputs);
}

int
suppress_split(struct graph *graph, struct arena *scratch)
{
	uint32_t count = graph->node_count;
	for (uint32_t i = 0; i < count; i++)
		if (is_splittable(graph, &graph->nodes[i]) && split_node(graph, i, scratch) != 0)
			return -1;
	return 0;
}
