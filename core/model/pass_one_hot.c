/*
 * A one-hot encoding (an index compared with 0, 1, 2, …) times a constant matrix picks a row of it. What follows element by
 * element is done to the rows once, when compiling, instead of to what is picked, at each run.
 */
#include <string.h>

#include "exec/call.h"
#include "model/match.h"
#include "model/pass.h"

/* Is the constant 0, 1, …, count - 1 along the last dimension, the others being 1? */
static bool
counts_up(const struct constant *constant, int64_t count)
{
	const struct tensor_type *type = &constant->type;
	if (type->rank == 0 || type->dims[type->rank - 1] != count ||
	    tensor_elements(type) != count)
		return false;
	for (int64_t i = 0; i < count; i++) {
		if (type->data_type == DATA_TYPE_INT32 && ((const int32_t *)constant->data)[i] == i)
			continue;
		if (type->data_type == DATA_TYPE_INT64 && ((const int64_t *)constant->data)[i] == i)
			continue;
		return false;
	}
	return true;
}

/* Does the value hold one index for each row of `encoded`: its dims, but 1 for the last? */
static bool
holds_indices(const struct tensor_type *type, const struct tensor_type *encoded)
{
	if (type->rank != encoded->rank || type->dims[type->rank - 1] != 1)
		return false;
	return memcmp(type->dims, encoded->dims, (type->rank - 1) * sizeof(type->dims[0])) == 0;
}

/* The indices that input 0 of the product encodes; -1 when it is no encoding. */
static int32_t
find_indices(const struct match *match, const struct node *product)
{
	const struct value *values = match->graph->values;
	const struct node *cast = match_sole_producer(match, product, 0, "Cast");
	const struct node *equal =
		cast != NULL ? match_sole_producer(match, cast, 0, "Equal") : NULL;
	if (equal == NULL)
		return -1;
	const struct tensor_type *encoded = &values[equal->outputs[0]].type;
	if (encoded->rank == 0)
		return -1;
	for (uint32_t i = 0; i < 2; i++) {
		const struct constant *numbers = values[equal->inputs[1 - i]].constant;
		if (numbers == NULL || !counts_up(numbers, encoded->dims[encoded->rank - 1]))
			continue;
		int32_t indices = equal->inputs[i];
		const struct node *expand = match_producer(match, equal, i, "Expand");
		if (expand != NULL && !holds_indices(&values[indices].type, encoded))
			indices = expand->inputs[0];
		if (values[indices].type.data_type == numbers->type.data_type &&
		    holds_indices(&values[indices].type, encoded))
			return indices;
	}
	return -1;
}

/* The matrix with a row of zeros behind the others, as a value. */
static int32_t
make_table(struct graph *graph, const struct constant *matrix)
{
	void *data;
	int64_t dims[2] = { matrix->type.dims[0] + 1, matrix->type.dims[1] };
	size_t bytes = tensor_bytes(&matrix->type);
	int32_t table = match_add_constant(graph, "table", DATA_TYPE_FLOAT, 2, dims, &data);
	if (table < 0)
		return -1;
	memcpy(data, matrix->data, bytes);
	memset((char *)data + bytes, 0, (size_t)dims[1] * sizeof(float));
	return table;
}

/* A constant that is one element, or one for each column, as a value of rank 1; -1 when it is not that. */
static int32_t
make_vector(struct graph *graph, const struct constant *constant, int64_t width)
{
	const struct tensor_type *type = &constant->type;
	int64_t elements = tensor_elements(type);
	void *data;
	if (type->data_type != DATA_TYPE_FLOAT ||
	    (elements != 1 && (elements != width || type->dims[type->rank - 1] != width)))
		return -1;
	int32_t value = match_add_constant(graph, "vector", DATA_TYPE_FLOAT, 1, &elements, &data);
	if (value >= 0)
		memcpy(data, constant->data, tensor_bytes(type));
	return value;
}

/*
 * What node gives for the table in the place of `picked`: a value of the table's type; -1 when it is not element-wise with
 * constants, or cannot be computed.
 */
static int32_t
apply_to_table(struct graph *graph, const struct node *node, int32_t picked, int32_t table,
	       struct arena *scratch)
{
	struct operator_call call;
	struct constant output;
	struct node once = *node;
	int64_t width = graph->values[table].type.dims[1];
	if ((node->op->flags & OPERATOR_IN_PLACE) == 0 || node->output_count != 1 ||
	    node->post_count != 0)
		return -1;
	once.inputs = arena_calloc(scratch, node->input_count, sizeof(once.inputs[0]));
	for (uint32_t i = 0; i < node->input_count && once.inputs != NULL; i++) {
		int32_t input = node->inputs[i];
		const struct constant *constant = input >= 0 ? graph->values[input].constant : NULL;
		once.inputs[i] = input == picked ? table : -1;
		if (input != picked && constant != NULL)
			once.inputs[i] = make_vector(graph, constant, width);
		if (once.inputs[i] < 0)
			return -1;
	}
	if (once.inputs == NULL || call_create(&call, graph, &once, node->op, scratch) != 0 ||
	    call_evaluate(&call, &output, graph->arena) != 0 ||
	    !tensor_type_equal(&output.type, &graph->values[table].type))
		return -1;
	void *data;
	int32_t value =
		match_add_constant(graph, "table", DATA_TYPE_FLOAT, 2, output.type.dims, &data);
	if (value >= 0)
		memcpy(data, output.data, tensor_bytes(&output.type));
	return value;
}

/* Lookup(indices, table) in the place of node. */
static int
become_lookup(struct graph *graph, struct node *node, int32_t indices, int32_t table)
{
	int32_t *inputs = arena_alloc(graph->arena, 2 * sizeof(inputs[0]));
	if (inputs == NULL)
		return -1;
	inputs[0] = indices;
	inputs[1] = table;
	node->op_type = "Lookup";
	node->domain = "tidepool";
	node->opset = 1;
	node->inputs = inputs;
	node->input_count = 2;
	node->attribute_count = 0;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

/* The one node that reads the value, maybe more than once; NULL when there are more, or the graph gives it out. */
static struct node *
next_of(const struct match *match, int32_t value)
{
	int32_t consumer = match->consumers[value];
	if (consumer < 0 || match->graph->nodes[consumer].op_type == NULL)
		return NULL;
	struct node *node = &match->graph->nodes[consumer];
	uint32_t reads = 0;
	for (uint32_t i = 0; i < node->input_count; i++)
		reads += node->inputs[i] == value;
	return reads == match->uses[value] ? node : NULL;
}

static int
rewrite(const struct match *match, struct node *node, struct arena *scratch)
{
	struct graph *graph = match->graph;
	const struct constant *matrix = match_floats(match, node, 1);
	if (matrix == NULL || matrix->type.rank != 2)
		return 0;
	int32_t indices = find_indices(match, node);
	int32_t table = indices >= 0 ? make_table(graph, matrix) : -1;
	if (table < 0)
		return 0;
	for (;;) {
		struct node *next = next_of(match, node->outputs[0]);
		int32_t applied = next == NULL ? -1
					       : apply_to_table(graph, next, node->outputs[0],
								table, scratch);
		if (applied < 0 || !tensor_type_equal(&graph->values[next->outputs[0]].type,
						      &graph->values[node->outputs[0]].type))
			break;
		node->op_type = NULL;
		node = next;
		table = applied;
	}
	return become_lookup(graph, node, indices, table);
}

int
pass_one_hot(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++)
		if (match_is(&graph->nodes[i], "MatMul") &&
		    rewrite(&match, &graph->nodes[i], scratch) != 0)
			return -1;
	return 0;
}
