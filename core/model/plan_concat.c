/*
 * Concatenation without copies: where the inputs of a Concat follow each other in its output, whoever makes an input can
 * write it right there. A Concat may itself make an input of another one, so that the growing tensors of a DenseNet's
 * block are all the beginning of one.
 */
#include <string.h>

#include "model/plan.h"

enum {
	/* Kernels may rely on it for every operand. */
	ALIGNMENT = 64,
};

struct joiner {
	struct plan *plan;
	const struct graph *graph;
	const enum layout *layouts;
	/* Node that makes each value; -1: none. */
	int32_t *producers;
	/* Outputs of the graph: these have memory of their own. */
	bool *outputs;
};

static size_t
bytes_of(const struct joiner *joiner, int32_t value)
{
	return layout_bytes(&joiner->graph->values[value].type, joiner->layouts[value]);
}

/* Do the inputs of this Concat follow each other in its output, each in one piece? */
static bool
is_in_sequence(const struct joiner *joiner, const struct node *node)
{
	if (strcmp(node->op_type, "Concat") != 0 || node->domain[0] != '\0' || node->outputs[0] < 0)
		return false;
	const struct tensor_type *type = &joiner->graph->values[node->outputs[0]].type;
	bool last = joiner->layouts[node->outputs[0]] == LAYOUT_LAST;
	int64_t axis = node_int(node, "axis", 1);
	if (axis < 0)
		axis += type->rank;
	for (int64_t i = 0; i < type->rank; i++) {
		bool lies_before = last && axis == 1 ? i != 1 : i < axis && !(last && i == 1);
		if (lies_before && type->dims[i] != 1)
			return false;
	}
	return true;
}

/* The value that this one is a view of, through any number of views. */
static int32_t
root_of(const struct joiner *joiner, int32_t value)
{
	int32_t producer = joiner->producers[value];
	while (producer >= 0 && (joiner->graph->nodes[producer].op->flags & OPERATOR_VIEW) != 0) {
		value = joiner->graph->nodes[producer].inputs[0];
		producer = joiner->producers[value];
	}
	return value;
}

/* May whoever makes the value write it anywhere, and is that still open? */
static bool
is_free(const struct joiner *joiner, int32_t value)
{
	int32_t producer = joiner->producers[value];
	return producer >= 0 && !joiner->outputs[value] && joiner->plan->wholes[value] < 0 &&
	       (joiner->graph->nodes[producer].op->flags & OPERATOR_TELLS_TYPES) == 0;
}

/* Is it a part already, at that very place? */
static bool
is_there(const struct joiner *joiner, int32_t value, int32_t whole, size_t shift)
{
	return joiner->plan->wholes[value] == whole && joiner->plan->shifts[value] == shift;
}

static void
join(struct joiner *joiner, uint32_t index)
{
	struct plan *plan = joiner->plan;
	const struct node *node = &joiner->graph->nodes[index];
	int32_t out = node->outputs[0];
	int32_t whole = plan->wholes[out] >= 0 ? plan->wholes[out] : out;
	size_t shift = plan->shifts[out];
	bool all = true;
	for (uint32_t i = 0; i < node->input_count; i++) {
		size_t bytes = bytes_of(joiner, node->inputs[i]);
		int32_t value = root_of(joiner, node->inputs[i]);
		if (bytes == 0)
			continue;
		if (shift % ALIGNMENT == 0 && is_free(joiner, value)) {
			plan->wholes[value] = whole;
			plan->shifts[value] = shift;
		}
		/* Given twice, it is in one place only. */
		all &= is_there(joiner, value, whole, shift);
		shift += bytes;
	}
	plan->assembled[index] = all;
}

int
plan_concats(struct plan *plan, const struct graph *graph, const enum layout *layouts)
{
	struct joiner joiner = { .plan = plan, .graph = graph, .layouts = layouts };
	plan->shifts = arena_calloc(plan->arena, graph->value_count, sizeof(plan->shifts[0]));
	plan->wholes = arena_alloc(plan->arena, graph->value_count * sizeof(plan->wholes[0]));
	plan->assembled = arena_calloc(plan->arena, graph->node_count, sizeof(bool));
	joiner.producers = arena_alloc(plan->arena, graph->value_count * sizeof(int32_t));
	joiner.outputs = arena_calloc(plan->arena, graph->value_count, sizeof(bool));
	if (plan->shifts == NULL || plan->wholes == NULL || plan->assembled == NULL ||
	    joiner.producers == NULL || joiner.outputs == NULL)
		return -1;
	memset(plan->wholes, 0xff, graph->value_count * sizeof(plan->wholes[0]));
	memset(joiner.producers, 0xff, graph->value_count * sizeof(int32_t));
	for (uint32_t i = 0; i < graph->node_count; i++)
		for (uint32_t k = 0; k < graph->nodes[i].output_count; k++)
			if (graph->nodes[i].outputs[k] >= 0)
				joiner.producers[graph->nodes[i].outputs[k]] = (int32_t)i;
	for (uint32_t i = 0; i < graph->output_count; i++)
		joiner.outputs[root_of(&joiner, graph->outputs[i])] = true;
	/* The last first: then the place of a Concat's output is known when its inputs are looked at. */
	for (uint32_t i = graph->node_count; i-- > 0;)
		if (is_in_sequence(&joiner, &graph->nodes[i]))
			join(&joiner, i);
	return 0;
}
