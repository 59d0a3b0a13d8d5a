#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

int32_t
onnx_scope_add(struct onnx_import *import, struct onnx_scope *scope, const char *name)
{
	bool is_named = name != NULL && name[0] != '\0';
	/* Names within functions mean nothing outside: a function may be called twice. */
	const char *public = is_named && scope->is_function ? NULL : name;
	int32_t index = graph_add_value(scope->graph, public);
	if (index < 0 || !is_named)
		return index;
	if (onnx_names_add(&scope->names, import->scratch, name, index) != 0)
		return -1;
	return index;
}

int
onnx_scope_find(struct onnx_import *import, struct onnx_scope *scope, const char *name,
		int32_t *index)
{
	int32_t outer;
	*index = ONNX_VALUE_ABSENT;
	if (name[0] == '\0')
		return 0;
	*index = onnx_names_find(&scope->names, name);
	if (*index != ONNX_VALUE_UNKNOWN || scope->outer == NULL)
		return 0;
	if (onnx_scope_find(import, scope->outer, name, &outer) != 0)
		return -1;
	if (outer < 0) {
		*index = outer;
		return 0;
	}
	*index = onnx_scope_add(import, scope, name);
	if (*index < 0)
		return -1;
	struct value *value = &scope->graph->values[*index];
	const struct value *from = &scope->outer->graph->values[outer];
	value->type = from->type;
	value->has_type = from->has_type;
	value->constant = from->constant;
	value->captured = outer;
	return 0;
}

/* Add a value that must be new to the scope itself. */
static int32_t
declare(struct onnx_import *import, struct onnx_scope *scope, const char *name, const char *what)
{
	if (name == NULL || name[0] == '\0')
		return error_set(ERR_INVALID_ARGUMENT, "%s has no name", what);
	if (onnx_check_name(name, what) != 0)
		return -1;
	if (onnx_names_find(&scope->names, name) != ONNX_VALUE_UNKNOWN)
		return error_set(ERR_INVALID_ARGUMENT, "%s '%s' is there twice", what, name);
	return onnx_scope_add(import, scope, name);
}

/* --- types ---------------------------------------------------------------------------------------------------------- */

/* Sequences are values within a graph, and so of its bodies; what goes into a model and comes out is tensors. */
static int
check_kind(const Onnx__Type *message, bool is_body)
{
	if (message->has_sequence_type && !is_body)
		return error_set(ERR_UNIMPLEMENTED, "type: sequences are not supported");
	if (message->has_map_type)
		return error_set(ERR_UNIMPLEMENTED, "type: maps are not supported");
	if (message->has_sparse_tensor_type)
		return error_set(ERR_UNIMPLEMENTED, "type: sparse tensors are not supported");
	if (message->has_optional_type)
		return error_set(ERR_UNIMPLEMENTED, "type: optional values are not supported");
	return 0;
}

/* Dimensions as declared: no value, or -1 as some exporters write, is an open one. */
static int
read_shape(const Onnx__Shape *message, struct tensor_type *type)
{
	if (message->n_dim > TENSOR_MAX_RANK)
		return error_set(ERR_UNIMPLEMENTED,
				 "shape: %zu dimensions; at most %d are supported", message->n_dim,
				 TENSOR_MAX_RANK);
	type->rank = (uint32_t)message->n_dim;
	for (uint32_t i = 0; i < type->rank; i++) {
		const Onnx__Dim *dim = message->dim[i];
		type->dims[i] = dim->has_dim_value ? dim->dim_value : TENSOR_DYNAMIC;
		if (type->dims[i] < TENSOR_DYNAMIC)
			return error_set(ERR_INVALID_ARGUMENT, "shape: dim %u is %" PRId64, i,
					 type->dims[i]);
	}
	return tensor_type_check(type);
}

/* Fill in what the message says about the value's type, which in a body may be nothing. */
static int
read_type(const Onnx__ValueInfo *message, struct value *value, bool is_body)
{
	const Onnx__Type *type = message->type;
	if (type != NULL && check_kind(type, is_body) != 0)
		return -1;
	const Onnx__TensorType *tensor = type != NULL ? type->tensor_type : NULL;
	if (tensor == NULL || tensor->elem_type == 0)
		return is_body ? 0 : error_set(ERR_INVALID_ARGUMENT, "type: no element type");
	if (onnx_check_data_type(tensor->elem_type) != 0)
		return error_wrap("type");
	value->type.data_type = (enum data_type)tensor->elem_type;
	if (tensor->shape == NULL)
		return 0;
	value->has_type = true;
	return read_shape(tensor->shape, &value->type);
}

/* --- inputs, initializers, outputs ---------------------------------------------------------------------------------- */

static int
add_inputs(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Graph *message)
{
	for (size_t i = 0; i < message->n_input; i++) {
		const Onnx__ValueInfo *input = message->input[i];
		int32_t index = declare(import, scope, input->name, "input");
		if (index < 0)
			return -1;
		if (read_type(input, &scope->graph->values[index], scope->outer != NULL) != 0)
			return error_wrap("input '%s'", input->name);
	}
	return 0;
}

/* The value of an initializer: new, or an input that thereby has a value and is none any more. */
static int32_t
initializer_value(struct onnx_import *import, struct onnx_scope *scope, const char *name)
{
	int32_t index = name != NULL ? onnx_names_find(&scope->names, name) : ONNX_VALUE_UNKNOWN;
	if (index < 0)
		return declare(import, scope, name, "initializer");
	if (scope->graph->values[index].constant != NULL)
		return error_set(ERR_INVALID_ARGUMENT, "initializer '%s' is there twice", name);
	if (scope->outer != NULL)
		return error_set(ERR_UNIMPLEMENTED,
				 "initializer '%s': default values for a body's inputs are not "
				 "supported",
				 name);
	return index;
}

static int
add_initializer(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Tensor *message)
{
	int32_t index = initializer_value(import, scope, message->name);
	if (index < 0)
		return -1;
	struct constant *constant = arena_calloc(import->arena, 1, sizeof(*constant));
	if (constant == NULL)
		return -1;
	if (onnx_tensor_convert(import->files, import->arena, message, constant) != 0)
		return error_wrap("initializer '%s'", message->name);
	struct value *value = &scope->graph->values[index];
	if (value->type.data_type != DATA_TYPE_NONE &&
	    value->type.data_type != constant->type.data_type)
		return error_set(ERR_INVALID_ARGUMENT, "initializer '%s' is %s, its input %s",
				 message->name, data_type_name(constant->type.data_type),
				 data_type_name(value->type.data_type));
	value->type = constant->type;
	value->has_type = true;
	value->constant = constant;
	return 0;
}

static int
add_initializers(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Graph *message)
{
	if (message->n_sparse_initializer != 0)
		return error_set(ERR_UNIMPLEMENTED,
				 "sparse_initializer: sparse tensors are not supported");
	for (size_t i = 0; i < message->n_initializer; i++) {
		if (add_initializer(import, scope, message->initializer[i]) != 0)
			return -1;
	}
	return 0;
}

/* The graph's inputs: those declared that no initializer gives a value. They come first among the values. */
static int
list_inputs(struct graph *graph, size_t declared)
{
	graph->inputs = arena_calloc(graph->arena, declared, sizeof(*graph->inputs));
	if (graph->inputs == NULL)
		return -1;
	for (size_t i = 0; i < declared; i++) {
		if (graph->values[i].constant == NULL)
			graph->inputs[graph->input_count++] = (int32_t)i;
	}
	return 0;
}

static int
add_output(struct onnx_import *import, struct onnx_scope *scope, const Onnx__ValueInfo *output)
{
	struct graph *graph = scope->graph;
	int32_t index;
	struct value declared = { 0 };
	if (output->name == NULL || output->name[0] == '\0')
		return error_set(ERR_INVALID_ARGUMENT, "output %" PRIu32 " has no name",
				 graph->output_count);
	if (onnx_check_name(output->name, "output") != 0 ||
	    onnx_scope_find(import, scope, output->name, &index) != 0)
		return -1;
	if (index < 0)
		return error_set(ERR_INVALID_ARGUMENT, "output '%s' is produced by no node",
				 output->name);
	if (read_type(output, &declared, scope->outer != NULL) != 0)
		return error_wrap("output '%s'", output->name);
	struct value *value = &graph->values[index];
	if (value->type.data_type == DATA_TYPE_NONE) {
		value->type = declared.type;
		value->has_type = declared.has_type;
	}
	graph->outputs[graph->output_count++] = index;
	return 0;
}

static int
add_outputs(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Graph *message)
{
	struct graph *graph = scope->graph;
	if (message->n_output == 0 && scope->outer == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "graph: no output");
	graph->outputs = arena_calloc(graph->arena, message->n_output, sizeof(*graph->outputs));
	if (graph->outputs == NULL)
		return -1;
	for (size_t i = 0; i < message->n_output; i++) {
		if (add_output(import, scope, message->output[i]) != 0)
			return -1;
	}
	return 0;
}

struct graph *
onnx_graph_build(struct onnx_import *import, const Onnx__Graph *message, struct onnx_scope *outer,
		 const struct onnx_call *call)
{
	const char *name = message->name != NULL ? message->name : "";
	struct graph *graph = graph_new(import->arena);
	if (graph == NULL || onnx_check_name(name, "graph") != 0)
		return NULL;
	struct onnx_scope scope = { .graph = graph, .outer = outer, .call = call };
	graph->outer = outer != NULL ? outer->graph : NULL;
	graph->opset = (int)onnx_opset_version(import->model->n_opset_import,
					       import->model->opset_import, "");
	graph->name = arena_strndup(import->arena, name, strlen(name));
	if (graph->name == NULL || add_inputs(import, &scope, message) != 0 ||
	    add_initializers(import, &scope, message) != 0 ||
	    list_inputs(graph, message->n_input) != 0 ||
	    onnx_nodes_declare(import, &scope, message->n_node, message->node) != 0 ||
	    onnx_nodes_build(import, &scope, message->n_node, message->node) != 0 ||
	    add_outputs(import, &scope, message) != 0 ||
	    onnx_graph_sort(graph, import->scratch) != 0)
		return NULL;
	return graph;
}
