#include "model/layout.h"

#include <string.h>

#include "base/error.h"
#include "exec/call.h"
#include "exec/last.h"
#include "model/plan.h"

struct chooser {
	struct graph *graph;
	const struct backend *backend;
	/* May any value have its channels last? */
	bool turns;
	/* The nodes as they were; graph->nodes is filled anew. */
	struct node *old;
	/* An entry a value, `room` of them. */
	enum layout *layouts;
	/* The same tensor in the other layout, plain or not, -1 while there is none. */
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

/* A value like that one in another layout, made by nobody yet. */
static int32_t
add_twin(struct chooser *chooser, int32_t value, enum layout layout)
{
	struct graph *graph = chooser->graph;
	int32_t twin = graph_add_value(graph, graph->values[value].name);
	if (twin < 0 || grow(chooser) != 0)
		return -1;
	graph->values[twin].type = graph->values[value].type;
	graph->values[twin].has_type = true;
	chooser->layouts[twin] = layout;
	chooser->twins[value] = twin;
	chooser->twins[twin] = value;
	return twin;
}

/*
 * The value that holds the same tensor in that layout, which is not its own, one of both being plain; what makes it is put
 * in when it is first asked for: a Reorder, a view where both layouts are the same in memory, nothing for such a constant.
 */
static int32_t
twin_of(struct chooser *chooser, int32_t value, enum layout layout)
{
	struct graph *graph = chooser->graph;
	if (chooser->twins[value] >= 0)
		return chooser->twins[value];
	enum layout other = layout != LAYOUT_PLAIN ? layout : chooser->layouts[value];
	int32_t twin = add_twin(chooser, value, layout);
	if (twin < 0)
		return -1;
	bool moot = layout_is_moot(&graph->values[value].type, other);
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

/* Let the node's input be in that layout; one of which only the type matters stays as it is. */
static int
want(struct chooser *chooser, struct node *node, uint32_t input, enum layout layout)
{
	int32_t value = node->inputs[input];
	bool is_read = input == 0 || (node->op->flags & OPERATOR_LIKE) == 0;
	if (value < 0 || chooser->layouts[value] == layout || !is_read)
		return 0;
	node->inputs[input] = twin_of(chooser, value, layout);
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

/* The layout that the backend's convolutions of that type like. */
static enum layout
liked(const struct chooser *chooser, enum data_type data_type)
{
	const struct backend *backend = chooser->backend;
	return backend->layout != NULL ? backend->layout(data_type) : LAYOUT_PLAIN;
}

/* Is the operator to work in blocks? */
static bool
works_blocked(const struct chooser *chooser, const struct operator_call *call)
{
	const struct op *op = call->op;
	if (op->blocks == NULL || liked(chooser, call->inputs[0].data_type) != LAYOUT_BLOCKED)
		return false;
	if (op->layouts == OPERATOR_LAYOUTS_UNARY)
		return chooser->layouts[call->node->inputs[0]] == LAYOUT_BLOCKED &&
		       op->blocks(call);
	if (op->layouts == OPERATOR_LAYOUTS_SPATIAL)
		return is_spatial(&call->inputs[0]) && op->blocks(call);
	return op->layouts == OPERATOR_LAYOUTS_ALIKE && alike_blocks(chooser, call);
}

/* Is it to work with channels last? */
static bool
works_last(const struct chooser *chooser, const struct operator_call *call)
{
	enum last_role role = chooser->turns ? last_role(call) : LAST_NEVER;
	if (role == LAST_SEEKS)
		return liked(chooser, call->inputs[0].data_type) == LAYOUT_LAST;
	for (uint32_t i = 0; role == LAST_FOLLOWS && i < call->input_count; i++) {
		int32_t value = call->node->inputs[i];
		if (value >= 0 && chooser->layouts[value] == LAYOUT_LAST && last_takes(call, i))
			return true;
	}
	return false;
}

/* The layout that the operator is to work in. */
static enum layout
layout_of_node(const struct chooser *chooser, const struct operator_call *call)
{
	if (call->input_count == 0 || call->node->inputs[0] < 0)
		return LAYOUT_PLAIN;
	if (works_blocked(chooser, call))
		return LAYOUT_BLOCKED;
	return works_last(chooser, call) ? LAYOUT_LAST : LAYOUT_PLAIN;
}

/* The layout of input `input` of a node that works in `layout`. */
static enum layout
layout_of_input(const struct operator_call *call, uint32_t input, enum layout layout)
{
	const struct tensor_type *type = &call->inputs[input];
	if (layout == LAYOUT_LAST)
		return last_takes(call, input) ? LAYOUT_LAST : LAYOUT_PLAIN;
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

/* The layout of output `output` of a node that works in `layout`. */
static enum layout
layout_of_output(const struct operator_call *call, uint32_t output, enum layout layout)
{
	if (layout == LAYOUT_LAST)
		return last_gives(call, output) ? LAYOUT_LAST : LAYOUT_PLAIN;
	return output == 0 ? layout : LAYOUT_PLAIN;
}

/* A Transpose that does not move anything, since channels lie last before it or after it, becomes a view. */
static int
elide(struct chooser *chooser, const struct operator_call *call, enum layout layout,
      struct node *node)
{
	bool makes = chooser->turns && layout == LAYOUT_PLAIN && last_is_made(call) &&
		     liked(chooser, call->inputs[0].data_type) == LAYOUT_LAST;
	if (!makes && (layout != LAYOUT_LAST || !last_is_view(call)))
		return 0;
	if (makes)
		chooser->layouts[node->outputs[0]] = LAYOUT_LAST;
	node->op_type = "Relabel";
	node->domain = "tidepool";
	node->opset = 1;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
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
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0)
			chooser->layouts[node->outputs[i]] = layout_of_output(&call, i, layout);
	if (elide(chooser, &call, layout, node) != 0)
		return -1;
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
		graph->outputs[i] = twin_of(chooser, graph->outputs[i], LAYOUT_PLAIN);
		if (graph->outputs[i] < 0)
			return -1;
	}
	return 0;
}

int
layout_choose(struct graph *graph, const struct backend *backend, enum layout **layouts)
{
	struct chooser chooser = { .graph = graph, .backend = backend };
	chooser.turns = liked(&chooser, DATA_TYPE_FLOAT) == LAYOUT_LAST ||
			liked(&chooser, DATA_TYPE_FLOAT16) == LAYOUT_LAST ||
			liked(&chooser, DATA_TYPE_BFLOAT16) == LAYOUT_LAST;
	uint32_t count;
	chooser.old = graph_take_nodes(graph, &count);
	arena_create(&chooser.scratch, 0);
	int result = grow(&chooser);
	if (result == 0)
		result = place_all(&chooser, count);
	/* What was elided is a view now, maybe of an input or of what another output is. */
	if (result == 0 && chooser.turns &&
	    (plan_separate_outputs(graph, &chooser.scratch) != 0 || grow(&chooser) != 0))
		result = -1;
	arena_destroy(&chooser.scratch);
	*layouts = chooser.layouts;
	return result;
}
