#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

bool
onnx_node_is_constant(const struct node *node)
{
	return node->domain[0] == '\0' && strcmp(node->op_type, "Constant") == 0 &&
	       node->input_count == 0 && node->output_count == 1 && node->outputs[0] >= 0;
}

static struct tensor_type
type_of(enum data_type data_type, uint32_t rank, uint32_t count)
{
	struct tensor_type type = { .data_type = data_type, .rank = rank };
	type.dims[0] = rank == 1 ? count : 0;
	return type;
}

/* The constant that one of the operator's attributes stands for; data may be the attribute's own. */
static int
read_value(const struct attribute *attribute, struct constant *constant)
{
	const char *name = attribute->name;
	if (attribute->kind == ATTRIBUTE_TENSOR && strcmp(name, "value") == 0) {
		*constant = *attribute->as.tensor;
	} else if (attribute->kind == ATTRIBUTE_FLOAT && strcmp(name, "value_float") == 0) {
		constant->type = type_of(DATA_TYPE_FLOAT, 0, 1);
		constant->data = &attribute->as.f;
	} else if (attribute->kind == ATTRIBUTE_INT && strcmp(name, "value_int") == 0) {
		constant->type = type_of(DATA_TYPE_INT64, 0, 1);
		constant->data = &attribute->as.i;
	} else if (attribute->kind == ATTRIBUTE_FLOATS && strcmp(name, "value_floats") == 0) {
		constant->type = type_of(DATA_TYPE_FLOAT, 1, attribute->count);
		constant->data = attribute->as.floats;
	} else if (attribute->kind == ATTRIBUTE_INTS && strcmp(name, "value_ints") == 0) {
		constant->type = type_of(DATA_TYPE_INT64, 1, attribute->count);
		constant->data = attribute->as.ints;
	} else {
		return error_set(ERR_UNIMPLEMENTED, "attribute '%s' is not supported", name);
	}
	return 0;
}

int
onnx_constant_take(struct onnx_import *import, struct graph *graph)
{
	struct node *node = &graph->nodes[graph->node_count - 1];
	struct value *value = &graph->values[node->outputs[0]];
	if (node->attribute_count != 1)
		return error_set(ERR_INVALID_ARGUMENT, "%u attributes where one gives the value",
				 node->attribute_count);
	if (value->constant != NULL)
		return error_set(ERR_INVALID_ARGUMENT, "output '%s' has another producer",
				 value->name != NULL ? value->name : "");
	struct constant *constant = arena_calloc(import->arena, 1, sizeof(*constant));
	if (constant == NULL || read_value(&node->attributes[0], constant) != 0)
		return -1;
	value->constant = constant;
	value->type = constant->type;
	value->has_type = true;
	graph->node_count--;
	return 0;
}
