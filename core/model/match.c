#include "model/match.h"

#include <math.h>
#include <string.h>

/* Scalars in patterns are often rounded when a model is written. */
static const float TOLERANCE = 1e-4f;

int
match_create(struct match *match, struct graph *graph, struct arena *scratch)
{
	size_t bytes = graph->value_count * sizeof(int32_t);
	*match = (struct match){ .graph = graph,
				 .producers = arena_alloc(scratch, bytes),
				 .consumers = arena_alloc(scratch, bytes),
				 .uses = graph_count_uses(graph, scratch) };
	if (match->producers == NULL || match->consumers == NULL || match->uses == NULL)
		return -1;
	memset(match->producers, 0xff, bytes);
	memset(match->consumers, 0xff, bytes);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		for (uint32_t k = 0; k < node->output_count; k++)
			if (node->outputs[k] >= 0)
				match->producers[node->outputs[k]] = (int32_t)i;
		for (uint32_t k = 0; k < node->input_count; k++)
			if (node->inputs[k] >= 0)
				match->consumers[node->inputs[k]] = (int32_t)i;
	}
	return 0;
}

bool
match_is(const struct node *node, const char *op_type)
{
	return node->op_type != NULL && strcmp(node->op_type, op_type) == 0 &&
	       (node->domain[0] == '\0' || strcmp(node->domain, "ai.onnx") == 0);
}

struct node *
match_producer(const struct match *match, const struct node *node, uint32_t input,
	       const char *op_type)
{
	if (input >= node->input_count || node->inputs[input] < 0)
		return NULL;
	int32_t producer = match->producers[node->inputs[input]];
	if (producer < 0)
		return NULL;
	struct node *found = &match->graph->nodes[producer];
	return match_is(found, op_type) ? found : NULL;
}

struct node *
match_sole_producer(const struct match *match, const struct node *node, uint32_t input,
		    const char *op_type)
{
	struct node *found = match_producer(match, node, input, op_type);
	return found != NULL && match->uses[node->inputs[input]] == 1 ? found : NULL;
}

struct node *
match_sole_consumer(const struct match *match, int32_t value)
{
	if (match->uses[value] != 1 || match->consumers[value] < 0)
		return NULL;
	struct node *node = &match->graph->nodes[match->consumers[value]];
	return node->op_type != NULL ? node : NULL;
}

const struct constant *
match_reals(const struct match *match, const struct node *node, uint32_t input)
{
	if (input >= node->input_count || node->inputs[input] < 0)
		return NULL;
	const struct constant *constant = match->graph->values[node->inputs[input]].constant;
	if (constant == NULL)
		return NULL;
	enum data_type data_type = constant->type.data_type;
	bool is_real = data_type == DATA_TYPE_FLOAT || data_type == DATA_TYPE_FLOAT16 ||
		       data_type == DATA_TYPE_BFLOAT16;
	return is_real ? constant : NULL;
}

const struct constant *
match_floats(const struct match *match, const struct node *node, uint32_t input)
{
	const struct constant *constant = match_reals(match, node, input);
	return constant != NULL && constant->type.data_type == DATA_TYPE_FLOAT ? constant : NULL;
}

bool
match_scalar(const struct match *match, const struct node *node, uint32_t input, float *scalar)
{
	const struct constant *constant = match_floats(match, node, input);
	if (constant == NULL || tensor_elements(&constant->type) != 1)
		return false;
	*scalar = *(const float *)constant->data;
	return true;
}

bool
match_with_scalar(const struct match *match, const struct node *node, const char *op_type,
		  float wanted, float *scalar, uint32_t *other)
{
	float found;
	if (!match_is(node, op_type) || node->input_count != 2)
		return false;
	for (uint32_t i = 0; i < 2; i++) {
		if (!match_scalar(match, node, i, &found))
			continue;
		*other = 1 - i;
		if (scalar != NULL)
			*scalar = found;
		return isnan(wanted) || fabsf(found - wanted) <= TOLERANCE * fabsf(wanted);
	}
	return false;
}

int32_t
match_add_constant(struct graph *graph, const char *name, enum data_type data_type, uint32_t rank,
		   const int64_t *dims, void **data)
{
	struct constant *constant = arena_calloc(graph->arena, 1, sizeof(*constant));
	int32_t index = graph_add_value(graph, name);
	if (constant == NULL || index < 0)
		return -1;
	constant->type = (struct tensor_type){ .data_type = data_type, .rank = rank };
	memcpy(constant->type.dims, dims, rank * sizeof(dims[0]));
	*data = arena_alloc(graph->arena, tensor_bytes(&constant->type));
	if (*data == NULL)
		return -1;
	constant->data = *data;
	struct value *value = &graph->values[index];
	value->constant = constant;
	value->type = constant->type;
	value->has_type = true;
	return index;
}
