#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

static const char *
text_or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* What functions are told apart by, as one string in scratch. NULL with the error set. */
static const char *
function_key(struct arena *scratch, const char *domain, const char *name, const char *overload)
{
	domain = onnx_domain(text_or_empty(domain));
	name = text_or_empty(name);
	overload = text_or_empty(overload);
	size_t room = strlen(domain) + strlen(name) + strlen(overload) + 3;
	char *key = arena_alloc(scratch, room);
	if (key != NULL)
		snprintf(key, room, "%s\n%s\n%s", domain, name, overload);
	return key;
}

int
onnx_functions_index(struct onnx_import *import)
{
	const Onnx__Model *model = import->model;
	for (size_t i = 0; i < model->n_functions; i++) {
		const Onnx__Function *function = model->functions[i];
		const char *name = text_or_empty(function->name);
		if (onnx_check_name(name, "function") != 0 ||
		    onnx_check_name(text_or_empty(function->domain), "function's domain") != 0)
			return -1;
		if (onnx_check_opsets(function->n_opset_import, function->opset_import) != 0)
			return error_wrap("function '%s'", name);
		const char *key = function_key(import->scratch, function->domain, function->name,
					       function->overload);
		if (key == NULL)
			return -1;
		if (onnx_names_find(&import->functions, key) != ONNX_VALUE_UNKNOWN)
			return error_set(ERR_INVALID_ARGUMENT, "function '%s' is there twice",
					 name);
		if (onnx_names_add(&import->functions, import->scratch, key, (int32_t)i) != 0)
			return -1;
	}
	return 0;
}

int
onnx_function_find(struct onnx_import *import, const Onnx__Node *node,
		   const Onnx__Function **function)
{
	*function = NULL;
	if (import->functions.count == 0)
		return 0;
	const char *key =
		function_key(import->scratch, node->domain, node->op_type, node->overload);
	if (key == NULL)
		return -1;
	int32_t index = onnx_names_find(&import->functions, key);
	if (index >= 0)
		*function = import->model->functions[index];
	return 0;
}

/* Give the function's inputs the call's values; those that the call leaves out are absent. */
static int
bind_inputs(struct onnx_import *import, struct onnx_scope *caller, const Onnx__Node *node,
	    struct onnx_scope *scope, const Onnx__Function *function)
{
	if (node->n_input > function->n_input)
		return error_set(ERR_INVALID_ARGUMENT, "%zu inputs; the function has %zu",
				 node->n_input, function->n_input);
	for (size_t i = 0; i < function->n_input; i++) {
		const char *formal = function->input[i];
		const char *actual = i < node->n_input ? node->input[i] : "";
		int32_t index;
		if (onnx_check_name(actual, "input") != 0 ||
		    onnx_scope_find(import, caller, actual, &index) != 0)
			return -1;
		if (index == ONNX_VALUE_UNKNOWN)
			return error_set(ERR_INVALID_ARGUMENT,
					 "input %zu '%s' is produced by no node", i, actual);
		if (onnx_names_find(&scope->names, formal) != ONNX_VALUE_UNKNOWN)
			return error_set(ERR_INVALID_ARGUMENT,
					 "the function's input '%s' is there twice", formal);
		if (onnx_names_add(&scope->names, import->scratch, formal, index) != 0)
			return -1;
	}
	return 0;
}

/* An input that is an output too, at once: what the caller sees as output is a copy. */
static int
add_identity(struct graph *graph, int opset, int32_t from, int32_t to)
{
	struct node *node = graph_add_node(graph, "Identity", 1, 1, 0);
	if (node == NULL)
		return -1;
	node->opset = opset;
	node->inputs[0] = from;
	node->outputs[0] = to;
	return 0;
}

/* The call's value for its output i; ONNX_VALUE_ABSENT when it wants none. It was declared with the caller's nodes. */
static int32_t
actual_output(const struct onnx_scope *caller, const Onnx__Node *node, size_t i)
{
	if (i >= node->n_output || node->output[i][0] == '\0')
		return ONNX_VALUE_ABSENT;
	return onnx_names_find(&caller->names, node->output[i]);
}

static int
bind_outputs(struct onnx_import *import, struct onnx_scope *caller, const Onnx__Node *node,
	     struct onnx_scope *scope, const Onnx__Function *function)
{
	if (node->n_output > function->n_output)
		return error_set(ERR_INVALID_ARGUMENT, "%zu outputs; the function has %zu",
				 node->n_output, function->n_output);
	for (size_t i = 0; i < function->n_output; i++) {
		const char *formal = function->output[i];
		int32_t known = onnx_names_find(&scope->names, formal);
		int32_t actual = actual_output(caller, node, i);
		if (actual < 0)
			continue;
		if (known == ONNX_VALUE_ABSENT)
			return error_set(ERR_INVALID_ARGUMENT, "output %zu is an absent input", i);
		if (known >= 0) {
			if (add_identity(scope->graph, scope->graph->opset, known, actual) != 0)
				return -1;
		} else if (onnx_names_add(&scope->names, import->scratch, formal, actual) != 0) {
			return -1;
		}
	}
	return 0;
}

int
onnx_function_inline(struct onnx_import *import, struct onnx_scope *caller, const Onnx__Node *node,
		     const Onnx__Function *function)
{
	struct onnx_call call = {
		.function = function,
		.node = node,
		.outer = caller->call,
		.depth = caller->call != NULL ? caller->call->depth + 1 : 1,
	};
	struct onnx_scope scope = { .graph = caller->graph, .call = &call, .is_function = true };
	if (call.depth > ONNX_CALLS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "functions call each other %d deep",
				 call.depth);
	if (++import->node_count > ONNX_NODES_MAX)
		return error_set(ERR_RESOURCE_EXHAUSTED, "more than %d nodes", ONNX_NODES_MAX);
	if (bind_inputs(import, caller, node, &scope, function) != 0 ||
	    bind_outputs(import, caller, node, &scope, function) != 0 ||
	    onnx_nodes_declare(import, &scope, function->n_node, function->node) != 0)
		return -1;
	return onnx_nodes_build(import, &scope, function->n_node, function->node);
}
