#include "model/layout.h"

#include <string.h>

#include "base/error.h"
#include "exec/call.h"

struct chooser {
	struct graph *graph;
	/* May any value be blocked? */
	bool blocks;
	/* The nodes as they were; graph->nodes is filled anew. */
	struct node *old;
	/* An entry a value, `room` of them. */
	enum layout *layouts;
	/* The same tensor in the other layout, -1 while there is none. */
	int32_t *twins;
	uint32_t room;
	struct arena scratch;
};

/* Room for entries of the values that there are now. */
static int
grow(struct chooser *chooser)
{
	uint32_t count = chooser->graph->value_count;
	if (count <= chooser->room)
		return 0;
	uint32_t room = 2 * count;
	enum layout *layouts = arena_calloc(chooser->graph->arena, room, sizeof(layouts[0]));
	int32_t *twins = arena_alloc(chooser->graph->arena, room * sizeof(twins[0]));
	if (layouts == NULL || twins == NULL)
		return -1;
	memset(twins, 0xff, room * sizeof(twins[0]));
	if (chooser->room != 0) {
		memcpy(layouts, chooser->layouts, chooser->room * sizeof(layouts[0]));
		memcpy(twins, chooser->twins, chooser->room * sizeof(twins[0]));
	}
	chooser->layouts = layouts;
	chooser->twins = twins;
	chooser->room = room;
	return 0;
}

/* A value like that one in the other layout, made by nobody yet. */
static int32_t
add_twin(struct chooser *chooser, int32_t value)
{
	struct graph *graph = chooser->graph;
	int32_t twin = graph_add_value(graph, graph->values[value].name);
	if (twin < 0 || grow(chooser) != 0)
		return -1;
	graph->values[twin].type = graph->values[value].type;
	graph->values[twin].has_type = true;
	chooser->layouts[twin] = !chooser->layouts[value];
	chooser->twins[value] = twin;
	chooser->twins[twin] = value;
	return twin;
}

/*
 * The value that holds the same tensor in the other layout; what makes it is put in when it is first asked for: a Reorder, a
 * view where both layouts are the same in memory, nothing for such a constant.
 */
static int32_t
twin_of(struct chooser *chooser, int32_t value)
{
	struct graph *graph = chooser->graph;
	if (chooser->twins[value] >= 0)
		return chooser->twins[value];
	int32_t twin = add_twin(chooser, value);
	if (twin < 0)
		return -1;
	bool moot = layout_is_moot(&graph->values[value].type);
	if (moot && graph->values[value].constant != NULL) {
		graph->values[twin].constant = graph->values[value].constant;
		return twin;
	}
	struct node *node = graph_add_node(graph, moot ? "Relabel" : "Reorder", 1, 1, 0);
	if (node == NULL)
		return -1;
	node->domain = "tidepool";
	node->name = graph->values[value].name != NULL ? graph->values[value].name : "";
	node->opset = 1;
	node->inputs[0] = value;
	node->outputs[0] = twin;
	node->op = operator_find(node);
	return node->op != NULL ? twin : -1;
}

/* Let the node's input be in that layout. */
static int
want(struct chooser *chooser, struct node *node, uint32_t input, enum layout layout)
{
	int32_t value = node->inputs[input];
	if (value < 0 || chooser->layouts[value] == layout)
		return 0;
	node->inputs[input] = twin_of(chooser, value);
	return node->inputs[input] < 0 ? -1 : 0;
}

static bool
is_spatial(const struct tensor_type *type)
{
	return type->rank >= 3 && type->rank <= 5 && type->data_type == DATA_TYPE_FLOAT;
}

/* Is one input blocked, and may all be: spatial tensors and single elements only? */
static bool
alike_blocks(const struct chooser *chooser, const struct operator_call *call)
{
	bool some = false;
	for (uint32_t i = 0; i < call->input_count; i++) {
		int32_t value = call->node->inputs[i];
		if (value < 0)
			continue;
		some |= chooser->layouts[value] == LAYOUT_BLOCKED;
		if (tensor_elements(&call->inputs[i]) != 1 &&
		    call->inputs[i].rank != call->outputs[0].rank)
			return false;
	}
	return some && is_spatial(&call->outputs[0]) && call->op->blocks(call);
}

/* The layout that the operator is to work in. */
static enum layout
layout_of_node(const struct chooser *chooser, const struct operator_call *call)
{
	const struct op *op = call->op;
	if (!chooser->blocks || op->blocks == NULL || call->node->inputs[0] < 0)
		return LAYOUT_PLAIN;
	bool blocks = false;
	if (op->layouts == OPERATOR_LAYOUTS_UNARY)
		blocks = chooser->layouts[call->node->inputs[0]] == LAYOUT_BLOCKED &&
			 op->blocks(call);
	else if (op->layouts == OPERATOR_LAYOUTS_SPATIAL)
		blocks = is_spatial(&call->inputs[0]) && op->blocks(call);
	else if (op->layouts == OPERATOR_LAYOUTS_ALIKE)
		blocks = alike_blocks(chooser, call);
	return blocks ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
}

/* The layout of input `input` of a node that works in `layout`. */
static enum layout
layout_of_input(const struct operator_call *call, uint32_t input, enum layout layout)
{
	const struct tensor_type *type = &call->inputs[input];
	if (layout == LAYOUT_PLAIN || tensor_elements(type) == 1)
		return LAYOUT_PLAIN;
	if (call->op->layouts == OPERATOR_LAYOUTS_ALIKE)
		return layout;
	/* With fewer channels than a block has, as the input of a first convolution, it would be mostly padding. */
	if (input == 0)
		return type->dims[1] < layout_block() ? LAYOUT_PLAIN : LAYOUT_BLOCKED;
	/* An operand of a post that lies as the output does; weights and biases are plain. */
	bool is_like_output = tensor_type_equal(type, &call->outputs[0]);
	return input >= call->op->inputs[1] && is_like_output ? LAYOUT_BLOCKED : LAYOUT_PLAIN;
}

static int
place_node(struct chooser *chooser, struct node *node)
{
	struct operator_call call;
	if (call_create(&call, chooser->graph, node, node->op, &chooser->scratch) != 0)
		return -1;
	enum layout layout = layout_of_node(chooser, &call);
	for (uint32_t i = 0; i < node->input_count; i++)
		if (want(chooser, node, i, layout_of_input(&call, i, layout)) != 0)
			return -1;
	if (node->outputs[0] >= 0)
		chooser->layouts[node->outputs[0]] = layout;
	struct node *placed = graph_add_node(chooser->graph, node->op_type, 0, 0, 0);
	if (placed == NULL)
		return -1;
	*placed = *node;
	return 0;
}

static int
place_all(struct chooser *chooser, uint32_t count)
{
	struct graph *graph = chooser->graph;
	for (uint32_t i = 0; i < count; i++) {
		if (place_node(chooser, &chooser->old[i]) != 0)
			return -1;
		arena_reset(&chooser->scratch);
	}
	for (uint32_t i = 0; i < graph->output_count; i++) {
		if (chooser->layouts[graph->outputs[i]] == LAYOUT_PLAIN)
			continue;
		graph->outputs[i] = twin_of(chooser, graph->outputs[i]);
		if (graph->outputs[i] < 0)
			return -1;
	}
	return 0;
}

int
layout_choose(struct graph *graph, bool blocks, enum layout **layouts)
{
	struct chooser chooser = { .graph = graph, .blocks = blocks, .old = graph->nodes };
	uint32_t count = graph->node_count;
	graph->nodes = NULL;
	graph->node_count = 0;
	graph->node_room = 0;
	arena_create(&chooser.scratch, 0);
	int result = grow(&chooser);
	if (result == 0)
		result = place_all(&chooser, count);
	arena_destroy(&chooser.scratch);
	*layouts = chooser.layouts;
	return result;
}
