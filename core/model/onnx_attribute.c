#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

/* AttributeProto.AttributeType. */
enum {
	TYPE_UNDEFINED = 0,
	TYPE_FLOAT = 1,
	TYPE_INT = 2,
	TYPE_STRING = 3,
	TYPE_TENSOR = 4,
	TYPE_GRAPH = 5,
	TYPE_FLOATS = 6,
	TYPE_INTS = 7,
	TYPE_STRINGS = 8,
	TYPE_END = 15,
};

static const char *const other_types[TYPE_END] = {
	[9] = "TENSORS",         [10] = "GRAPHS",     [11] = "SPARSE_TENSOR",
	[12] = "SPARSE_TENSORS", [13] = "TYPE_PROTO", [14] = "TYPE_PROTOS",
};

/* The attribute's type; files before IR version 2 leave it out, then the field that is there says it. */
static int
type_of(const Onnx__Attribute *message)
{
	if (message->type != TYPE_UNDEFINED)
		return message->type;
	if (message->has_f)
		return TYPE_FLOAT;
	if (message->has_i)
		return TYPE_INT;
	if (message->has_s)
		return TYPE_STRING;
	if (message->t != NULL)
		return TYPE_TENSOR;
	if (message->g != NULL)
		return TYPE_GRAPH;
	if (message->n_floats != 0)
		return TYPE_FLOATS;
	if (message->n_strings != 0)
		return TYPE_STRINGS;
	return TYPE_INTS;
}

/* Strings of attributes are bytes; ours end with a NUL. */
static const char *
copy_string(struct arena *arena, const ProtobufCBinaryData *bytes)
{
	if (bytes->len != 0 && memchr(bytes->data, 0, bytes->len) != NULL) {
		error_set(ERR_INVALID_ARGUMENT, "string holds a NUL");
		return NULL;
	}
	return arena_strndup(arena, (const char *)bytes->data, bytes->len);
}

static int
copy_strings(struct arena *arena, const Onnx__Attribute *message, struct attribute *attribute)
{
	const char **strings = arena_calloc(arena, message->n_strings, sizeof(*strings));
	if (strings == NULL)
		return -1;
	for (size_t i = 0; i < message->n_strings; i++) {
		strings[i] = copy_string(arena, &message->strings[i]);
		if (strings[i] == NULL)
			return -1;
	}
	attribute->kind = ATTRIBUTE_STRINGS;
	attribute->count = (uint32_t)message->n_strings;
	attribute->as.strings = strings;
	return 0;
}

/* A copy of count numbers of size bytes. */
static const void *
copy_numbers(struct arena *arena, const void *numbers, size_t count, size_t size)
{
	void *copy = arena_calloc(arena, count, size);
	if (copy != NULL && count != 0)
		memcpy(copy, numbers, count * size);
	return copy;
}

static int
convert_tensor(struct onnx_import *import, const Onnx__Attribute *message,
	       struct attribute *attribute)
{
	if (message->t == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "tensor is missing");
	struct constant *tensor = arena_calloc(import->arena, 1, sizeof(*tensor));
	if (tensor == NULL)
		return -1;
	attribute->kind = ATTRIBUTE_TENSOR;
	attribute->as.tensor = tensor;
	return onnx_tensor_convert(import->files, import->arena, message->t, tensor);
}

static int
convert_graph(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Attribute *message,
	      struct attribute *attribute)
{
	if (message->g == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "graph is missing");
	attribute->kind = ATTRIBUTE_GRAPH;
	attribute->as.graph = onnx_graph_build(import, message->g, scope, scope->call);
	return attribute->as.graph == NULL ? -1 : 0;
}

static int
convert(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Attribute *message,
	struct attribute *attribute)
{
	struct arena *arena = import->arena;
	int type = type_of(message);
	switch (type) {
	case TYPE_FLOAT:
		attribute->kind = ATTRIBUTE_FLOAT;
		attribute->as.f = message->f;
		return 0;
	case TYPE_INT:
		attribute->kind = ATTRIBUTE_INT;
		attribute->as.i = message->i;
		return 0;
	case TYPE_STRING:
		attribute->kind = ATTRIBUTE_STRING;
		attribute->as.s = copy_string(arena, &message->s);
		return attribute->as.s == NULL ? -1 : 0;
	case TYPE_TENSOR:
		return convert_tensor(import, message, attribute);
	case TYPE_GRAPH:
		return convert_graph(import, scope, message, attribute);
	case TYPE_FLOATS:
		attribute->kind = ATTRIBUTE_FLOATS;
		attribute->count = (uint32_t)message->n_floats;
		attribute->as.floats =
			copy_numbers(arena, message->floats, message->n_floats, sizeof(float));
		return attribute->as.floats == NULL ? -1 : 0;
	case TYPE_INTS:
		attribute->kind = ATTRIBUTE_INTS;
		attribute->count = (uint32_t)message->n_ints;
		attribute->as.ints =
			copy_numbers(arena, message->ints, message->n_ints, sizeof(int64_t));
		return attribute->as.ints == NULL ? -1 : 0;
	case TYPE_STRINGS:
		return copy_strings(arena, message, attribute);
	default:
		if (type > 0 && type < TYPE_END && other_types[type] != NULL)
			return error_set(ERR_UNIMPLEMENTED, "type %s is not supported",
					 other_types[type]);
		return error_set(ERR_INVALID_ARGUMENT, "type %d does not exist", type);
	}
}

static const Onnx__Attribute *
attribute_named(size_t count, Onnx__Attribute *const *attributes, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (attributes[i]->name != NULL && strcmp(attributes[i]->name, name) == 0)
			return attributes[i];
	}
	return NULL;
}

/*
 * Inside a function: what an attribute that refers to one of the function's stands for, from the call or the function's
 * defaults. NULL: the caller gave none, so there is none.
 */
static const Onnx__Attribute *
resolve_reference(const struct onnx_call *call, const Onnx__Attribute *message)
{
	while (message != NULL && message->ref_attr_name != NULL &&
	       message->ref_attr_name[0] != '\0') {
		const char *name = message->ref_attr_name;
		const Onnx__Function *function = call->function;
		message = attribute_named(call->node->n_attribute, call->node->attribute, name);
		if (message == NULL)
			return attribute_named(function->n_attribute_proto,
					       function->attribute_proto, name);
		call = call->outer;
		if (call == NULL)
			return message;
	}
	return message;
}

static int
build_attribute(struct onnx_import *import, struct onnx_scope *scope,
		const Onnx__Attribute *message, struct node *node)
{
	const char *name = message->name;
	if (name == NULL || name[0] == '\0')
		return error_set(ERR_INVALID_ARGUMENT, "attribute %" PRIu32 " has no name",
				 node->attribute_count);
	if (onnx_check_name(name, "attribute") != 0)
		return -1;
	if (node_attribute(node, name) != NULL)
		return error_set(ERR_INVALID_ARGUMENT, "attribute '%s' is there twice", name);
	bool refers = message->ref_attr_name != NULL && message->ref_attr_name[0] != '\0';
	if (refers && scope->call == NULL)
		return error_set(ERR_INVALID_ARGUMENT,
				 "attribute '%s' refers to '%s' outside of a function", name,
				 message->ref_attr_name);
	if (refers)
		message = resolve_reference(scope->call, message);
	if (message == NULL)
		return 0;
	struct attribute *attribute = &node->attributes[node->attribute_count];
	attribute->name = arena_strndup(import->arena, name, strlen(name));
	if (attribute->name == NULL)
		return -1;
	if (convert(import, scope, message, attribute) != 0)
		return error_wrap("attribute '%s'", name);
	node->attribute_count++;
	return 0;
}

int
onnx_attributes_build(struct onnx_import *import, struct onnx_scope *scope,
		      const Onnx__Node *message, struct node *node)
{
	if (message->n_attribute > ONNX_ATTRIBUTES_MAX)
		return error_set(ERR_UNIMPLEMENTED, "%zu attributes; at most %d are supported",
				 message->n_attribute, ONNX_ATTRIBUTES_MAX);
	node->attribute_count = 0;
	for (size_t i = 0; i < message->n_attribute; i++) {
		if (build_attribute(import, scope, message->attribute[i], node) != 0)
			return -1;
	}
	return 0;
}
