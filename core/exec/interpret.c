#include "exec/interpret.h"

#include <string.h>

#include "base/error.h"
#include "exec/call.h"
#include "exec/list.h"

static int
resolve_bodies(const struct node *node)
{
	for (uint32_t i = 0; i < node->attribute_count; i++)
		if (node->attributes[i].kind == ATTRIBUTE_GRAPH &&
		    interpret_resolve(node->attributes[i].as.graph) != 0)
			return error_wrap("node %s (%s)", node->name, node->op_type);
	return 0;
}

int
interpret_resolve(struct graph *graph)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		if (node->op == NULL)
			node->op = operator_find(node);
		if (node->op == NULL || resolve_bodies(node) != 0)
			return -1;
	}
	return 0;
}

int
interpret_begin(struct interpreter *interpreter, const struct graph *graph,
		const struct interpreter *outer, struct arena *arena, unsigned threads)
{
	*interpreter = (struct interpreter){
		.graph = graph, .arena = arena, .outer = outer, .threads = threads
	};
	interpreter->values =
		arena_calloc(arena, graph->value_count, sizeof(interpreter->values[0]));
	if (interpreter->values == NULL)
		return -1;
	for (uint32_t i = 0; i < graph->value_count; i++) {
		const struct value *value = &graph->values[i];
		if (value->constant != NULL)
			interpreter->values[i] = *value->constant;
		else if (outer != NULL && value->captured >= 0)
			interpreter->values[i] = outer->values[value->captured];
	}
	return 0;
}

const struct constant *
interpret_input(const struct interpreter *interpreter, const struct node *node, uint32_t input)
{
	if (input >= node->input_count || node->inputs[input] < 0)
		return NULL;
	const struct constant *value = &interpreter->values[node->inputs[input]];
	return value->type.data_type != DATA_TYPE_NONE ? value : NULL;
}

/* The node's inputs as constants, whose types they bring along. */
static int
create_call(const struct interpreter *interpreter, const struct node *node,
	    struct operator_call *call, struct arena *arena)
{
	if (call_create(call, interpreter->graph, node, node->op, arena) != 0)
		return -1;
	const struct constant **constants = (const struct constant **)call->constants;
	struct tensor_type *types = (struct tensor_type *)call->inputs;
	for (uint32_t i = 0; i < node->input_count; i++) {
		constants[i] = interpret_input(interpreter, node, i);
		if (constants[i] != NULL && list_is(constants[i]))
			return operator_error(call, "input %u is a sequence", i);
		if (constants[i] != NULL)
			types[i] = constants[i]->type;
		else if (node->inputs[i] >= 0)
			return operator_error(call, "input %u has no value", i);
	}
	call->threads = interpreter->threads;
	return 0;
}

static int
run_node(struct interpreter *interpreter, const struct node *node, struct arena *scratch)
{
	struct operator_call call;
	struct constant outputs[OPERATOR_MAX_OUTPUTS];
	if (node->op->control != NULL)
		return node->op->control(interpreter, node);
	if (create_call(interpreter, node, &call, scratch) != 0 ||
	    call_evaluate(&call, outputs, interpreter->arena) != 0)
		return -1;
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0)
			interpreter->values[node->outputs[i]] = outputs[i];
	return 0;
}

int
interpret_run(struct interpreter *interpreter)
{
	struct arena scratch;
	int result = 0;
	arena_create(&scratch, 0);
	for (uint32_t i = 0; i < interpreter->graph->node_count && result == 0; i++) {
		result = run_node(interpreter, &interpreter->graph->nodes[i], &scratch);
		arena_reset(&scratch);
	}
	arena_destroy(&scratch);
	return result;
}
