/*
 * What DenseNet does in front of its 1x1 convolutions, a factor and a summand a channel and Relu,
 * is done where the product reads its tensor, a part at a time that stays in the cache: the tensor
 * is not written and read once more.
 */
#include <string.h>

#include "exec/call.h"
#include "exec/op_conv.h"
#include "model/match.h"
#include "model/pass.h"

/* Is it a Scale, with nothing but Relu behind it, of channels that fill their blocks? */
static bool
is_scale(const struct graph *graph, const struct node *node)
{
	if (node->op_type == NULL || strcmp(node->op_type, "Scale") != 0 ||
	    strcmp(node->domain, "tidepool") != 0 || node->post_count > 1)
		return false;
	return graph->values[node->inputs[0]].type.dims[1] % layout_block() == 0 &&
	       (node->post_count == 0 || node->posts[0].kind == POST_RELU);
}

/* Is it a convolution of the value that is computed by exec/panels.h, and surely so? 1: yes; -1: no memory. */
static int
takes_scale(const struct graph *graph, const struct node *node, int32_t value,
	    struct arena *scratch)
{
	struct operator_call call;
	struct conv conv;
	if (!match_is(node, "Conv") || node->inputs[0] != value)
		return 0;
	if (call_create(&call, graph, node, node->op, scratch) != 0)
		return -1;
	return op_conv_read(&call, &conv) == 0 && op_conv_suits_panels(&call, &conv) &&
	       conv.out_channels % layout_block() == 0;
}

/* Let the convolution read what the scale reads. */
static int
fuse(struct graph *graph, struct node *scale, struct node *conv)
{
	enum { BIAS = 2 };
	uint32_t own = conv->input_count > BIAS ? conv->input_count : BIAS + 1;
	uint32_t attributes = conv->attribute_count;
	int32_t *inputs = arena_alloc(graph->arena, (own + 2) * sizeof(inputs[0]));
	struct attribute *all = arena_calloc(graph->arena, attributes + 1, sizeof(all[0]));
	if (inputs == NULL || all == NULL)
		return -1;
	for (uint32_t i = 0; i < own; i++)
		inputs[i] = i < conv->input_count ? conv->inputs[i] : -1;
	inputs[0] = scale->inputs[0];
	inputs[own] = scale->inputs[1];
	inputs[own + 1] = scale->inputs[2];
	if (attributes != 0)
		memcpy(all, conv->attributes, attributes * sizeof(all[0]));
	all[attributes] = (struct attribute){ .name = "relu", .kind = ATTRIBUTE_INT };
	all[attributes].as.i = scale->post_count;
	conv->inputs = inputs;
	conv->input_count = own + 2;
	conv->attributes = all;
	conv->attribute_count = attributes + 1;
	conv->op_type = "ScaledConv";
	conv->domain = "tidepool";
	conv->opset = 1;
	conv->op = operator_find(conv);
	scale->op_type = NULL;
	return conv->op != NULL ? 0 : -1;
}

int
pass_scaled(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *scale = &graph->nodes[i];
		struct node *conv = is_scale(graph, scale)
					    ? match_sole_consumer(&match, scale->outputs[0])
					    : NULL;
		if (conv == NULL)
			continue;
		int fits = takes_scale(graph, conv, scale->outputs[0], scratch);
		if (fits < 0 || (fits > 0 && fuse(graph, scale, conv) != 0))
			return -1;
	}
	return 0;
}
