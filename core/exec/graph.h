/*
 * The graph of a model: nodes in an order in which they can run, values between them. Filled by the
 * importer (model/onnx.h), changed by passes, read by the compiler. It stands in exec because
 * operators are described in its terms. Everything lives in the graph's arena, except constants'
 * data, which may point into the mapped file. One thread at a time.
 */
#pragma once

#include "base/arena.h"
#include "exec/tensor.h"

struct graph;
struct op;

enum { GRAPH_UNALIGNED_BYTES = 65536 };

enum attribute_kind {
	ATTRIBUTE_INT,
	ATTRIBUTE_FLOAT,
	ATTRIBUTE_STRING,
	ATTRIBUTE_TENSOR,
	ATTRIBUTE_GRAPH,
	ATTRIBUTE_INTS,
	ATTRIBUTE_FLOATS,
	ATTRIBUTE_STRINGS,
};

/*
 * A constant tensor. data: tensor_bytes(&type) bytes, aligned to the element size but for floats of GRAPH_UNALIGNED_BYTES
 * and more, which may lie anywhere in a mapped file and may still have to be scaled: use constant_write, or constant_aligned.
 * Booleans are 0 or 1.
 */
struct constant {
	struct tensor_type type;
	const void *data;
	/* What the floats of each index of dimension 0 are still to be multiplied by; NULL: the data is as it should be. */
	const float *factors;
};

struct attribute {
	const char *name;
	enum attribute_kind kind;
	/* Elements of ints, floats or strings. */
	uint32_t count;
	union {
		int64_t i;
		float f;
		const char *s;
		const int64_t *ints;
		const float *floats;
		const char *const *strings;
		const struct constant *tensor;
		struct graph *graph;
	} as;
};

/* A tensor that flows through the graph. */
struct value {
	const char *name;
	/*
	 * data_type DATA_TYPE_NONE until it was inferred. The importer fills in what inputs, outputs and constants declare;
	 * an input or output of unknown rank has a data_type but not has_type.
	 */
	struct tensor_type type;
	bool has_type;
	/* Not NULL for an initializer or a folded constant. */
	const struct constant *constant;
	/* In a body: index in the outer graph of the value that this one is, -1 when it is the body's own. */
	int32_t captured;
};

/* What is done to a node's output 0 before it is written; the posts pass puts element-wise neighbours here. */
enum post_kind {
	POST_RELU,
	/* min(max(x, alpha), beta) */
	POST_CLIP,
	/* x > 0 ? x : alpha x */
	POST_LEAKY_RELU,
	/* x > 0 ? x : alpha (exp(x) - 1) */
	POST_ELU,
	POST_SIGMOID,
	POST_TANH,
	/* x * sigmoid(alpha x) */
	POST_SWISH,
	/* x * min(max(x / 6 + 0.5, 0), 1) */
	POST_HARD_SWISH,
	POST_GELU_ERF,
	POST_GELU_TANH,
	/* alpha x + beta */
	POST_LINEAR,
	/* With another operand: the node's input `input`, broadcast. */
	POST_ADD,
	POST_MUL,
};

struct post {
	enum post_kind kind;
	float alpha;
	float beta;
	/* Index into node->inputs. */
	uint32_t input;
};

struct node {
	/* Operator, as in ONNX: "Conv". domain "" for ai.onnx. */
	const char *op_type;
	const char *domain;
	const char *name;
	/* Opset version of its domain in the model. */
	int opset;
	/* Values by index into graph->values; -1 for an optional one that is absent. */
	uint32_t input_count;
	uint32_t output_count;
	int32_t *inputs;
	int32_t *outputs;
	uint32_t attribute_count;
	struct attribute *attributes;
	/* In order; only for operators with OPERATOR_POSTS. */
	uint32_t post_count;
	struct post *posts;
	/* The operator's entry (exec/operator.h), once the compiler has looked it up. */
	const struct op *op;
};

struct graph {
	struct arena *arena;
	const char *name;
	/* Opset of the default domain. */
	int opset;
	/* The graph that a body of If, Loop or Scan stands in: its values may be used here by name; NULL at the top. */
	struct graph *outer;
	uint32_t value_count;
	uint32_t value_room;
	struct value *values;
	uint32_t node_count;
	uint32_t node_room;
	struct node *nodes;
	/* Model inputs that are not initializers, and outputs, by value index. */
	uint32_t input_count;
	int32_t *inputs;
	uint32_t output_count;
	int32_t *outputs;
};

/* Write the constant's tensor_bytes, scaled, to memory that is aligned to its elements. */
void
constant_write(const struct constant *constant, void *to);

/* The constant, or a copy in arena when its data is not aligned to its elements or not scaled. NULL with the error set. */
const struct constant *
constant_aligned(const struct constant *constant, struct arena *arena);

/* An empty graph in arena. NULL with RESOURCE_EXHAUSTED. */
struct graph *
graph_new(struct arena *arena);

/* Index of a new value; name is copied and may be NULL. -1 with the error set. */
int32_t
graph_add_value(struct graph *graph, const char *name);

/* A new node at the end, its arrays allocated (inputs and outputs -1). NULL with the error set. Moves graph->nodes. */
struct node *
graph_add_node(struct graph *graph, const char *op_type, uint32_t inputs, uint32_t outputs,
	       uint32_t attributes);

/* Take all nodes out, to be put back one by one with others between them; *count: how many. They stay as long as the graph. */
struct node *
graph_take_nodes(struct graph *graph, uint32_t *count);

/* Put one back at the end. -1 for want of memory. Moves graph->nodes. */
int
graph_put_node(struct graph *graph, const struct node *node);

/*
 * A copy in arena that can be changed: values, nodes and their inputs and outputs are new; names, attributes, constants
 * and bodies are shared. NULL with the error set.
 */
struct graph *
graph_copy(const struct graph *graph, struct arena *arena);

/* A copy in arena that shares nothing with graph: names, attributes, constants and bodies too. NULL with the error set. */
struct graph *
graph_copy_deep(const struct graph *graph, struct arena *arena);

/* How often each value is read by a node or is an output of the graph: value_count numbers in arena, or NULL. */
uint32_t *
graph_count_uses(const struct graph *graph, struct arena *arena);

/* Let all who read `old` (nodes, outputs, and bodies, which copies of the graph share) read `value`. */
void
graph_replace(struct graph *graph, int32_t old, int32_t value);

/* Take out nodes without an op_type (passes mark them so) and those that nobody needs. */
int
graph_sweep(struct graph *graph, struct arena *scratch);

enum {
	/* Room that node_title takes: longer names are cut. */
	NODE_TITLE_BYTES = 256,
};

/*
 * What messages call a node: "node NAME (TYPE)", and "TYPE" where the name says no more than that, as of an operator that a
 * handler has called. Written to title, which has NODE_TITLE_BYTES; returns it.
 */
const char *
node_title(const struct node *node, char *title);

/* The attribute of that name, or NULL. */
const struct attribute *
node_attribute(const struct node *node, const char *name);

/* The value of an attribute of that kind, or the fallback when it is absent or of another kind. */
int64_t
node_int(const struct node *node, const char *name, int64_t fallback);
float
node_float(const struct node *node, const char *name, float fallback);
const char *
node_string(const struct node *node, const char *name, const char *fallback);

/* The integers of an INTS attribute and how many; NULL and 0 when it is absent or of another kind. */
const int64_t *
node_ints(const struct node *node, const char *name, uint32_t *count);
