/*
 * Posts: what is done element by element to the result of a convolution or matrix product is done before it is written,
 * while it is in registers: activations, scales, biases, residual sums.
 */
#include <math.h>
#include <string.h>

#include "exec/cast.h"
#include "model/match.h"
#include "model/pass.h"

/* More than models have in a row, fewer than a primitive takes. */
enum { POSTS_MAX = 8 };

struct fuser {
	struct match match;
	struct graph *graph;
	/* Of 16-bit floats, not FP32. */
	bool is_narrow;
};

/* Is that a type whose operators the pass is about? */
static bool
is_meant(const struct fuser *fuser, enum data_type data_type)
{
	bool is_half = data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
	return fuser->is_narrow ? is_half : data_type == DATA_TYPE_FLOAT;
}

/* Is input `input` a constant of one element? Writes it. */
static bool
read_scalar(const struct fuser *fuser, const struct node *node, uint32_t input, float *scalar)
{
	const struct constant *constant = match_reals(&fuser->match, node, input);
	if (constant == NULL || !is_meant(fuser, constant->type.data_type) ||
	    tensor_elements(&constant->type) != 1)
		return false;
	*scalar = (float)cast_get(constant->type.data_type, constant->data, 0);
	return true;
}

/* Is the node that operator of a tensor, input *other, and a scalar? */
static bool
is_with_scalar(const struct fuser *fuser, const struct node *node, const char *op_type,
	       float *scalar, uint32_t *other)
{
	if (!match_is(node, op_type) || node->input_count != 2)
		return false;
	for (uint32_t i = 0; i < 2; i++) {
		*other = 1 - i;
		if (read_scalar(fuser, node, i, scalar))
			return true;
	}
	return false;
}

static const struct {
	const char *op_type;
	enum post_kind kind;
	/* Attributes that alpha and beta are, and their defaults. */
	const char *alpha_name;
	float alpha;
} activations[] = {
	{ "Relu", POST_RELU, NULL, 0 },
	{ "LeakyRelu", POST_LEAKY_RELU, "alpha", 0.01f },
	{ "Elu", POST_ELU, "alpha", 1 },
	{ "Sigmoid", POST_SIGMOID, NULL, 0 },
	{ "Tanh", POST_TANH, NULL, 0 },
	{ "Swish", POST_SWISH, "alpha", 1 },
	{ "HardSwish", POST_HARD_SWISH, NULL, 0 },
};

/* A bound that Clip's input gives, if it is there. False when its value is not known here, or of another type. */
static bool
read_bound(const struct fuser *fuser, const struct node *node, uint32_t input, float *bound)
{
	bool is_given = input < node->input_count && node->inputs[input] >= 0;
	return !is_given || read_scalar(fuser, node, input, bound);
}

/* As unary_posts for Clip. */
static uint32_t
clip_post(const struct fuser *fuser, const struct node *node, struct post *post)
{
	float low = node_float(node, "min", -INFINITY);
	float high = node_float(node, "max", INFINITY);
	if (!read_bound(fuser, node, 1, &low) || !read_bound(fuser, node, 2, &high))
		return 0;
	*post = (struct post){ .kind = POST_CLIP, .alpha = low > high ? high : low, .beta = high };
	return 1;
}

/* A post for a function of one input; count of them (HardSigmoid is two), 0 when it is none. */
static uint32_t
unary_posts(const struct fuser *fuser, const struct node *node, struct post *posts)
{
	for (size_t i = 0; i < sizeof(activations) / sizeof(activations[0]); i++) {
		if (!match_is(node, activations[i].op_type))
			continue;
		float alpha = activations[i].alpha;
		if (activations[i].alpha_name != NULL)
			alpha = node_float(node, activations[i].alpha_name, alpha);
		posts[0] = (struct post){ .kind = activations[i].kind, .alpha = alpha };
		return 1;
	}
	if (match_is(node, "Gelu")) {
		bool tanh = strcmp(node_string(node, "approximate", "none"), "tanh") == 0;
		posts[0].kind = tanh ? POST_GELU_TANH : POST_GELU_ERF;
		return 1;
	}
	if (match_is(node, "Clip"))
		return clip_post(fuser, node, posts);
	if (match_is(node, "HardSigmoid")) {
		posts[0] = (struct post){ .kind = POST_LINEAR,
					  .alpha = node_float(node, "alpha", 0.2f),
					  .beta = node_float(node, "beta", 0.5f) };
		posts[1] = (struct post){ .kind = POST_CLIP, .alpha = 0, .beta = 1 };
		return 2;
	}
	return 0;
}

/* A scalar added, subtracted, multiplied or divided by. */
static bool
scalar_post(const struct fuser *fuser, const struct node *node, struct post *post)
{
	float scalar;
	uint32_t other;
	*post = (struct post){ .kind = POST_LINEAR, .alpha = 1 };
	if (is_with_scalar(fuser, node, "Mul", &scalar, &other))
		post->alpha = scalar;
	else if (is_with_scalar(fuser, node, "Add", &scalar, &other))
		post->beta = scalar;
	else if (is_with_scalar(fuser, node, "Div", &scalar, &other) && other == 0)
		post->alpha = 1 / scalar;
	else if (is_with_scalar(fuser, node, "Sub", &scalar, &other) && other == 0)
		post->beta = -scalar;
	else
		return false;
	return true;
}

/* May `operand` be a post's: just like the output, or one element a channel of it? */
static bool
operand_fits(const struct node *node, const struct tensor_type *out,
	     const struct tensor_type *operand)
{
	if (operand->data_type != out->data_type || operand->rank > out->rank)
		return false;
	if (tensor_type_equal(out, operand))
		return true;
	bool product = !match_is(node, "Conv");
	uint32_t channel = product ? out->rank - 1 : 1;
	uint32_t lead = out->rank - operand->rank;
	for (uint32_t i = 0; i < operand->rank; i++) {
		bool whole = i + lead == channel && operand->dims[i] == out->dims[channel];
		if (!whole && operand->dims[i] != 1)
			return false;
	}
	return true;
}

/* Room in the node for one more input behind the operator's own; its index. UINT32_MAX for want of memory. */
static uint32_t
add_input(struct graph *graph, struct node *node, int32_t value)
{
	uint32_t first = node->op->inputs[1];
	uint32_t index = node->input_count < first ? first : node->input_count;
	int32_t *inputs = arena_alloc(graph->arena, (index + 1) * sizeof(inputs[0]));
	if (inputs == NULL)
		return UINT32_MAX;
	for (uint32_t i = 0; i < index; i++)
		inputs[i] = i < node->input_count ? node->inputs[i] : -1;
	inputs[index] = value;
	node->inputs = inputs;
	node->input_count = index + 1;
	return index;
}

/* A sum or product with another tensor. 1: *post is it; 0: none; -1: no memory. */
static int
operand_post(struct fuser *fuser, struct node *node, const struct node *consumer, struct post *post)
{
	bool add = match_is(consumer, "Add");
	if ((!add && !match_is(consumer, "Mul")) || consumer->input_count != 2 ||
	    (node->op->flags & OPERATOR_UNARY_POSTS) != 0)
		return 0;
	uint32_t own = consumer->inputs[0] == node->outputs[0] ? 0 : 1;
	int32_t other = consumer->inputs[1 - own];
	const struct tensor_type *out = &fuser->graph->values[node->outputs[0]].type;
	if (other == node->outputs[0] ||
	    !operand_fits(node, out, &fuser->graph->values[other].type))
		return 0;
	uint32_t input = add_input(fuser->graph, node, other);
	if (input == UINT32_MAX)
		return -1;
	*post = (struct post){ .kind = add ? POST_ADD : POST_MUL, .input = input };
	return 1;
}

/* Gemm's own factor of C becomes a post too. */
static bool
scales_sum(const struct node *node)
{
	return match_is(node, "Gemm") && node_float(node, "beta", 1) != 1;
}

/* Does oneDNN do both with the same element-wise function? Then it gives both the same parameters (2.6), silently. */
static bool
are_twins(const struct post *a, const struct post *b)
{
	bool relu = a->kind == POST_RELU || a->kind == POST_LEAKY_RELU;
	if (a->kind == POST_ADD || a->kind == POST_MUL)
		return false;
	return a->kind == b->kind || (relu && b->kind == POST_LEAKY_RELU) ||
	       (a->kind == POST_LEAKY_RELU && b->kind == POST_RELU);
}

/* A linear post right behind another becomes one with it. */
static bool
merges(const struct node *node, const struct post *post)
{
	return post->kind == POST_LINEAR && node->post_count != 0 &&
	       node->posts[node->post_count - 1].kind == POST_LINEAR;
}

static bool
may_append(const struct node *node, const struct post *posts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (posts[i].kind == POST_LINEAR && scales_sum(node))
			return false;
		for (uint32_t k = 0; k < node->post_count; k++)
			if (are_twins(&node->posts[k], &posts[i]) &&
			    !(i == 0 && k + 1 == node->post_count && merges(node, posts)))
				return false;
	}
	return true;
}

static int
append_posts(struct graph *graph, struct node *node, const struct post *posts, uint32_t count)
{
	if (merges(node, posts)) {
		struct post *last = &node->posts[node->post_count - 1];
		last->beta = posts[0].alpha * last->beta + posts[0].beta;
		last->alpha *= posts[0].alpha;
		posts++;
		count--;
	}
	struct post *all = arena_alloc(graph->arena, (node->post_count + count) * sizeof(all[0]));
	if (all == NULL)
		return -1;
	if (node->post_count != 0)
		memcpy(all, node->posts, node->post_count * sizeof(all[0]));
	memcpy(all + node->post_count, posts, count * sizeof(all[0]));
	node->posts = all;
	node->post_count += count;
	return 0;
}

/*
 * Take the one node that reads *node's result into it; the result stands where that node stood, since its other operand may
 * be made in between. 1: done, *node is the new place; 0: nothing to take in.
 */
static int
fuse_consumer(struct fuser *fuser, struct node **node)
{
	struct post posts[2];
	struct node *consumer = match_sole_consumer(&fuser->match, (*node)->outputs[0]);
	if (consumer == NULL || consumer->output_count != 1 || (*node)->post_count + 2 > POSTS_MAX)
		return 0;
	const struct value *values = fuser->graph->values;
	if (!tensor_type_equal(&values[consumer->outputs[0]].type,
			       &values[(*node)->outputs[0]].type))
		return 0;
	uint32_t count = unary_posts(fuser, consumer, posts);
	if (count == 0)
		count = scalar_post(fuser, consumer, posts);
	if (count == 0) {
		int found = operand_post(fuser, *node, consumer, posts);
		if (found <= 0)
			return found;
		count = 1;
	}
	if (!may_append(*node, posts, count))
		return 0;
	if (append_posts(fuser->graph, *node, posts, count) != 0)
		return -1;
	int32_t *outputs = consumer->outputs;
	*consumer = **node;
	consumer->outputs = outputs;
	(*node)->op_type = NULL;
	*node = consumer;
	return 1;
}

/* Floats with elements, as the kernels that know posts want them. */
static bool
takes_posts(const struct fuser *fuser, const struct node *node)
{
	const struct graph *graph = fuser->graph;
	uint32_t flags = OPERATOR_POSTS | OPERATOR_UNARY_POSTS;
	if (node->op_type == NULL || (node->op->flags & flags) == 0)
		return false;
	/* Factors of a Scale are FP32 always. */
	uint32_t inputs = (node->op->flags & OPERATOR_UNARY_POSTS) != 0 ? 1 : 2;
	for (uint32_t i = 0; i < inputs; i++) {
		const struct tensor_type *type = &graph->values[node->inputs[i]].type;
		if (!is_meant(fuser, type->data_type) || tensor_elements(type) == 0)
			return false;
	}
	return node->output_count == 1;
}

static int
fuse_all(struct graph *graph, struct arena *scratch, bool is_narrow)
{
	struct fuser fuser = { .graph = graph, .is_narrow = is_narrow };
	if (match_create(&fuser.match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		if (!takes_posts(&fuser, node))
			continue;
		int fused;
		do {
			fused = fuse_consumer(&fuser, &node);
		} while (fused > 0);
		if (fused < 0)
			return -1;
	}
	return 0;
}

int
pass_posts(struct graph *graph, struct arena *scratch)
{
	return fuse_all(graph, scratch, false);
}

int
pass_posts_narrow(struct graph *graph, struct arena *scratch)
{
	return fuse_all(graph, scratch, true);
}
