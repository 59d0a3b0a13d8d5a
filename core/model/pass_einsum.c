/*
 * An Einsum of two operands is a matrix product where it sums over what both have: each is laid out as [batch, rows, what is
 * summed], dimensions of a kind made one, and the product's are taken apart again. Where it sums over nothing it is a product
 * of elements. Everything else stays an Einsum: diagonals, sums over one operand, inner products without rows.
 */
#include <string.h>

#include "exec/call.h"
#include "exec/op_einsum.h"
#include "model/expand.h"
#include "model/match.h"
#include "model/pass.h"

/* What a label is to the product: of both operands and the result, of one and the result, of both alone. */
enum kind {
	/* Of an ellipsis, whose dimensions one operand may lack, too. */
	BATCH,
	ROWS,
	COLUMNS,
	SUMS,
	KINDS,
};

struct labels {
	uint32_t count;
	unsigned char label[TENSOR_MAX_RANK];
};

/* A product of operand `first` and the other one. */
struct contraction {
	const struct operator_call *call;
	const struct einsum_equation *equation;
	uint32_t first;
	struct labels kinds[KINDS];
};

/* A shape, or the order of dimensions. */
struct dims {
	uint32_t count;
	int64_t dims[2 * TENSOR_MAX_RANK];
};

static bool
has(const struct einsum_term *term, unsigned char label)
{
	return memchr(term->labels, label, term->rank) != NULL;
}

static uint32_t
place_of(const struct einsum_term *term, unsigned char label)
{
	return (uint32_t)((const unsigned char *)memchr(term->labels, label, term->rank) -
			  term->labels);
}

/* The length that the operand has for a label; 1 where an ellipsis repeats it. */
static int64_t
dim_of(const struct contraction *contraction, uint32_t operand, unsigned char label)
{
	const struct einsum_term *term = &contraction->equation->in[operand];
	if (!has(term, label))
		return 1;
	return contraction->call->inputs[operand].dims[place_of(term, label)];
}

static void
add(struct labels *labels, unsigned char label)
{
	labels->label[labels->count++] = label;
}

static int64_t
length_of(const struct contraction *contraction, enum kind kind)
{
	const struct labels *labels = &contraction->kinds[kind];
	int64_t length = 1;
	for (uint32_t i = 0; i < labels->count; i++)
		length *= contraction->equation->dims[labels->label[i]];
	return length;
}

/* No label twice, none that is summed over this operand alone, none that is repeated and summed. */
static bool
is_plain(const struct contraction *contraction, uint32_t operand)
{
	const struct einsum_equation *equation = contraction->equation;
	const struct einsum_term *term = &equation->in[operand];
	for (uint32_t i = 0; i < term->rank; i++) {
		unsigned char label = term->labels[i];
		bool is_out = has(&equation->out, label);
		if (place_of(term, label) != i ||
		    (!is_out && !has(&equation->in[1 - operand], label)) ||
		    (!is_out && dim_of(contraction, operand, label) != equation->dims[label]))
			return false;
	}
	return true;
}

static bool
is_batch(const struct contraction *contraction, unsigned char label)
{
	const struct einsum_equation *equation = contraction->equation;
	return has(&equation->out, label) &&
	       (label >= OP_EINSUM_ELLIPSIS ||
		(has(&equation->in[0], label) && has(&equation->in[1], label)));
}

/* Batches in the result's order, the rest in that of their own operand. */
static void
sort_labels(struct contraction *contraction)
{
	const struct einsum_equation *equation = contraction->equation;
	const struct einsum_term *a = &equation->in[contraction->first];
	const struct einsum_term *b = &equation->in[1 - contraction->first];
	for (uint32_t i = 0; i < equation->out.rank; i++)
		if (is_batch(contraction, equation->out.labels[i]))
			add(&contraction->kinds[BATCH], equation->out.labels[i]);
	for (uint32_t i = 0; i < a->rank; i++)
		if (!is_batch(contraction, a->labels[i]))
			add(&contraction->kinds[has(b, a->labels[i]) ? SUMS : ROWS], a->labels[i]);
	for (uint32_t i = 0; i < b->rank; i++)
		if (!is_batch(contraction, b->labels[i]) && !has(a, b->labels[i]))
			add(&contraction->kinds[COLUMNS], b->labels[i]);
}

/* How a tensor whose dimensions are `from` is transposed to have these kinds one behind the other, as far as it has them. */
static struct dims
order_of(const struct contraction *contraction, const struct einsum_term *from, uint32_t count,
	 const enum kind *kinds)
{
	struct dims order = { 0 };
	for (uint32_t i = 0; i < count; i++) {
		const struct labels *labels = &contraction->kinds[kinds[i]];
		for (uint32_t k = 0; k < labels->count; k++)
			if (has(from, labels->label[k]))
				order.dims[order.count++] = place_of(from, labels->label[k]);
	}
	return order;
}

static bool
is_identity(const struct dims *order)
{
	for (uint32_t i = 0; i < order->count; i++)
		if (order->dims[i] != (int64_t)i)
			return false;
	return true;
}

/* Does the result have its dimensions as the product leaves them? */
static bool
gives_result(const struct contraction *contraction)
{
	static const enum kind kinds[] = { BATCH, ROWS, COLUMNS };
	struct dims order = order_of(contraction, &contraction->equation->out, 3, kinds);
	return is_identity(&order);
}

/* Is it worth being a product? */
static bool
is_product(const struct contraction *contraction)
{
	const struct tensor_type *types = contraction->call->inputs;
	enum data_type data_type = types[0].data_type;
	for (uint32_t i = 0; i < 2; i++)
		if (types[i].data_type != data_type || tensor_elements(&types[i]) == 0 ||
		    !is_plain(contraction, i))
			return false;
	if (data_type != DATA_TYPE_FLOAT && data_type != DATA_TYPE_DOUBLE &&
	    data_type != DATA_TYPE_FLOAT16 && data_type != DATA_TYPE_BFLOAT16)
		return false;
	return contraction->kinds[SUMS].count == 0 ||
	       (contraction->kinds[BATCH].count + 2 <= TENSOR_MAX_RANK &&
		length_of(contraction, ROWS) * length_of(contraction, COLUMNS) > 1);
}

/* --- the nodes ------------------------------------------------------------------------------------------------------- */

static int32_t
reshape(struct expand *expand, int32_t value, const struct dims *shape)
{
	return EXPAND(expand, "Reshape", value, expand_numbers(expand, shape->count, shape->dims));
}

static int32_t
transpose(struct expand *expand, int32_t value, const struct dims *order)
{
	if (is_identity(order))
		return value;
	return expand_transpose(expand, value, order->count, order->dims);
}

/* An operand's own lengths of a kind; merged: their product. */
static void
append(struct dims *shape, const struct contraction *contraction, uint32_t operand, enum kind kind,
       bool merged)
{
	const struct labels *labels = &contraction->kinds[kind];
	int64_t all = 1;
	for (uint32_t i = 0; i < labels->count; i++) {
		int64_t dim = dim_of(contraction, operand, labels->label[i]);
		all *= dim;
		if (!merged)
			shape->dims[shape->count++] = dim;
	}
	if (merged)
		shape->dims[shape->count++] = all;
}

/* The operand as batches of matrices of these two kinds. */
static int32_t
matrices(struct expand *expand, const struct contraction *contraction, uint32_t operand,
	 enum kind down, enum kind across)
{
	const enum kind kinds[] = { BATCH, down, across };
	const struct labels *labels = contraction->kinds;
	struct dims order = order_of(contraction, &contraction->equation->in[operand], 3, kinds);
	struct dims shape = { 0 };
	int32_t value = transpose(expand, expand_input(expand, operand), &order);
	if (labels[down].count == 1 && labels[across].count == 1 &&
	    order.count == labels[BATCH].count + 2)
		return value;
	append(&shape, contraction, operand, BATCH, false);
	append(&shape, contraction, operand, down, true);
	append(&shape, contraction, operand, across, true);
	return reshape(expand, value, &shape);
}

/* The second operand as [batch, sums, columns]: as it lies, where that is the other way round, which products read. */
static int32_t
second_matrices(struct expand *expand, const struct contraction *contraction)
{
	static const enum kind kinds[] = { BATCH, COLUMNS, SUMS };
	uint32_t operand = 1 - contraction->first, batches = contraction->kinds[BATCH].count;
	struct dims order = order_of(contraction, &contraction->equation->in[operand], 3, kinds);
	if (!is_identity(&order))
		return matrices(expand, contraction, operand, SUMS, COLUMNS);
	struct dims swap = { .count = batches + 2 };
	for (uint32_t i = 0; i < batches; i++)
		swap.dims[i] = i;
	swap.dims[batches] = batches + 1;
	swap.dims[batches + 1] = batches;
	return transpose(expand, matrices(expand, contraction, operand, COLUMNS, SUMS), &swap);
}

/* The result, in the order of the output. */
static int32_t
output_of(struct expand *expand, const struct contraction *contraction, int32_t value)
{
	const struct einsum_equation *equation = contraction->equation;
	static const enum kind kinds[] = { BATCH, ROWS, COLUMNS };
	struct einsum_term made = { 0 };
	struct dims order = { .count = equation->out.rank };
	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t k = 0; k < contraction->kinds[kinds[i]].count; k++)
			made.labels[made.rank++] = contraction->kinds[kinds[i]].label[k];
	for (uint32_t i = 0; i < order.count; i++)
		order.dims[i] = place_of(&made, equation->out.labels[i]);
	return transpose(expand, value, &order);
}

static int32_t
multiply_matrices(struct expand *expand, const struct contraction *contraction)
{
	const struct labels *kinds = contraction->kinds;
	int32_t a = matrices(expand, contraction, contraction->first, ROWS, SUMS);
	int32_t b = second_matrices(expand, contraction);
	int32_t value = EXPAND(expand, "MatMul", a, b);
	if (kinds[ROWS].count == 1 && kinds[COLUMNS].count == 1)
		return value;
	struct dims shape = { 0 };
	for (uint32_t i = 0; i < kinds[BATCH].count; i++)
		shape.dims[shape.count++] = contraction->equation->dims[kinds[BATCH].label[i]];
	append(&shape, contraction, contraction->first, ROWS, false);
	append(&shape, contraction, 1 - contraction->first, COLUMNS, false);
	return reshape(expand, value, &shape);
}

/* Each with dimensions of 1 where the other has its own. */
static int32_t
multiply_elements(struct expand *expand, const struct contraction *contraction)
{
	static const enum kind kinds[2][2] = { { BATCH, ROWS }, { BATCH, COLUMNS } };
	int32_t values[2];
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t operand = i == 0 ? contraction->first : 1 - contraction->first;
		struct dims order =
			order_of(contraction, &contraction->equation->in[operand], 2, kinds[i]);
		struct dims shape = { 0 };
		values[i] = transpose(expand, expand_input(expand, operand), &order);
		append(&shape, contraction, operand, BATCH, false);
		for (uint32_t k = 0; k < contraction->kinds[ROWS].count && i == 1; k++)
			shape.dims[shape.count++] = 1;
		append(&shape, contraction, operand, kinds[i][1], false);
		for (uint32_t k = 0; k < contraction->kinds[COLUMNS].count && i == 0; k++)
			shape.dims[shape.count++] = 1;
		if (shape.count != order.count)
			values[i] = reshape(expand, values[i], &shape);
	}
	return EXPAND(expand, "Mul", values[0], values[1]);
}

/* --- the pass -------------------------------------------------------------------------------------------------------- */

static bool
is_typed(const struct graph *graph, const struct node *node)
{
	for (uint32_t i = 0; i < node->input_count; i++) {
		const struct tensor_type *type = &graph->values[node->inputs[i]].type;
		if (type->data_type == DATA_TYPE_NONE)
			return false;
		for (uint32_t k = 0; k < type->rank; k++)
			if (type->dims[k] < 0)
				return false;
	}
	return true;
}

/* The node as a contraction: 1, or 0 when it is none; -1 for want of memory. */
static int
read_contraction(const struct graph *graph, const struct node *node, struct arena *scratch,
		 struct contraction *contraction)
{
	struct operator_call *call = arena_calloc(scratch, 1, sizeof(*call));
	struct einsum_equation *equation = arena_calloc(scratch, 1, sizeof(*equation));
	if (call == NULL || equation == NULL ||
	    call_create(call, graph, node, node->op, scratch) != 0)
		return -1;
	*contraction = (struct contraction){ .call = call, .equation = equation };
	/* What is wrong with an equation is said when the node is inferred. */
	if (op_einsum_read(call, equation) != 0)
		return 0;
	sort_labels(contraction);
	if (!is_product(contraction))
		return 0;
	struct contraction swapped = { .call = call, .equation = equation, .first = 1 };
	sort_labels(&swapped);
	if (!gives_result(contraction) && gives_result(&swapped))
		*contraction = swapped;
	return 1;
}

/* The node at the end of the graph, or what it is made of. */
static int
place(struct graph *graph, const struct node *node, struct arena *scratch)
{
	struct contraction contraction;
	bool may_be = match_is(node, "Einsum") && node->input_count == 2 && is_typed(graph, node);
	int is_one = may_be ? read_contraction(graph, node, scratch, &contraction) : 0;
	if (is_one < 0)
		return -1;
	if (is_one > 0) {
		struct expand expand = { .graph = graph,
					 .node = *node,
					 .first = graph->node_count };
		int32_t value = contraction.kinds[SUMS].count != 0
					? multiply_matrices(&expand, &contraction)
					: multiply_elements(&expand, &contraction);
		expand_give(&expand, 0, output_of(&expand, &contraction, value));
		return expand.failed ? -1 : 0;
	}
	return graph_put_node(graph, node);
}

int
pass_einsum(struct graph *graph, struct arena *scratch)
{
	bool found = false;
	for (uint32_t i = 0; i < graph->node_count; i++)
		found |= match_is(&graph->nodes[i], "Einsum");
	if (!found)
		return 0;
	uint32_t count;
	const struct node *nodes = graph_take_nodes(graph, &count);
	for (uint32_t i = 0; i < count; i++)
		if (place(graph, &nodes[i], scratch) != 0)
			return -1;
	return 0;
}
