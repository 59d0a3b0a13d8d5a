/*
 * Attention as exporters write it: MatMul(Softmax(MatMul(Q, K') scale + mask), V) becomes one node that keeps the scores in the
 * cache. Scalars on Q, K' or the scores are its scale, and transpositions before and behind it are how it reads and writes.
 */
#include <math.h>
#include <string.h>

#include "exec/attention.h"
#include "exec/cast.h"
#include "model/match.h"
#include "model/pass.h"

enum {
	MIN_RANK = 3,
	MAX_RANK = 4,
};

/* A tensor whose dimension order[i] is dimension i of what a product reads or gives. */
struct view {
	int32_t value;
	int64_t order[MAX_RANK];
};

struct found {
	struct view q;
	struct view k;
	struct view v;
	/* -1: none. */
	int32_t mask;
	float scale;
	/* The node whose result the whole gives, and how that lies. */
	struct node *last;
	int64_t out_order[MAX_RANK];
	uint32_t rank;
};

static const struct tensor_type *
type_of(const struct match *match, int32_t value)
{
	return &match->graph->values[value].type;
}

/* The node that makes the value for one reader; NULL when there are others. */
static struct node *
sole_producer(const struct match *match, int32_t value)
{
	int32_t producer = match->producers[value];
	if (producer < 0 || match->uses[value] != 1)
		return NULL;
	return &match->graph->nodes[producer];
}

/* A Transpose's order; false when it is none of that rank. */
static bool
read_order(const struct match *match, const struct node *node, uint32_t rank, int64_t *order)
{
	uint32_t count;
	if (node == NULL || !match_is(node, "Transpose") ||
	    type_of(match, node->inputs[0])->rank != rank)
		return false;
	const int64_t *perm = node_ints(node, "perm", &count);
	if (perm != NULL && count != rank)
		return false;
	for (uint32_t i = 0; i < rank; i++) {
		order[i] = perm == NULL ? (int64_t)(rank - 1 - i) : perm[i];
		order[i] += order[i] < 0 ? rank : 0;
	}
	return true;
}

/* The float that a constant of one element is, NAN when it is none. */
static float
scalar_of(const struct match *match, int32_t value)
{
	const struct constant *constant = match->graph->values[value].constant;
	if (constant == NULL || tensor_elements(&constant->type) != 1)
		return NAN;
	enum data_type type = constant->type.data_type;
	if (type != DATA_TYPE_FLOAT && type != DATA_TYPE_FLOAT16 && type != DATA_TYPE_BFLOAT16)
		return NAN;
	constant = constant_aligned(constant, match->graph->arena);
	return constant != NULL ? (float)cast_get(type, constant->data, 0) : NAN;
}

/* Multiply *scale by what the node does to its other input; false when it is no product with a scalar. */
static bool
take_scalar(const struct match *match, const struct node *node, float *scale, int32_t *value)
{
	bool multiplies = match_is(node, "Mul");
	if (!multiplies && !match_is(node, "Div"))
		return false;
	uint32_t which = multiplies && isnan(scalar_of(match, node->inputs[1])) ? 0 : 1;
	float scalar = scalar_of(match, node->inputs[which]);
	if (isnan(scalar))
		return false;
	*scale = multiplies ? *scale * scalar : *scale / scalar;
	*value = node->inputs[1 - which];
	return true;
}

/* Look through transpositions, and with a scale through products with scalars. */
static void
look_through(const struct match *match, struct view *view, uint32_t rank, float *scale)
{
	for (;;) {
		int64_t order[MAX_RANK], composed[MAX_RANK];
		int32_t producer = match->producers[view->value];
		const struct node *node = producer >= 0 ? &match->graph->nodes[producer] : NULL;
		if (node == NULL || node->op_type == NULL)
			return;
		if (read_order(match, node, rank, order)) {
			for (uint32_t i = 0; i < rank; i++)
				composed[i] = order[view->order[i]];
			memcpy(view->order, composed, sizeof(composed));
			view->value = node->inputs[0];
		} else if (scale == NULL || match->uses[view->value] != 1 ||
			   !take_scalar(match, node, scale, &view->value)) {
			return;
		}
	}
}

/* Does the node normalise the last dimension of scores of three or four dimensions, FP32 or narrow ones? */
static bool
is_softmax(const struct match *match, const struct node *node, bool narrow)
{
	if (!match_is(node, "Softmax"))
		return false;
	const struct tensor_type *type = type_of(match, node->inputs[0]);
	int64_t axis = node_int(node, "axis", node->opset < 13 ? 1 : -1);
	bool is_narrow =
		type->data_type == DATA_TYPE_FLOAT16 || type->data_type == DATA_TYPE_BFLOAT16;
	return (narrow ? is_narrow : type->data_type == DATA_TYPE_FLOAT) &&
	       type->rank >= MIN_RANK && type->rank <= MAX_RANK &&
	       (axis == -1 || axis == (int64_t)type->rank - 1) && tensor_elements(type) != 0;
}

/* May the value be added to the scores as a mask: broadcast, but for its last dimension? */
static bool
is_mask(const struct tensor_type *mask, const struct tensor_type *scores)
{
	if (mask->data_type != scores->data_type || mask->rank == 0 || mask->rank > scores->rank ||
	    mask->dims[mask->rank - 1] != scores->dims[scores->rank - 1])
		return false;
	for (uint32_t i = 0; i < mask->rank; i++) {
		int64_t dim = scores->dims[scores->rank - mask->rank + i];
		if (mask->dims[i] != 1 && mask->dims[i] != dim)
			return false;
	}
	return true;
}

/* Can the value be what a mask is added to: the product, maybe scaled? */
static bool
leads_to_product(const struct match *match, int32_t value)
{
	float scale = 1;
	for (;;) {
		const struct node *node = sole_producer(match, value);
		if (node == NULL || node->op_type == NULL)
			return false;
		if (match_is(node, "MatMul"))
			return true;
		if (!take_scalar(match, node, &scale, &value))
			return false;
	}
}

/* A sum with a mask right before the softmax: *value becomes what it is added to. False when the sum is another one. */
static bool
take_mask(const struct match *match, struct found *found, int32_t *value)
{
	const struct node *add = sole_producer(match, *value);
	const struct tensor_type *scores = type_of(match, *value);
	if (add == NULL || !match_is(add, "Add"))
		return true;
	for (uint32_t i = 0; i < 2; i++) {
		int32_t product = add->inputs[i], mask = add->inputs[1 - i];
		if (tensor_type_equal(type_of(match, product), scores) &&
		    leads_to_product(match, product) && is_mask(type_of(match, mask), scores)) {
			found->mask = mask;
			*value = product;
			return true;
		}
	}
	return false;
}

/* Q, K, mask and scale, from the scores. */
static bool
read_scores(const struct match *match, int32_t scores, struct found *found)
{
	found->mask = -1;
	found->scale = 1;
	if (match->uses[scores] != 1 || !take_mask(match, found, &scores))
		return false;
	const struct node *product = sole_producer(match, scores);
	while (product != NULL && take_scalar(match, product, &found->scale, &scores))
		product = sole_producer(match, scores);
	if (product == NULL || !match_is(product, "MatMul"))
		return false;
	found->q.value = product->inputs[0];
	found->k.value = product->inputs[1];
	for (uint32_t i = 0; i < found->rank; i++)
		found->q.order[i] = found->k.order[i] = i;
	/* K' has rows and columns the other way round. */
	found->k.order[found->rank - 2] = found->rank - 1;
	found->k.order[found->rank - 1] = found->rank - 2;
	return type_of(match, found->q.value)->rank == found->rank &&
	       type_of(match, found->k.value)->rank == found->rank;
}

/* V and where the result goes, from the softmax. */
static bool
read_mixing(const struct match *match, const struct node *softmax, struct found *found)
{
	struct node *product = match_sole_consumer(match, softmax->outputs[0]);
	if (product == NULL || !match_is(product, "MatMul") ||
	    product->inputs[0] != softmax->outputs[0] ||
	    type_of(match, product->inputs[1])->rank != found->rank)
		return false;
	found->v.value = product->inputs[1];
	for (uint32_t i = 0; i < found->rank; i++)
		found->v.order[i] = found->out_order[i] = i;
	found->last = product;
	struct node *next = match_sole_consumer(match, product->outputs[0]);
	int64_t order[MAX_RANK];
	if (read_order(match, next, found->rank, order)) {
		memcpy(found->out_order, order, sizeof(order));
		found->last = next;
	}
	return true;
}

/* Are the batches of all three the same, none repeated, and narrow ones' dimensions not too large? */
static bool
are_alike(const struct match *match, const struct found *found)
{
	const struct tensor_type *q = type_of(match, found->q.value);
	const struct tensor_type *k = type_of(match, found->k.value);
	const struct tensor_type *v = type_of(match, found->v.value);
	for (uint32_t i = 0; i + 2 < found->rank; i++)
		if (q->dims[i] != k->dims[i] || q->dims[i] != v->dims[i])
			return false;
	uint32_t last = found->rank - 1;
	return q->data_type == DATA_TYPE_FLOAT ||
	       (q->dims[last] <= ATTENTION_NARROW_WIDTH && v->dims[last] <= ATTENTION_NARROW_WIDTH);
}

static int
set_order(struct graph *graph, struct attribute *attribute, const char *name, const int64_t *order,
	  uint32_t rank)
{
	int64_t *ints = arena_alloc(graph->arena, rank * sizeof(ints[0]));
	if (ints == NULL)
		return -1;
	memcpy(ints, order, rank * sizeof(ints[0]));
	*attribute = (struct attribute){ .name = name, .kind = ATTRIBUTE_INTS, .count = rank };
	attribute->as.ints = ints;
	return 0;
}

/* Attention(q, k, v, mask) in the place of the last node. */
static int
rewrite(struct graph *graph, const struct found *found)
{
	enum { INPUTS = 4, ATTRIBUTES = 5 };
	struct node *node = found->last;
	int32_t *inputs = arena_alloc(graph->arena, INPUTS * sizeof(inputs[0]));
	struct attribute *attributes = arena_calloc(graph->arena, ATTRIBUTES, sizeof(*attributes));
	if (inputs == NULL || attributes == NULL ||
	    set_order(graph, &attributes[0], "q_perm", found->q.order, found->rank) != 0 ||
	    set_order(graph, &attributes[1], "k_perm", found->k.order, found->rank) != 0 ||
	    set_order(graph, &attributes[2], "v_perm", found->v.order, found->rank) != 0 ||
	    set_order(graph, &attributes[3], "out_perm", found->out_order, found->rank) != 0)
		return -1;
	attributes[4] = (struct attribute){ .name = "scale", .kind = ATTRIBUTE_FLOAT };
	attributes[4].as.f = found->scale;
	inputs[0] = found->q.value;
	inputs[1] = found->k.value;
	inputs[2] = found->v.value;
	inputs[3] = found->mask;
	node->op_type = "Attention";
	node->domain = "tidepool";
	node->opset = 1;
	node->inputs = inputs;
	node->input_count = found->mask >= 0 ? INPUTS : INPUTS - 1;
	node->attributes = attributes;
	node->attribute_count = ATTRIBUTES;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

static int
fuse(struct graph *graph, struct arena *scratch, bool narrow)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *softmax = &graph->nodes[i];
		if (!is_softmax(&match, softmax, narrow))
			continue;
		struct found found = { .rank = type_of(&match, softmax->inputs[0])->rank };
		if (!read_scores(&match, softmax->inputs[0], &found) ||
		    !read_mixing(&match, softmax, &found) || !are_alike(&match, &found))
			continue;
		look_through(&match, &found.q, found.rank, &found.scale);
		look_through(&match, &found.k, found.rank, &found.scale);
		look_through(&match, &found.v, found.rank, NULL);
		if (rewrite(graph, &found) != 0)
			return -1;
	}
	return 0;
}

int
pass_attention(struct graph *graph, struct arena *scratch)
{
	return fuse(graph, scratch, false);
}

int
pass_attention_narrow(struct graph *graph, struct arena *scratch)
{
	return fuse(graph, scratch, true);
}
