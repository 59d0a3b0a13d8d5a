#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

enum {
	/* In place of a node: nothing makes the value; or it is there before any node runs. */
	PRODUCER_NONE = -1,
	PRODUCER_GIVEN = -2,
};

/* What each node waits for, as lists one after the other. */
struct dependencies {
	uint32_t *starts;
	uint32_t *nodes;
};

static const char *
value_name(const struct graph *graph, int32_t index)
{
	const char *name = graph->values[index].name;
	return name != NULL ? name : "";
}

/* The node that makes each value. NULL with the error set when two make one. */
static int32_t *
find_producers(const struct graph *graph, struct arena *scratch)
{
	int32_t *producers = arena_calloc(scratch, graph->value_count, sizeof(*producers));
	if (producers == NULL)
		return NULL;
	for (uint32_t i = 0; i < graph->value_count; i++) {
		const struct value *value = &graph->values[i];
		bool given = value->constant != NULL || value->captured >= 0;
		producers[i] = given ? PRODUCER_GIVEN : PRODUCER_NONE;
	}
	for (uint32_t i = 0; i < graph->input_count; i++)
		producers[graph->inputs[i]] = PRODUCER_GIVEN;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		for (uint32_t k = 0; k < node->output_count; k++) {
			int32_t value = node->outputs[k];
			if (value < 0)
				continue;
			if (producers[value] != PRODUCER_NONE) {
				error_set(ERR_INVALID_ARGUMENT,
					  "node '%s' (%s): output %" PRIu32
					  " '%s' has another producer",
					  node->name, node->op_type, k, value_name(graph, value));
				return NULL;
			}
			producers[value] = (int32_t)i;
		}
	}
	return producers;
}

/* Calls visit with each value that the node reads: its inputs, and what its bodies capture. */
typedef int
visit_f(void *context, const struct node *node, int32_t value);

static int
each_read(const struct node *node, visit_f *visit, void *context)
{
	for (uint32_t i = 0; i < node->input_count; i++) {
		if (node->inputs[i] >= 0 && visit(context, node, node->inputs[i]) != 0)
			return -1;
	}
	for (uint32_t i = 0; i < node->attribute_count; i++) {
		if (node->attributes[i].kind != ATTRIBUTE_GRAPH)
			continue;
		const struct graph *body = node->attributes[i].as.graph;
		for (uint32_t k = 0; k < body->value_count; k++) {
			int32_t captured = body->values[k].captured;
			if (captured >= 0 && visit(context, node, captured) != 0)
				return -1;
		}
	}
	return 0;
}

struct walk {
	const struct graph *graph;
	const int32_t *producers;
	struct dependencies *dependencies;
	/* The node that reads, how many dependencies there are so far, and whether one comes later in the file. */
	uint32_t position;
	uint32_t count;
	bool is_unsorted;
};

/* Check that the value is there and count the dependency. */
static int
check_read(void *context, const struct node *node, int32_t value)
{
	struct walk *walk = context;
	int32_t producer = walk->producers[value];
	if (producer == PRODUCER_NONE)
		return error_set(ERR_INVALID_ARGUMENT,
				 "node '%s' (%s): '%s' is produced by no node", node->name,
				 node->op_type, value_name(walk->graph, value));
	if (producer >= 0) {
		walk->count++;
		walk->is_unsorted |= (uint32_t)producer >= walk->position;
	}
	return 0;
}

static int
list_read(void *context, const struct node *node, int32_t value)
{
	struct walk *walk = context;
	(void)node;
	if (walk->producers[value] >= 0)
		walk->dependencies->nodes[walk->count++] = (uint32_t)walk->producers[value];
	return 0;
}

static int
check_reads(struct walk *walk)
{
	const struct graph *graph = walk->graph;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		walk->position = i;
		if (each_read(&graph->nodes[i], check_read, walk) != 0)
			return -1;
	}
	for (uint32_t i = 0; i < graph->output_count; i++) {
		if (walk->producers[graph->outputs[i]] == PRODUCER_NONE)
			return error_set(ERR_INVALID_ARGUMENT, "output '%s' is produced by no node",
					 value_name(graph, graph->outputs[i]));
	}
	return 0;
}

static int
list_reads(struct walk *walk, struct arena *scratch)
{
	const struct graph *graph = walk->graph;
	struct dependencies *dependencies = walk->dependencies;
	dependencies->nodes = arena_calloc(scratch, walk->count, sizeof(uint32_t));
	dependencies->starts = arena_calloc(scratch, graph->node_count + 1, sizeof(uint32_t));
	if (dependencies->nodes == NULL || dependencies->starts == NULL)
		return -1;
	walk->count = 0;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		dependencies->starts[i] = walk->count;
		(void)each_read(&graph->nodes[i], list_read, walk);
	}
	dependencies->starts[graph->node_count] = walk->count;
	return 0;
}

/* A depth-first walk that does not recurse; order gets each node after those that it waits for. */
struct sorter {
	const struct graph *graph;
	const struct dependencies *dependencies;
	/* Per node: 0 not seen, 1 on the stack, 2 in order. */
	unsigned char *states;
	/* Per node on the stack: its next dependency to look at. */
	uint32_t *next;
	uint32_t *stack;
	uint32_t depth;
	struct node *order;
	uint32_t count;
};

static void
push(struct sorter *sorter, uint32_t node)
{
	sorter->states[node] = 1;
	sorter->next[node] = sorter->dependencies->starts[node];
	sorter->stack[sorter->depth++] = node;
}

static int
sort_from(struct sorter *sorter, uint32_t root)
{
	if (sorter->states[root] != 0)
		return 0;
	push(sorter, root);
	while (sorter->depth != 0) {
		uint32_t node = sorter->stack[sorter->depth - 1];
		if (sorter->next[node] == sorter->dependencies->starts[node + 1]) {
			sorter->states[node] = 2;
			sorter->order[sorter->count++] = sorter->graph->nodes[node];
			sorter->depth--;
			continue;
		}
		uint32_t other = sorter->dependencies->nodes[sorter->next[node]++];
		if (sorter->states[other] == 1)
			return error_set(ERR_INVALID_ARGUMENT,
					 "node '%s' (%s): waits for its own output",
					 sorter->graph->nodes[other].name,
					 sorter->graph->nodes[other].op_type);
		if (sorter->states[other] == 0)
			push(sorter, other);
	}
	return 0;
}

static int
sort(struct graph *graph, const struct dependencies *dependencies, struct arena *scratch)
{
	struct sorter sorter = {
		.graph = graph,
		.dependencies = dependencies,
		.states = arena_calloc(scratch, graph->node_count, 1),
		.next = arena_calloc(scratch, graph->node_count, sizeof(uint32_t)),
		.stack = arena_calloc(scratch, graph->node_count, sizeof(uint32_t)),
		.order = arena_calloc(graph->arena, graph->node_room, sizeof(struct node)),
	};
	if (sorter.states == NULL || sorter.next == NULL || sorter.stack == NULL ||
	    sorter.order == NULL)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (sort_from(&sorter, i) != 0)
			return -1;
	}
	graph->nodes = sorter.order;
	return 0;
}

int
onnx_graph_sort(struct graph *graph, struct arena *scratch)
{
	struct dependencies dependencies;
	int32_t *producers = find_producers(graph, scratch);
	if (producers == NULL)
		return -1;
	struct walk walk = { .graph = graph,
			     .producers = producers,
			     .dependencies = &dependencies };
	if (check_reads(&walk) != 0)
		return -1;
	if (!walk.is_unsorted)
		return 0;
	if (list_reads(&walk, scratch) != 0)
		return -1;
	return sort(graph, &dependencies, scratch);
}
