#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

static const char *
text_or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* Put "node 3 'conv1' (Conv)" before the error; returns -1. */
static int
wrap_node(const Onnx__Node *message, size_t position)
{
	return error_wrap("node %zu '%s' (%s)", position, text_or_empty(message->name),
			  text_or_empty(message->op_type));
}

static int
declare_output(struct onnx_import *import, struct onnx_scope *scope, const char *name)
{
	if (name[0] == '\0')
		return 0;
	if (onnx_check_name(name, "output") != 0)
		return -1;
	int32_t known = onnx_names_find(&scope->names, name);
	/* A function's outputs are known before its nodes; onnx_graph_sort sees to it that one node alone makes each. */
	if (known != ONNX_VALUE_UNKNOWN && !scope->is_function)
		return error_set(ERR_INVALID_ARGUMENT, "output '%s' has another producer", name);
	if (known != ONNX_VALUE_UNKNOWN)
		return 0;
	return onnx_scope_add(import, scope, name) < 0 ? -1 : 0;
}

int
onnx_nodes_declare(struct onnx_import *import, struct onnx_scope *scope, size_t count,
		   Onnx__Node *const *nodes)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < nodes[i]->n_output; k++) {
			if (declare_output(import, scope, nodes[i]->output[k]) != 0)
				return wrap_node(nodes[i], i);
		}
	}
	return 0;
}

/* Find the values of the names; none may be unknown. */
static int
find_values(struct onnx_import *import, struct onnx_scope *scope, const char *what, size_t count,
	    char *const *names, int32_t *indices)
{
	for (size_t i = 0; i < count; i++) {
		if (onnx_check_name(names[i], what) != 0 ||
		    onnx_scope_find(import, scope, names[i], &indices[i]) != 0)
			return -1;
		if (indices[i] == ONNX_VALUE_UNKNOWN)
			return error_set(ERR_INVALID_ARGUMENT, "%s %zu '%s' is produced by no node",
					 what, i, names[i]);
	}
	return 0;
}

/* The version of the node's domain that its model or function imports. */
static int
find_opset(const struct onnx_import *import, const struct onnx_scope *scope,
	   const Onnx__Node *message, int *opset)
{
	const char *domain = text_or_empty(message->domain);
	int64_t version;
	if (scope->call != NULL)
		version = onnx_opset_version(scope->call->function->n_opset_import,
					     scope->call->function->opset_import, domain);
	else
		version = onnx_opset_version(import->model->n_opset_import,
					     import->model->opset_import, domain);
	if (version == 0)
		return error_set(ERR_INVALID_ARGUMENT, "opset_import: domain '%s' is missing",
				 domain);
	*opset = (int)version;
	return 0;
}

static int
fill_node(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Node *message,
	  struct node *node)
{
	const char *name = text_or_empty(message->name);
	const char *domain = onnx_domain(text_or_empty(message->domain));
	if (find_opset(import, scope, message, &node->opset) != 0)
		return -1;
	node->name = arena_strndup(import->arena, name, strlen(name));
	node->domain = arena_strndup(import->arena, domain, strlen(domain));
	if (node->name == NULL || node->domain == NULL)
		return -1;
	/* Bodies among the attributes may add values to this graph, but no nodes: node stays in place. */
	if (onnx_attributes_build(import, scope, message, node) != 0 ||
	    find_values(import, scope, "input", message->n_input, message->input, node->inputs) !=
		    0)
		return -1;
	return find_values(import, scope, "output", message->n_output, message->output,
			   node->outputs);
}

static int
build_node(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Node *message)
{
	const Onnx__Function *function;
	if (message->op_type == NULL || message->op_type[0] == '\0')
		return error_set(ERR_INVALID_ARGUMENT, "op_type is missing");
	if (onnx_check_name(message->op_type, "op_type") != 0 ||
	    onnx_check_name(text_or_empty(message->name), "name") != 0 ||
	    onnx_check_name(text_or_empty(message->domain), "domain") != 0)
		return -1;
	if (onnx_function_find(import, message, &function) != 0)
		return -1;
	if (function != NULL)
		return onnx_function_inline(import, scope, message, function);
	if (++import->node_count > ONNX_NODES_MAX)
		return error_set(ERR_RESOURCE_EXHAUSTED, "more than %d nodes", ONNX_NODES_MAX);
	struct node *node =
		graph_add_node(scope->graph, message->op_type, (uint32_t)message->n_input,
			       (uint32_t)message->n_output, (uint32_t)message->n_attribute);
	if (node == NULL || fill_node(import, scope, message, node) != 0)
		return -1;
	return onnx_node_is_constant(node) ? onnx_constant_take(import, scope->graph) : 0;
}

int
onnx_nodes_build(struct onnx_import *import, struct onnx_scope *scope, size_t count,
		 Onnx__Node *const *nodes)
{
	for (size_t i = 0; i < count; i++) {
		if (build_node(import, scope, nodes[i]) != 0)
			return wrap_node(nodes[i], i);
	}
	return 0;
}
