/*
 * Inside of the ONNX importer; included by core/model/onnx*.c alone. The stages: map (onnx_files.c), cut the bulk data out
 * and bound the nesting (onnx_skeleton.c), decode (protobuf-c), then check and build (onnx_graph.c and its helpers).
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "model/onnx.h"
#include "onnx.pb-c.h"

enum {
	/* Messages inside one another; bodies in bodies take three levels each. */
	ONNX_DEPTH_MAX = 64,
	/* Function calls inside one another, and nodes in all once they are inlined. */
	ONNX_CALLS_MAX = 32,
	ONNX_NODES_MAX = 1 << 20,
	/* Attributes of one node; checked for duplicates pair by pair. */
	ONNX_ATTRIBUTES_MAX = 256,
	/* Opset imports of a model or function, looked through a node. */
	ONNX_IMPORTS_MAX = 64,
	/* In place of a value's index: an optional value that is absent; a name that means nothing. */
	ONNX_VALUE_ABSENT = -1,
	ONNX_VALUE_UNKNOWN = -2,
};

struct onnx_name;

/* Names to indices (onnx_names.c). */
struct onnx_names {
	/* Slots: a power of two, at most three quarters in use. */
	struct onnx_name *slots;
	uint32_t room;
	uint32_t count;
};

/* The state of one import. */
struct onnx_import {
	struct onnx_files *files;
	const Onnx__Model *model;
	/* The graph's memory; and memory that is freed when the import ends. */
	struct arena *arena;
	struct arena *scratch;
	/* Nodes added so far, in all graphs. */
	uint32_t node_count;
	/* Index in model->functions by domain, name and overload. */
	struct onnx_names functions;
};

/* --- onnx_names.c ------------------------------------------------------------------------------------------------- */

/* The index of name, or ONNX_VALUE_UNKNOWN. */
int32_t
onnx_names_find(const struct onnx_names *names, const char *name);

/* Add a name that is not there; it stays the caller's. -1 with RESOURCE_EXHAUSTED. */
int
onnx_names_add(struct onnx_names *names, struct arena *arena, const char *name, int32_t index);

/* --- onnx_files.c --------------------------------------------------------------------------------------------------- */

/* A file that is mapped. */
struct onnx_mapping {
	struct onnx_mapping *older;
	/* As opened. */
	char *path;
	unsigned char *data;
	size_t size;
	/* When it was mapped. */
	struct stat status;
};

/* Map the model file at path; fills *files, also on error. */
int
onnx_files_open(struct onnx_files *files, const char *path);

/* Map the file at location below the model's folder, once an import. -1 with the error set. */
int
onnx_files_external(struct onnx_files *files, const char *location, const unsigned char **data,
		    size_t *size);

/* Does it lie in one of the mapped files? */
bool
onnx_files_hold(const struct onnx_files *files, const void *data);

/* --- onnx_skeleton.c ------------------------------------------------------------------------------------------------ */

enum onnx_message {
	ONNX_MESSAGE_MODEL,
	ONNX_MESSAGE_TENSOR,
};

/*
 * A copy of the serialized message that protobuf-c can decode safely and in little memory: nesting bounded, lengths
 * checked, fields that are not read dropped, raw_data replaced by its place. *size is its length. In scratch.
 */
unsigned char *
onnx_skeleton(const unsigned char *data, size_t data_size, enum onnx_message message,
	      struct arena *scratch, size_t *size);

/* Hands protobuf-c memory from an arena. */
ProtobufCAllocator
onnx_allocator(struct arena *arena);

/* --- onnx_tensor.c -------------------------------------------------------------------------------------------------- */

/* Check the element type: 0, or -1 naming the type. */
int
onnx_check_data_type(int32_t data_type);

/* A checked constant from a decoded tensor; its data in arena or in the files. */
int
onnx_tensor_convert(struct onnx_files *files, struct arena *arena, const Onnx__Tensor *tensor,
		    struct constant *constant);

/* --- onnx_graph.c, onnx_node.c, onnx_attribute.c, onnx_constant.c, onnx_function.c, onnx_sort.c ------------------------------------------------------------------------- */

/* A call of a model-local function that is being inlined. */
struct onnx_call {
	const Onnx__Function *function;
	const Onnx__Node *node;
	/* The call that the calling node stands in, NULL outside functions. */
	const struct onnx_call *outer;
	int depth;
};

/* Where names have meaning: a graph, or a function's body within one. */
struct onnx_scope {
	struct graph *graph;
	struct onnx_names names;
	/* Where names that are not here are looked up: around a body; NULL at the top and in functions. */
	struct onnx_scope *outer;
	/* The function that attributes and opsets refer to; NULL outside functions. */
	const struct onnx_call *call;
	/* A function's own body, not one within it. */
	bool is_function;
};

/* The graph of the message; outer and call as in struct onnx_scope. NULL with the error set. */
struct graph *
onnx_graph_build(struct onnx_import *import, const Onnx__Graph *message, struct onnx_scope *outer,
		 const struct onnx_call *call);

/*
 * *index of the value called name in scope, bringing it in from around a body if need be: ONNX_VALUE_ABSENT for "",
 * ONNX_VALUE_UNKNOWN when nothing is called so. -1 with RESOURCE_EXHAUSTED.
 */
int
onnx_scope_find(struct onnx_import *import, struct onnx_scope *scope, const char *name,
		int32_t *index);

/* Add a value to the scope's graph and, when it has a name, to the scope. -1 with the error set. */
int32_t
onnx_scope_add(struct onnx_import *import, struct onnx_scope *scope, const char *name);

/* Add the values that nodes produce to the scope; duplicates are errors. */
int
onnx_nodes_declare(struct onnx_import *import, struct onnx_scope *scope, size_t count,
		   Onnx__Node *const *nodes);

/* Add the nodes to scope's graph, calls of functions inlined. */
int
onnx_nodes_build(struct onnx_import *import, struct onnx_scope *scope, size_t count,
		 Onnx__Node *const *nodes);

/* Is this an operator Constant with one output that is wanted? */
bool
onnx_node_is_constant(const struct node *node);

/* Turn the graph's last node, which is a Constant, into its output's value. */
int
onnx_constant_take(struct onnx_import *import, struct graph *graph);

/* Fill import->functions; names must be given once. */
int
onnx_functions_index(struct onnx_import *import);

/* *function is the model-local function that the node calls, or NULL. -1 with RESOURCE_EXHAUSTED. */
int
onnx_function_find(struct onnx_import *import, const Onnx__Node *node,
		   const Onnx__Function **function);

/* Add the function's nodes in place of a call whose outputs are declared already. */
int
onnx_function_inline(struct onnx_import *import, struct onnx_scope *scope, const Onnx__Node *node,
		     const Onnx__Function *function);

/* Check and convert the attributes of a node into node->attributes, of which there is room for all of them. */
int
onnx_attributes_build(struct onnx_import *import, struct onnx_scope *scope,
		      const Onnx__Node *message, struct node *node);

/*
 * Check that every value that is used comes from somewhere, once, and put the nodes into an order in which they can run,
 * keeping theirs when it is one. Cycles are errors.
 */
int
onnx_graph_sort(struct graph *graph, struct arena *scratch);

/* --- onnx.c --------------------------------------------------------------------------------------------------------- */

/* 0 when a name is free of control characters; else -1 naming what. */
int
onnx_check_name(const char *name, const char *what);

/* Version of the domain in the list of imports, 0 when it is not imported. "ai.onnx" is "". */
int64_t
onnx_opset_version(size_t count, Onnx__OperatorSetId *const *imports, const char *domain);

/* Check a list of opset imports. */
int
onnx_check_opsets(size_t count, Onnx__OperatorSetId *const *imports);

/* Domain as the graph has it: "" for ai.onnx. */
const char *
onnx_domain(const char *domain);
