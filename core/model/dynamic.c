#include "model/dynamic.h"

#include <string.h>

#include "base/error.h"
#include "exec/operator.h"
#include "model/suppress.h"

enum {
	/* Bytes for an output whose declared type does not bound it, at least; and so many times what the inputs have. */
	OUTPUT_BYTES = 1 << 20,
	OUTPUT_GROWTH = 4,
};

/* The graph split in two. */
struct split {
	struct graph *graph;
	/* A copy of the graph with the nodes that are interpreted. */
	struct graph *rest;
	/* By value: read by the rest. */
	bool *used;
	/* What outputs without a better bound get. */
	size_t bytes;
};

static bool
is_dynamic(const struct graph *graph, const struct node *node)
{
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0 && !graph->values[node->outputs[i]].has_type)
			return true;
	return false;
}

/* Move the dynamic nodes to rest. */
static void
part_nodes(struct split *split)
{
	struct graph *rest = split->rest;
	uint32_t count = 0;
	for (uint32_t i = 0; i < split->graph->node_count; i++) {
		if (!is_dynamic(split->graph, &split->graph->nodes[i]))
			continue;
		rest->nodes[count++] = rest->nodes[i];
		split->graph->nodes[i].op_type = NULL;
	}
	rest->node_count = count;
}

/* Note what the rest reads: its nodes and the bodies in them. Constants that it does not read are not carried along. */
static void
mark_used(struct split *split)
{
	struct graph *rest = split->rest;
	for (uint32_t i = 0; i < rest->node_count; i++) {
		const struct node *node = &rest->nodes[i];
		for (uint32_t k = 0; k < node->input_count; k++)
			if (node->inputs[k] >= 0)
				split->used[node->inputs[k]] = true;
		for (uint32_t k = 0; k < node->attribute_count; k++) {
			if (node->attributes[k].kind != ATTRIBUTE_GRAPH)
				continue;
			const struct graph *body = node->attributes[k].as.graph;
			for (uint32_t v = 0; v < body->value_count; v++)
				if (body->values[v].captured >= 0)
					split->used[body->values[v].captured] = true;
		}
	}
	for (uint32_t i = 0; i < rest->value_count; i++)
		if (!split->used[i])
			rest->values[i].constant = NULL;
}

/* The rest's inputs: what it reads and does not make. */
static int
find_boundary(struct split *split)
{
	struct graph *rest = split->rest;
	rest->inputs = arena_calloc(rest->arena, rest->value_count, sizeof(rest->inputs[0]));
	if (rest->inputs == NULL)
		return -1;
	rest->input_count = 0;
	for (uint32_t i = 0; i < rest->value_count; i++)
		if (split->used[i] && split->graph->values[i].has_type &&
		    split->graph->values[i].constant == NULL)
			rest->inputs[rest->input_count++] = (int32_t)i;
	return 0;
}

/* A type with room for whatever the output may turn out to be: as declared when that leaves nothing open. */
static int
bound_of(const struct split *split, const struct value *output, struct tensor_type *bound)
{
	size_t bytes = data_type_bytes(output->type.data_type);
	if (bytes == 0)
		return error_set(ERR_UNIMPLEMENTED,
				 "the shape of output '%s' depends on data, and its type is open",
				 output->name != NULL ? output->name : "");
	*bound = output->type;
	bool is_open = output->type.rank == 0;
	for (uint32_t i = 0; i < output->type.rank; i++)
		is_open |= output->type.dims[i] < 0;
	if (is_open)
		*bound = (struct tensor_type){ .data_type = output->type.data_type,
					       .rank = 1,
					       .dims = { (int64_t)(split->bytes / bytes) } };
	return 0;
}

/* The graph's outputs that the rest gives, as new values with bounds; outputs: their indices. */
static int
bind_outputs(struct split *split, int32_t *outputs, uint32_t *count)
{
	struct graph *graph = split->graph;
	*count = 0;
	for (uint32_t i = 0; i < graph->output_count; i++) {
		int32_t old = graph->outputs[i];
		if (graph->values[old].has_type)
			continue;
		struct tensor_type bound;
		if (bound_of(split, &graph->values[old], &bound) != 0)
			return -1;
		int32_t value = graph_add_value(graph, graph->values[old].name);
		if (value < 0)
			return -1;
		graph->values[value].type = bound;
		graph->values[value].has_type = true;
		split->rest->outputs[*count] = old;
		outputs[(*count)++] = value;
		graph->outputs[i] = value;
	}
	split->rest->output_count = *count;
	return 0;
}

static int
add_interpret(struct split *split, const int32_t *outputs, uint32_t output_count)
{
	struct graph *rest = split->rest;
	struct node *node =
		graph_add_node(split->graph, "Interpret", rest->input_count, output_count, 1);
	if (node == NULL)
		return -1;
	node->name = "dynamic";
	node->domain = "tidepool";
	node->opset = 1;
	node->attributes[0] = (struct attribute){ .name = "graph", .kind = ATTRIBUTE_GRAPH };
	node->attributes[0].as.graph = rest;
	memcpy(node->inputs, rest->inputs, rest->input_count * sizeof(node->inputs[0]));
	memcpy(node->outputs, outputs, output_count * sizeof(node->outputs[0]));
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

/* Room for outputs that nothing bounds: in proportion to the graph's inputs. */
static size_t
output_bytes(const struct graph *graph)
{
	size_t bytes = 0;
	for (uint32_t i = 0; i < graph->input_count; i++)
		bytes += tensor_bytes(&graph->values[graph->inputs[i]].type);
	return OUTPUT_BYTES > OUTPUT_GROWTH * bytes ? OUTPUT_BYTES : OUTPUT_GROWTH * bytes;
}

int
dynamic_split(struct graph *graph, struct arena *scratch)
{
	uint32_t count = 0;
	if (suppress_split(graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++)
		count += is_dynamic(graph, &graph->nodes[i]);
	if (count == 0)
		return 0;
	struct split split = { .graph = graph,
			       .rest = graph_copy(graph, graph->arena),
			       .used = arena_calloc(scratch, graph->value_count, sizeof(bool)),
			       .bytes = output_bytes(graph) };
	int32_t *outputs = arena_calloc(scratch, graph->output_count, sizeof(*outputs));
	if (split.rest == NULL || split.used == NULL || outputs == NULL)
		return -1;
	part_nodes(&split);
	mark_used(&split);
	if (find_boundary(&split) != 0 || bind_outputs(&split, outputs, &count) != 0 ||
	    add_interpret(&split, outputs, count) != 0)
		return -1;
	return graph_sweep(graph, scratch);
}
