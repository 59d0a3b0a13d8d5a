#include "exec/graph.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"

enum { FIRST_ROOM = 16 };

struct graph *
graph_new(struct arena *arena)
{
	struct graph *graph = arena_calloc(arena, 1, sizeof(*graph));
	if (graph != NULL)
		*graph = (struct graph){ .arena = arena, .name = "" };
	return graph;
}

/* An array of twice the room with the old elements in front; NULL with the error set. The old one stays in the arena. */
static void *
grow(struct arena *arena, const void *old, uint32_t *room, size_t size)
{
	if (*room > INT32_MAX / 2) {
		error_set(ERR_RESOURCE_EXHAUSTED, "graph: more than %u entries", *room);
		return NULL;
	}
	uint32_t wanted = *room == 0 ? FIRST_ROOM : 2 * *room;
	char *larger = arena_calloc(arena, wanted, size);
	if (larger == NULL)
		return NULL;
	if (*room != 0)
		memcpy(larger, old, *room * size);
	*room = wanted;
	return larger;
}

int32_t
graph_add_value(struct graph *graph, const char *name)
{
	if (graph->value_count == graph->value_room) {
		struct value *values =
			grow(graph->arena, graph->values, &graph->value_room, sizeof(*values));
		if (values == NULL)
			return -1;
		graph->values = values;
	}
	struct value value = { .captured = -1 };
	if (name != NULL) {
		value.name = arena_strndup(graph->arena, name, strlen(name));
		if (value.name == NULL)
			return -1;
	}
	graph->values[graph->value_count] = value;
	return (int32_t)graph->value_count++;
}

/* count value indices, all -1; count may be 0. */
static int32_t *
new_indices(struct arena *arena, uint32_t count)
{
	int32_t *indices = arena_calloc(arena, count, sizeof(*indices));
	if (indices != NULL && count != 0)
		memset(indices, 0xff, count * sizeof(*indices));
	return indices;
}

struct node *
graph_add_node(struct graph *graph, const char *op_type, uint32_t inputs, uint32_t outputs,
	       uint32_t attributes)
{
	if (graph->node_count == graph->node_room) {
		struct node *nodes =
			grow(graph->arena, graph->nodes, &graph->node_room, sizeof(*nodes));
		if (nodes == NULL)
			return NULL;
		graph->nodes = nodes;
	}
	struct node node = {
		.op_type = arena_strndup(graph->arena, op_type, strlen(op_type)),
		.domain = "",
		.name = "",
		.opset = graph->opset,
		.input_count = inputs,
		.output_count = outputs,
		.inputs = new_indices(graph->arena, inputs),
		.outputs = new_indices(graph->arena, outputs),
		.attribute_count = attributes,
		.attributes = arena_calloc(graph->arena, attributes, sizeof(struct attribute)),
	};
	if (node.op_type == NULL || node.inputs == NULL || node.outputs == NULL ||
	    node.attributes == NULL)
		return NULL;
	graph->nodes[graph->node_count] = node;
	return &graph->nodes[graph->node_count++];
}

const struct attribute *
node_attribute(const struct node *node, const char *name)
{
	for (uint32_t i = 0; i < node->attribute_count; i++) {
		const struct attribute *attribute = &node->attributes[i];
		if (attribute->name != NULL && strcmp(attribute->name, name) == 0)
			return attribute;
	}
	return NULL;
}

/* The attribute of that name when it is of that kind, else NULL. */
static const struct attribute *
attribute_of_kind(const struct node *node, const char *name, enum attribute_kind kind)
{
	const struct attribute *attribute = node_attribute(node, name);
	return attribute != NULL && attribute->kind == kind ? attribute : NULL;
}

int64_t
node_int(const struct node *node, const char *name, int64_t fallback)
{
	const struct attribute *attribute = attribute_of_kind(node, name, ATTRIBUTE_INT);
	return attribute != NULL ? attribute->as.i : fallback;
}

float
node_float(const struct node *node, const char *name, float fallback)
{
	const struct attribute *attribute = attribute_of_kind(node, name, ATTRIBUTE_FLOAT);
	return attribute != NULL ? attribute->as.f : fallback;
}

const char *
node_string(const struct node *node, const char *name, const char *fallback)
{
	const struct attribute *attribute = attribute_of_kind(node, name, ATTRIBUTE_STRING);
	return attribute != NULL ? attribute->as.s : fallback;
}

const int64_t *
node_ints(const struct node *node, const char *name, uint32_t *count)
{
	const struct attribute *attribute = attribute_of_kind(node, name, ATTRIBUTE_INTS);
	*count = attribute != NULL ? attribute->count : 0;
	return attribute != NULL ? attribute->as.ints : NULL;
}
