#include "exec/graph.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "exec/cast.h"

enum {
	FIRST_ROOM = 16,
	/* Elements that are scaled at once. */
	SCALE_PART = 256,
};

/* 16-bit floats times the factor, by way of FP32. */
static void
scale_half(enum data_type data_type, char *row, size_t elements, float factor)
{
	float part[SCALE_PART];
	while (elements != 0) {
		size_t count = elements < SCALE_PART ? elements : SCALE_PART;
		cast_run(DATA_TYPE_FLOAT, part, data_type, row, (int64_t)count);
		for (size_t k = 0; k < count; k++)
			part[k] *= factor;
		cast_run(data_type, row, DATA_TYPE_FLOAT, part, (int64_t)count);
		row += count * data_type_bytes(data_type);
		elements -= count;
	}
}

static void
scale_row(enum data_type data_type, char *row, size_t elements, float factor)
{
	if (data_type != DATA_TYPE_FLOAT) {
		scale_half(data_type, row, elements, factor);
		return;
	}
	for (size_t k = 0; k < elements; k++)
		((float *)row)[k] *= factor;
}

void
constant_write(const struct constant *constant, void *to)
{
	size_t bytes = tensor_bytes(&constant->type);
	if (bytes == 0)
		return;
	if (constant->factors == NULL) {
		memcpy(to, constant->data, bytes);
		return;
	}
	size_t row = bytes / (size_t)constant->type.dims[0];
	size_t elements = row / data_type_bytes(constant->type.data_type);
	for (int64_t i = 0; i < constant->type.dims[0]; i++) {
		char *into = (char *)to + (size_t)i * row;
		/* The data may lie anywhere in the model's file. */
		memcpy(into, (const char *)constant->data + (size_t)i * row, row);
		scale_row(constant->type.data_type, into, elements, constant->factors[i]);
	}
}

const struct constant *
constant_aligned(const struct constant *constant, struct arena *arena)
{
	size_t bytes = tensor_bytes(&constant->type);
	if (bytes == 0 ||
	    (constant->factors == NULL &&
	     (uintptr_t)constant->data % data_type_bytes(constant->type.data_type) == 0))
		return constant;
	struct constant *copy = arena_alloc(arena, sizeof(*copy));
	void *data = arena_alloc(arena, bytes);
	if (copy == NULL || data == NULL)
		return NULL;
	constant_write(constant, data);
	*copy = (struct constant){ .type = constant->type, .data = data };
	return copy;
}

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

struct node *
graph_take_nodes(struct graph *graph, uint32_t *count)
{
	struct node *nodes = graph->nodes;
	*count = graph->node_count;
	graph->nodes = NULL;
	graph->node_count = 0;
	graph->node_room = 0;
	return nodes;
}

int
graph_put_node(struct graph *graph, const struct node *node)
{
	struct node *copy = graph_add_node(graph, "", 0, 0, 0);
	if (copy == NULL)
		return -1;
	*copy = *node;
	return 0;
}

/* A copy of size bytes in arena; NULL with the error set. */
static void *
copy_of(struct arena *arena, const void *from, size_t size)
{
	void *copy = arena_alloc(arena, size);
	if (copy != NULL && size != 0)
		memcpy(copy, from, size);
	return copy;
}

struct graph *
graph_copy(const struct graph *graph, struct arena *arena)
{
	struct graph *copy = copy_of(arena, graph, sizeof(*graph));
	if (copy == NULL)
		return NULL;
	copy->arena = arena;
	copy->value_room = graph->value_count;
	copy->node_room = graph->node_count;
	copy->values = copy_of(arena, graph->values, graph->value_count * sizeof(graph->values[0]));
	copy->nodes = copy_of(arena, graph->nodes, graph->node_count * sizeof(graph->nodes[0]));
	copy->inputs = copy_of(arena, graph->inputs, graph->input_count * sizeof(int32_t));
	copy->outputs = copy_of(arena, graph->outputs, graph->output_count * sizeof(int32_t));
	if (copy->values == NULL || copy->nodes == NULL || copy->inputs == NULL ||
	    copy->outputs == NULL)
		return NULL;
	for (uint32_t i = 0; i < copy->node_count; i++) {
		struct node *node = &copy->nodes[i];
		node->inputs = copy_of(arena, node->inputs, node->input_count * sizeof(int32_t));
		node->outputs = copy_of(arena, node->outputs, node->output_count * sizeof(int32_t));
		if (node->inputs == NULL || node->outputs == NULL)
			return NULL;
	}
	return copy;
}

static char *
copy_text(struct arena *arena, const char *text)
{
	return text != NULL ? arena_strndup(arena, text, strlen(text)) : NULL;
}

static struct constant *
copy_constant(struct arena *arena, const struct constant *constant)
{
	struct constant *copy = copy_of(arena, constant, sizeof(*constant));
	if (copy == NULL)
		return NULL;
	void *data = arena_alloc(arena, tensor_bytes(&constant->type));
	if (data == NULL)
		return NULL;
	constant_write(constant, data);
	copy->data = data;
	copy->factors = NULL;
	return copy;
}

static int
copy_strings(struct arena *arena, struct attribute *attribute)
{
	const char **strings = arena_calloc(arena, attribute->count, sizeof(strings[0]));
	if (strings == NULL)
		return -1;
	for (uint32_t i = 0; i < attribute->count; i++) {
		strings[i] = copy_text(arena, attribute->as.strings[i]);
		if (strings[i] == NULL)
			return -1;
	}
	attribute->as.strings = strings;
	return 0;
}

/* Let the attribute, a copy, point to copies. */
static int
copy_attribute(struct arena *arena, struct attribute *attribute)
{
	uint32_t count = attribute->count;
	const void *copied = attribute;
	attribute->name = copy_text(arena, attribute->name);
	switch (attribute->kind) {
	case ATTRIBUTE_STRING:
		copied = attribute->as.s = copy_text(arena, attribute->as.s);
		break;
	case ATTRIBUTE_INTS:
		copied = attribute->as.ints =
			copy_of(arena, attribute->as.ints, count * sizeof(int64_t));
		break;
	case ATTRIBUTE_FLOATS:
		copied = attribute->as.floats =
			copy_of(arena, attribute->as.floats, count * sizeof(float));
		break;
	case ATTRIBUTE_TENSOR:
		copied = attribute->as.tensor = copy_constant(arena, attribute->as.tensor);
		break;
	case ATTRIBUTE_GRAPH:
		copied = attribute->as.graph = graph_copy_deep(attribute->as.graph, arena);
		break;
	case ATTRIBUTE_STRINGS:
		return copy_strings(arena, attribute);
	default:
		break;
	}
	return copied != NULL ? 0 : -1;
}

static int
copy_node_parts(struct arena *arena, struct node *node)
{
	node->name = copy_text(arena, node->name);
	node->op_type = copy_text(arena, node->op_type);
	node->domain = copy_text(arena, node->domain);
	node->posts = copy_of(arena, node->posts, node->post_count * sizeof(node->posts[0]));
	node->attributes = copy_of(arena, node->attributes,
				   node->attribute_count * sizeof(node->attributes[0]));
	if (node->name == NULL || node->op_type == NULL || node->domain == NULL ||
	    node->posts == NULL || node->attributes == NULL)
		return -1;
	for (uint32_t i = 0; i < node->attribute_count; i++)
		if (copy_attribute(arena, &node->attributes[i]) != 0)
			return -1;
	return 0;
}

struct graph *
graph_copy_deep(const struct graph *graph, struct arena *arena)
{
	struct graph *copy = graph_copy(graph, arena);
	if (copy == NULL)
		return NULL;
	copy->name = copy_text(arena, copy->name);
	copy->outer = NULL;
	for (uint32_t i = 0; i < copy->value_count; i++) {
		struct value *value = &copy->values[i];
		value->name = copy_text(arena, value->name);
		if (value->constant == NULL)
			continue;
		value->constant = copy_constant(arena, value->constant);
		if (value->constant == NULL)
			return NULL;
	}
	for (uint32_t i = 0; i < copy->node_count; i++)
		if (copy_node_parts(arena, &copy->nodes[i]) != 0)
			return NULL;
	return copy;
}

/* Count what the bodies in node's attributes read of the graph around them. */
static void
count_captures(const struct node *node, uint32_t *uses)
{
	for (uint32_t i = 0; i < node->attribute_count; i++) {
		if (node->attributes[i].kind != ATTRIBUTE_GRAPH)
			continue;
		const struct graph *body = node->attributes[i].as.graph;
		for (uint32_t k = 0; k < body->value_count; k++)
			if (body->values[k].captured >= 0)
				uses[body->values[k].captured]++;
	}
}

uint32_t *
graph_count_uses(const struct graph *graph, struct arena *arena)
{
	uint32_t *uses = arena_calloc(arena, graph->value_count, sizeof(*uses));
	if (uses == NULL)
		return NULL;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		if (node->op_type == NULL)
			continue;
		for (uint32_t k = 0; k < node->input_count; k++)
			if (node->inputs[k] >= 0)
				uses[node->inputs[k]]++;
		count_captures(node, uses);
	}
	for (uint32_t i = 0; i < graph->output_count; i++)
		uses[graph->outputs[i]]++;
	return uses;
}

/* Let the bodies in node's attributes that read `old` of the graph around them read `value`. */
static void
replace_captured(const struct node *node, int32_t old, int32_t value)
{
	for (uint32_t i = 0; i < node->attribute_count; i++) {
		if (node->attributes[i].kind != ATTRIBUTE_GRAPH)
			continue;
		struct graph *body = node->attributes[i].as.graph;
		for (uint32_t k = 0; k < body->value_count; k++)
			if (body->values[k].captured == old)
				body->values[k].captured = value;
	}
}

void
graph_replace(struct graph *graph, int32_t old, int32_t value)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		for (uint32_t k = 0; k < node->input_count; k++)
			if (node->inputs[k] == old)
				node->inputs[k] = value;
		replace_captured(node, old, value);
	}
	for (uint32_t i = 0; i < graph->output_count; i++)
		if (graph->outputs[i] == old)
			graph->outputs[i] = value;
}

/* Mark the node as gone when no output is read; its own reads then count no more. */
static void
drop_unused(struct node *node, uint32_t *uses)
{
	for (uint32_t k = 0; k < node->output_count; k++)
		if (node->outputs[k] >= 0 && uses[node->outputs[k]] != 0)
			return;
	node->op_type = NULL;
	for (uint32_t k = 0; k < node->input_count; k++)
		if (node->inputs[k] >= 0)
			uses[node->inputs[k]]--;
}

int
graph_sweep(struct graph *graph, struct arena *scratch)
{
	uint32_t *uses = graph_count_uses(graph, scratch);
	if (uses == NULL)
		return -1;
	for (uint32_t i = graph->node_count; i-- > 0;)
		if (graph->nodes[i].op_type != NULL)
			drop_unused(&graph->nodes[i], uses);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < graph->node_count; i++)
		if (graph->nodes[i].op_type != NULL)
			graph->nodes[kept++] = graph->nodes[i];
	graph->node_count = kept;
	return 0;
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

const char *
node_title(const struct node *node, char *title)
{
	if (strcmp(node->name, node->op_type) == 0)
		snprintf(title, NODE_TITLE_BYTES, "%s", node->op_type);
	else
		snprintf(title, NODE_TITLE_BYTES, "node %s (%s)", node->name, node->op_type);
	return title;
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
