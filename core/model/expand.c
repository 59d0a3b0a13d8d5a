#include "model/expand.h"

#include <string.h>

#include "base/error.h"
#include "model/match.h"
#include "model/onnx.h"

enum {
	/* Room for attributes of a new node. */
	ATTRIBUTES = 8,
	/* And for outputs. */
	OUTPUTS = 4,
	/* The opset that new nodes are of. */
	OPSET = 23,
};

static int32_t
fail(struct expand *expand)
{
	expand->failed = true;
	return -1;
}

static struct node *
last_node(const struct expand *expand)
{
	return &expand->graph->nodes[expand->graph->node_count - 1];
}

int32_t
expand_input(const struct expand *expand, uint32_t input)
{
	return input < expand->node.input_count ? expand->node.inputs[input] : -1;
}

bool
expand_wants(const struct expand *expand, uint32_t output)
{
	return output < expand->node.output_count && expand->node.outputs[output] >= 0;
}

int32_t
expand_op(struct expand *expand, const char *op_type, uint32_t count, const int32_t *inputs)
{
	if (expand->failed)
		return -1;
	while (count != 0 && inputs[count - 1] < 0)
		count--;
	struct node *node = graph_add_node(expand->graph, op_type, count, OUTPUTS, ATTRIBUTES);
	if (node == NULL)
		return fail(expand);
	node->name = expand->node.name;
	node->opset = OPSET;
	node->attribute_count = 0;
	node->output_count = 0;
	for (uint32_t i = 0; i < count; i++)
		node->inputs[i] = inputs[i];
	return expand_more(expand);
}

int32_t
expand_more(struct expand *expand)
{
	int32_t value = expand->failed ? -1 : graph_add_value(expand->graph, expand->node.name);
	if (value < 0)
		return fail(expand);
	struct node *node = last_node(expand);
	node->outputs[node->output_count++] = value;
	return value;
}

void
expand_own(struct expand *expand)
{
	if (expand->failed)
		return;
	last_node(expand)->domain = "tidepool";
	last_node(expand)->opset = 1;
}

static void
add_attribute(struct expand *expand, struct attribute attribute)
{
	if (expand->failed)
		return;
	struct node *node = last_node(expand);
	node->attributes[node->attribute_count++] = attribute;
}

void
expand_int(struct expand *expand, const char *name, int64_t value)
{
	add_attribute(expand, (struct attribute){ name, ATTRIBUTE_INT, 0, { .i = value } });
}

void
expand_float(struct expand *expand, const char *name, float value)
{
	add_attribute(expand, (struct attribute){ name, ATTRIBUTE_FLOAT, 0, { .f = value } });
}

void
expand_text(struct expand *expand, const char *name, const char *value)
{
	add_attribute(expand, (struct attribute){ name, ATTRIBUTE_STRING, 0, { .s = value } });
}

void
expand_ints(struct expand *expand, const char *name, uint32_t count, const int64_t *values)
{
	int64_t *copy = arena_calloc(expand->graph->arena, count, sizeof(copy[0]));
	if (copy == NULL) {
		fail(expand);
		return;
	}
	memcpy(copy, values, count * sizeof(copy[0]));
	add_attribute(expand, (struct attribute){ name, ATTRIBUTE_INTS, count, { .ints = copy } });
}

void
expand_inherit(struct expand *expand)
{
	if (expand->failed)
		return;
	struct node *node = last_node(expand);
	uint32_t count = expand->node.attribute_count;
	node->attributes =
		arena_calloc(expand->graph->arena, count + ATTRIBUTES, sizeof(node->attributes[0]));
	if (node->attributes == NULL) {
		fail(expand);
		return;
	}
	if (count != 0)
		memcpy(node->attributes, expand->node.attributes,
		       count * sizeof(node->attributes[0]));
	node->attribute_count = count;
}

int32_t
expand_numbers(struct expand *expand, uint32_t count, const int64_t *values)
{
	void *data;
	int64_t dims[1] = { count };
	int32_t value = expand->failed ? -1
				       : match_add_constant(expand->graph, expand->node.name,
							    DATA_TYPE_INT64, 1, dims, &data);
	if (value < 0)
		return fail(expand);
	memcpy(data, values, count * sizeof(values[0]));
	return value;
}

int32_t
expand_scalar(struct expand *expand, float number)
{
	void *data;
	int64_t none[1] = { 0 };
	int32_t value = expand->failed ? -1
				       : match_add_constant(expand->graph, expand->node.name,
							    DATA_TYPE_FLOAT, 0, none, &data);
	if (value < 0)
		return fail(expand);
	*(float *)data = number;
	return value;
}

/* Does a node that was added for this one make the value? Let it, and who reads it, call it `output`. */
static bool
rename(struct expand *expand, int32_t value, int32_t output)
{
	bool found = false;
	for (uint32_t i = expand->first; i < expand->graph->node_count; i++) {
		struct node *node = &expand->graph->nodes[i];
		for (uint32_t k = 0; k < node->output_count; k++) {
			if (node->outputs[k] != value)
				continue;
			node->outputs[k] = output;
			found = true;
		}
		for (uint32_t k = 0; k < node->input_count; k++)
			if (node->inputs[k] == value && found)
				node->inputs[k] = output;
	}
	return found;
}

int32_t
expand_give(struct expand *expand, uint32_t output, int32_t value)
{
	if (expand->failed || !expand_wants(expand, output))
		return value;
	if (rename(expand, value, expand->node.outputs[output]))
		return expand->node.outputs[output];
	EXPAND(expand, "Identity", value);
	if (!expand->failed)
		last_node(expand)->outputs[0] = expand->node.outputs[output];
	return value;
}

void
expand_refuse(struct expand *expand, const char *what)
{
	const struct node *node = &expand->node;
	if (expand->failed)
		return;
	error_set(ERR_UNIMPLEMENTED, "node %s: operator %s%s%s of opset %d: %s is not supported",
		  node->name, node->domain, node->domain[0] != '\0' ? "." : "", node->op_type,
		  node->opset, what);
	expand->failed = true;
}

int32_t
expand_transpose(struct expand *expand, int32_t value, uint32_t rank, const int64_t *order)
{
	int32_t transposed = EXPAND(expand, "Transpose", value);
	expand_ints(expand, "perm", rank, order);
	return transposed;
}

int32_t
expand_scale(struct expand *expand, int32_t value, float factor)
{
	int32_t factors = EXPAND(expand, "CastLike", expand_scalar(expand, factor), value);
	return EXPAND(expand, "Mul", value, factors);
}
