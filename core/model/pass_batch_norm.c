/*
 * Batch normalisation by stored statistics is one factor and one summand a channel: into the weights and the bias of the
 * convolution before it, else a Scale node.
 */
#include <math.h>
#include <string.h>

#include "exec/cast.h"
#include "model/match.h"
#include "model/pass.h"

/* y = x * factors[c] + summands[c] */
struct affine {
	int64_t channels;
	float *factors;
	float *summands;
};

static double
element(const struct constant *constant, int64_t i)
{
	return cast_get(constant->type.data_type, constant->data, i);
}

/* The node's scale, bias, mean and variance as an affine function; false when they are no constants or it trains. */
static bool
read_affine(const struct match *match, const struct node *node, struct affine *affine,
	    struct arena *scratch)
{
	const struct constant *inputs[4];
	for (uint32_t i = 0; i < 4; i++) {
		inputs[i] = match_reals(match, node, i + 1);
		if (inputs[i] == NULL || inputs[i]->type.rank != 1 ||
		    inputs[i]->type.dims[0] != inputs[0]->type.dims[0])
			return false;
	}
	if (node_int(node, "training_mode", 0) != 0)
		return false;
	affine->channels = inputs[0]->type.dims[0];
	affine->factors = arena_calloc(scratch, (size_t)affine->channels, sizeof(float));
	affine->summands = arena_calloc(scratch, (size_t)affine->channels, sizeof(float));
	if (affine->factors == NULL || affine->summands == NULL)
		return false;
	float epsilon = node_float(node, "epsilon", 1e-5f);
	for (int64_t c = 0; c < affine->channels; c++) {
		double factor = element(inputs[0], c) / sqrt(element(inputs[3], c) + epsilon);
		affine->factors[c] = (float)factor;
		affine->summands[c] =
			(float)(element(inputs[1], c) - element(inputs[2], c) * factor);
	}
	return true;
}

/*
 * New weights: each output channel's times its factor, multiplied when they are packed: where a packed image is there
 * already, never. The value, or -1.
 */
static int32_t
scale_weights(struct graph *graph, const struct constant *weights, const struct affine *affine)
{
	struct constant *scaled = arena_alloc(graph->arena, sizeof(*scaled));
	float *factors = arena_calloc(graph->arena, (size_t)affine->channels, sizeof(factors[0]));
	int32_t value = graph_add_value(graph, "weights");
	if (scaled == NULL || factors == NULL || value < 0)
		return -1;
	for (int64_t c = 0; c < affine->channels; c++)
		factors[c] =
			affine->factors[c] * (weights->factors != NULL ? weights->factors[c] : 1);
	*scaled = *weights;
	scaled->factors = factors;
	graph->values[value].constant = scaled;
	graph->values[value].type = scaled->type;
	graph->values[value].has_type = true;
	return value;
}

/* New bias of that type; bias may be NULL. */
static int32_t
scale_bias(struct graph *graph, enum data_type data_type, const struct constant *bias,
	   const struct affine *affine)
{
	void *data;
	int32_t value = match_add_constant(graph, "bias", data_type, 1, &affine->channels, &data);
	if (value < 0)
		return -1;
	for (int64_t c = 0; c < affine->channels; c++) {
		float old = bias != NULL ? (float)element(bias, c) : 0;
		cast_set(data_type, data, c, old * affine->factors[c] + affine->summands[c]);
	}
	return value;
}

/* The convolution takes the affine function in and makes output itself. */
static int
fold_into(struct graph *graph, struct node *conv, const struct constant *weights,
	  const struct constant *bias, const struct affine *affine, int32_t output)
{
	int32_t *inputs = arena_alloc(graph->arena, 3 * sizeof(inputs[0]));
	if (inputs == NULL)
		return -1;
	inputs[0] = conv->inputs[0];
	inputs[1] = scale_weights(graph, weights, affine);
	inputs[2] = scale_bias(graph, weights->type.data_type, bias, affine);
	if (inputs[1] < 0 || inputs[2] < 0)
		return -1;
	conv->inputs = inputs;
	conv->input_count = 3;
	conv->outputs[0] = output;
	return 0;
}

/* 1: folded into the convolution that makes the node's input; 0: there is none; -1: no memory. */
static int
fold_batch_norm(struct match *match, struct node *node, const struct affine *affine)
{
	struct node *conv = match_sole_producer(match, node, 0, "Conv");
	if (conv == NULL)
		return 0;
	const struct constant *weights = match_reals(match, conv, 1);
	const struct constant *bias = match_reals(match, conv, 2);
	bool has_bias = conv->input_count > 2 && conv->inputs[2] >= 0;
	if (weights == NULL || weights->type.rank < 3 ||
	    weights->type.dims[0] != affine->channels || (has_bias && bias == NULL))
		return 0;
	int32_t output = node->outputs[0];
	if (fold_into(match->graph, conv, weights, bias, affine, output) != 0)
		return -1;
	match->producers[output] = (int32_t)(conv - match->graph->nodes);
	node->op_type = NULL;
	return 1;
}

/* In the node's place: Scale(x, factors, summands), both FP32 whatever x is. */
static int
make_scale(struct graph *graph, struct node *node, const struct affine *affine)
{
	void *factors, *summands;
	int32_t *inputs = arena_alloc(graph->arena, 3 * sizeof(inputs[0]));
	if (inputs == NULL)
		return -1;
	inputs[0] = node->inputs[0];
	inputs[1] = match_add_constant(graph, "factors", DATA_TYPE_FLOAT, 1, &affine->channels,
				       &factors);
	inputs[2] = match_add_constant(graph, "summands", DATA_TYPE_FLOAT, 1, &affine->channels,
				       &summands);
	if (inputs[1] < 0 || inputs[2] < 0)
		return -1;
	memcpy(factors, affine->factors, (size_t)affine->channels * sizeof(float));
	memcpy(summands, affine->summands, (size_t)affine->channels * sizeof(float));
	node->inputs = inputs;
	node->input_count = 3;
	node->output_count = 1;
	node->op_type = "Scale";
	node->domain = "tidepool";
	node->opset = 1;
	node->op = operator_find(node);
	return node->op != NULL ? 0 : -1;
}

int
pass_batch_norm(struct graph *graph, struct arena *scratch)
{
	struct match match;
	if (match_create(&match, graph, scratch) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		struct node *node = &graph->nodes[i];
		struct affine affine;
		if (!match_is(node, "BatchNormalization") ||
		    !read_affine(&match, node, &affine, scratch))
			continue;
		int folded = fold_batch_norm(&match, node, &affine);
		if (folded < 0 || (folded == 0 && make_scale(graph, node, &affine) != 0))
			return -1;
	}
	return 0;
}
