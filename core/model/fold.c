#include "model/fold.h"

#include <string.h>

#include "base/error.h"
#include "exec/call.h"
#include "exec/interpret.h"

/* A fold may make this many bytes, or a few times what it reads: beyond, computing it each run is cheaper to keep. */
static const size_t SMALL_BYTES = 1 << 20;
static const size_t GROWTH = 4;

static bool
is_worth_folding(const struct operator_call *call)
{
	size_t in = 0;
	size_t out = 0;
	for (uint32_t i = 0; i < call->input_count; i++)
		if (operator_has_input(call, i))
			in += tensor_bytes(&call->inputs[i]);
	for (uint32_t i = 0; i < call->output_count; i++)
		if (operator_has_output(call, i))
			out += tensor_bytes(&call->outputs[i]);
	return out <= SMALL_BYTES || out / GROWTH <= in;
}

/* Give the node's outputs their types. */
static void
set_types(struct graph *graph, const struct operator_call *call)
{
	for (uint32_t i = 0; i < call->output_count; i++) {
		if (!operator_has_output(call, i))
			continue;
		struct value *value = &graph->values[call->node->outputs[i]];
		value->type = call->outputs[i];
		value->has_type = true;
	}
}

static int
fold_node(struct graph *graph, struct node *node, struct operator_call *call)
{
	struct constant outputs[OPERATOR_MAX_OUTPUTS];
	if (call_evaluate(call, outputs, graph->arena) != 0)
		return -1;
	for (uint32_t i = 0; i < node->output_count; i++) {
		if (node->outputs[i] < 0)
			continue;
		struct constant *constant = arena_alloc(graph->arena, sizeof(*constant));
		if (constant == NULL)
			return -1;
		*constant = outputs[i];
		graph->values[node->outputs[i]].constant = constant;
	}
	node->op_type = NULL;
	return 0;
}

static int
visit_node(struct graph *graph, struct node *node, struct arena *scratch)
{
	struct operator_call call;
	if (node->op == NULL)
		node->op = operator_find(node);
	for (uint32_t i = 0; i < node->attribute_count; i++)
		if (node->attributes[i].kind == ATTRIBUTE_GRAPH &&
		    interpret_resolve(node->attributes[i].as.graph) != 0)
			return error_wrap("node %s (%s)", node->name, node->op_type);
	if (node->op == NULL || call_create(&call, graph, node, node->op, scratch) != 0)
		return -1;
	if (!call_is_inferable(&call))
		return 0;
	if (operator_infer(&call) != 0)
		return -1;
	set_types(graph, &call);
	if (call_is_constant(&call) && is_worth_folding(&call))
		return fold_node(graph, node, &call);
	return 0;
}

int
fold_graph(struct graph *graph)
{
	struct arena scratch;
	arena_create(&scratch, 0);
	int result = 0;
	for (uint32_t i = 0; i < graph->node_count && result == 0; i++) {
		result = visit_node(graph, &graph->nodes[i], &scratch);
		arena_reset(&scratch);
	}
	if (result == 0)
		result = graph_sweep(graph, &scratch);
	arena_destroy(&scratch);
	return result;
}
