#include "model/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
	/* Of every storage's offset. */
	ALIGNMENT = 64,
	FIRST_ROOM = 64,
};

/* The last node's index and beyond: read when the program is done. */
static const uint32_t NEVER = UINT32_MAX;

static int32_t
add_storage(struct plan *plan, const struct storage *storage)
{
	if (plan->count == plan->room) {
		uint32_t room = plan->room == 0 ? FIRST_ROOM : 2 * plan->room;
		struct storage *storages = arena_calloc(plan->arena, room, sizeof(storages[0]));
		if (storages == NULL)
			return -1;
		if (plan->count != 0)
			memcpy(storages, plan->storages, plan->count * sizeof(storages[0]));
		plan->storages = storages;
		plan->room = room;
	}
	plan->storages[plan->count] = *storage;
	return (int32_t)plan->count++;
}

int32_t
plan_add_scratch(struct plan *plan, uint32_t node, size_t bytes)
{
	struct storage storage = { .bytes = bytes,
				   .first = node,
				   .last = node,
				   .place = bytes == 0 ? PLACE_NONE : PLACE_WORKSPACE };
	return add_storage(plan, &storage);
}

/* --- outputs that need a copy ------------------------------------------------------------------------------------- */

/* The value that `value` is a view of, through any number of views; itself when it is none. */
static int32_t
root_of(const struct graph *graph, int32_t value)
{
	for (uint32_t i = graph->node_count; i-- > 0;) {
		const struct node *node = &graph->nodes[i];
		if ((node->op->flags & OPERATOR_VIEW) != 0 && node->outputs[0] == value)
			value = node->inputs[0];
	}
	return value;
}

static bool
is_input(const struct graph *graph, int32_t value)
{
	for (uint32_t i = 0; i < graph->input_count; i++)
		if (graph->inputs[i] == value)
			return true;
	return false;
}

static int
copy_output(struct graph *graph, uint32_t output)
{
	int32_t from = graph->outputs[output];
	int32_t to = graph_add_value(graph, graph->values[from].name);
	struct node *node = graph_add_node(graph, "Copy", 1, 1, 0);
	if (to < 0 || node == NULL)
		return -1;
	graph->values[to].type = graph->values[from].type;
	graph->values[to].has_type = true;
	node->domain = "tidepool";
	node->name = graph->values[from].name != NULL ? graph->values[from].name : "";
	node->opset = 1;
	node->inputs[0] = from;
	node->outputs[0] = to;
	node->op = operator_find(node);
	graph->outputs[output] = to;
	return node->op != NULL ? 0 : -1;
}

int
plan_separate_outputs(struct graph *graph, struct arena *scratch)
{
	int32_t *roots = arena_alloc(scratch, graph->output_count * sizeof(*roots));
	if (roots == NULL)
		return -1;
	for (uint32_t i = 0; i < graph->output_count; i++) {
		int32_t root = root_of(graph, graph->outputs[i]);
		bool shared = is_input(graph, root) || graph->values[root].constant != NULL;
		for (uint32_t k = 0; k < i; k++)
			shared |= roots[k] == root;
		roots[i] = root;
		if (shared && copy_output(graph, i) != 0)
			return -1;
	}
	return 0;
}

/* --- which values share a storage --------------------------------------------------------------------------------- */

/* Last node that reads each value; NEVER for the graph's outputs. */
static void
find_last_uses(const struct graph *graph, uint32_t *last)
{
	for (uint32_t i = 0; i < graph->node_count; i++)
		for (uint32_t k = 0; k < graph->nodes[i].input_count; k++)
			if (graph->nodes[i].inputs[k] >= 0)
				last[graph->nodes[i].inputs[k]] = i;
	for (uint32_t i = 0; i < graph->output_count; i++)
		last[graph->outputs[i]] = NEVER;
	/* A view is read when the original is, and later. */
	for (uint32_t i = graph->node_count; i-- > 0;) {
		const struct node *node = &graph->nodes[i];
		if ((node->op->flags & OPERATOR_VIEW) == 0)
			continue;
		uint32_t *original = &last[node->inputs[0]];
		if (last[node->outputs[0]] > *original)
			*original = last[node->outputs[0]];
	}
}

/*
 * May the node write its output 0, of so many elements, over its input i? An input that is broadcast is read again after
 * the element in its place was written, be it this one (four BOOLs fit in the place of one FP32) or one that is a part of
 * this one.
 */
static bool
may_overwrite(const struct plan *plan, const struct graph *graph, const struct node *node,
	      uint32_t i, int64_t elements)
{
	for (uint32_t k = 0; k < node->input_count; k++) {
		int32_t value = node->inputs[k];
		if (value >= 0 && plan->of_value[value] == plan->of_value[node->inputs[i]] &&
		    tensor_elements(&graph->values[value].type) != elements)
			return false;
	}
	return true;
}

/* The storage of an input that the node may overwrite with its output 0 of so many bytes, or -1. */
static int32_t
storage_to_reuse(const struct plan *plan, const struct graph *graph, const struct node *node,
		 uint32_t index, size_t bytes)
{
	if ((node->op->flags & OPERATOR_IN_PLACE) == 0)
		return -1;
	int64_t elements = tensor_elements(&graph->values[node->outputs[0]].type);
	for (uint32_t i = 0; i < node->input_count; i++) {
		int32_t storage = node->inputs[i] < 0 ? -1 : plan->of_value[node->inputs[i]];
		if (storage < 0)
			continue;
		const struct storage *candidate = &plan->storages[storage];
		if (candidate->place == PLACE_WORKSPACE && candidate->last == index &&
		    candidate->bytes == bytes && may_overwrite(plan, graph, node, i, elements))
			return storage;
	}
	return -1;
}

/* A fresh storage that node `index` is the first to write. */
static int32_t
fresh_storage(struct plan *plan, uint32_t index, size_t bytes)
{
	struct storage fresh = { .bytes = bytes,
				 .first = index,
				 .last = index,
				 .place = bytes == 0 ? PLACE_NONE : PLACE_WORKSPACE };
	return add_storage(plan, &fresh);
}

/* The storage of the whole that value is a part of or the whole itself; its first part makes it. */
static int32_t
storage_of_whole(struct plan *plan, int32_t whole, uint32_t index, size_t bytes)
{
	if (plan->of_value[whole] < 0)
		plan->of_value[whole] = fresh_storage(plan, index, bytes);
	return plan->of_value[whole];
}

static int
store_output(struct plan *plan, const struct graph *graph, const enum layout *layouts,
	     uint32_t index, uint32_t output, const uint32_t *last)
{
	const struct node *node = &graph->nodes[index];
	int32_t value = node->outputs[output];
	int32_t whole = plan->wholes[value] >= 0 ? plan->wholes[value] : value;
	size_t bytes = layout_bytes(&graph->values[whole].type, layouts[whole]);
	int32_t storage = -1;
	if ((node->op->flags & OPERATOR_VIEW) != 0) {
		storage = plan->of_value[node->inputs[0]];
		plan->shifts[value] = plan->shifts[node->inputs[0]];
	} else if (plan->wholes[value] >= 0 || plan->of_value[value] >= 0) {
		storage = storage_of_whole(plan, whole, index, bytes);
	} else if (output == 0) {
		storage = storage_to_reuse(plan, graph, node, index, bytes);
	}
	if (storage < 0)
		storage = fresh_storage(plan, index, bytes);
	if (storage < 0)
		return -1;
	if (last[value] > plan->storages[storage].last)
		plan->storages[storage].last = last[value];
	plan->of_value[value] = storage;
	return 0;
}

static int
store_inputs(struct plan *plan, const struct graph *graph, const uint32_t *last)
{
	for (uint32_t i = 0; i < graph->input_count; i++) {
		int32_t value = graph->inputs[i];
		struct storage storage = { .last = last[value],
					   .place = PLACE_INPUT,
					   .index = i,
					   .bytes = tensor_bytes(&graph->values[value].type) };
		plan->of_value[value] = add_storage(plan, &storage);
		if (plan->of_value[value] < 0)
			return -1;
	}
	return 0;
}

/* What holds a graph output is the caller's memory for it. */
static void
hand_over_outputs(struct plan *plan, const struct graph *graph)
{
	for (uint32_t i = 0; i < graph->output_count; i++) {
		struct storage *storage = &plan->storages[plan->of_value[graph->outputs[i]]];
		assert(storage->place != PLACE_INPUT && storage->place != PLACE_OUTPUT);
		if (storage->place == PLACE_NONE)
			continue;
		storage->place = PLACE_OUTPUT;
		storage->index = i;
	}
}

int
plan_create(struct plan *plan, const struct graph *graph, const enum layout *layouts,
	    struct arena *arena)
{
	*plan = (struct plan){ .arena = arena };
	plan->of_value = arena_alloc(arena, graph->value_count * sizeof(plan->of_value[0]));
	uint32_t *last = arena_calloc(arena, graph->value_count, sizeof(*last));
	if (plan->of_value == NULL || last == NULL)
		return -1;
	memset(plan->of_value, 0xff, graph->value_count * sizeof(plan->of_value[0]));
	find_last_uses(graph, last);
	if (plan_concats(plan, graph, layouts) != 0 || store_inputs(plan, graph, last) != 0)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		for (uint32_t k = 0; k < node->output_count; k++)
			if (node->outputs[k] >= 0 &&
			    store_output(plan, graph, layouts, i, k, last) != 0)
				return -1;
	}
	hand_over_outputs(plan, graph);
	return 0;
}

/* --- where -------------------------------------------------------------------------------------------------------- */

static int
compare_sizes(const void *a, const void *b)
{
	const struct storage *x = *(struct storage *const *)a;
	const struct storage *y = *(struct storage *const *)b;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The lowest offset at which `storage` meets none of the count placed ones (by offset) that live at the same time. */
static size_t
find_offset(struct storage *const *placed, uint32_t count, const struct storage *storage)
{
	size_t offset = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct storage *other = placed[i];
		if (other->last < storage->first || storage->last < other->first)
			continue;
		if (other->offset >= offset + storage->bytes)
			break;
		size_t end = (other->offset + other->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
		if (end > offset)
			offset = end;
	}
	return offset;
}

/* Keep `placed` sorted by offset. */
static void
insert_placed(struct storage **placed, uint32_t count, struct storage *storage)
{
	while (count > 0 && placed[count - 1]->offset > storage->offset) {
		placed[count] = placed[count - 1];
		count--;
	}
	placed[count] = storage;
}

int
plan_place(struct plan *plan)
{
	struct storage **wanted = arena_calloc(plan->arena, plan->count, sizeof(wanted[0]));
	struct storage **placed = arena_calloc(plan->arena, plan->count, sizeof(placed[0]));
	if (wanted == NULL || placed == NULL)
		return -1;
	uint32_t count = 0;
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->storages[i].place == PLACE_WORKSPACE)
			wanted[count++] = &plan->storages[i];
	qsort(wanted, count, sizeof(wanted[0]), compare_sizes);
	for (uint32_t i = 0; i < count; i++) {
		wanted[i]->offset = find_offset(placed, i, wanted[i]);
		insert_placed(placed, i, wanted[i]);
		size_t end = wanted[i]->offset + wanted[i]->bytes;
		if (end > plan->workspace_bytes)
			plan->workspace_bytes = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	}
	return 0;
}
