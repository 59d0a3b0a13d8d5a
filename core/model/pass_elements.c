/*
 * Element-wise operators that feed each other become one node, tidepool.Elements. A group grows from node to node in the order
 * in which they run, and stands where its last one stood; so nothing more comes to it once a node that is not of it reads
 * what it makes.
 */
#include <string.h>

#include "exec/call.h"
#include "exec/elements.h"
#include "model/pass.h"

struct group {
	/* The group that this one was merged into; itself: it is one. */
	uint32_t leader;
	/* Of what every member makes. */
	struct tensor_type shape;
	uint32_t member_count;
	/* Most inputs that it can have. */
	uint32_t input_count;
	/* A node that is none of it reads something of it. */
	bool is_closed;
};

struct gatherer {
	struct graph *graph;
	struct arena *scratch;
	const struct backend *backend;
	/* Groups by number, and for each value and node its group; NONE. */
	uint32_t group_count;
	struct group *groups;
	uint32_t *of_value;
	uint32_t *of_node;
	struct element *elements;
};

enum { NONE = UINT32_MAX };

static struct group *
leader(const struct gatherer *gatherer, uint32_t group)
{
	while (gatherer->groups[group].leader != group)
		group = gatherer->groups[group].leader;
	return &gatherer->groups[group];
}

/* The group that makes the node's input; NULL: none does. */
static struct group *
maker(const struct gatherer *gatherer, const struct node *node, uint32_t input)
{
	if (node->inputs[input] < 0 || gatherer->of_value[node->inputs[input]] == NONE)
		return NULL;
	return leader(gatherer, gatherer->of_value[node->inputs[input]]);
}

/* 1: the node is element-wise, and what it does is in gatherer->elements; 0: not; -1: no memory. */
static int
read_node(struct gatherer *gatherer, uint32_t n)
{
	struct operator_call call;
	const struct node *node = &gatherer->graph->nodes[n];
	struct element *element = &gatherer->elements[n];
	if (node->op->element == NULL || node->post_count > 0 || node->output_count != 1 ||
	    tensor_elements(&gatherer->graph->values[node->outputs[0]].type) == 0)
		return 0;
	if (call_create(&call, gatherer->graph, node, node->op, gatherer->scratch) != 0)
		return -1;
	return node->op->element(&call, element) && gatherer->backend->gathers(&call, element);
}

/* May the node become one of the group that makes some input of it? */
static bool
may_join(const struct gatherer *gatherer, const struct group *group, uint32_t n)
{
	const struct node *node = &gatherer->graph->nodes[n];
	const struct tensor_type *type = &gatherer->graph->values[node->outputs[0]].type;
	return !group->is_closed && tensor_dims_equal(type, &group->shape) &&
	       group->member_count < ELEMENTS_STEPS_MAX &&
	       group->input_count + gatherer->elements[n].operand_count <= ELEMENTS_INPUTS_MAX;
}

static bool
may_merge(const struct group *a, const struct group *b)
{
	return a->member_count + b->member_count < ELEMENTS_STEPS_MAX &&
	       a->input_count + b->input_count + 2 <= ELEMENTS_INPUTS_MAX;
}

static uint32_t
number_of(const struct gatherer *gatherer, const struct group *group)
{
	return (uint32_t)(group - gatherer->groups);
}

static struct group *
begin_group(struct gatherer *gatherer, const struct tensor_type *shape)
{
	struct group *group = &gatherer->groups[gatherer->group_count];
	*group = (struct group){ .leader = gatherer->group_count++, .shape = *shape };
	return group;
}

/* Put the element-wise node into the group of its operands, both groups becoming one, or into one of its own. */
static void
place(struct gatherer *gatherer, uint32_t n)
{
	const struct node *node = &gatherer->graph->nodes[n];
	struct group *chosen = NULL;
	for (uint32_t i = 0; i < gatherer->elements[n].operand_count; i++) {
		struct group *group = maker(gatherer, node, i);
		if (group == NULL || group == chosen)
			continue;
		if (!may_join(gatherer, group, n) ||
		    (chosen != NULL && !may_merge(chosen, group))) {
			group->is_closed = true;
			continue;
		}
		if (chosen != NULL) {
			group->leader = number_of(gatherer, chosen);
			chosen->member_count += group->member_count;
			chosen->input_count += group->input_count;
		}
		chosen = chosen != NULL ? chosen : group;
	}
	if (chosen == NULL)
		chosen = begin_group(gatherer, &gatherer->graph->values[node->outputs[0]].type);
	chosen->member_count++;
	chosen->input_count += gatherer->elements[n].operand_count;
	gatherer->of_node[n] = gatherer->of_value[node->outputs[0]] = number_of(gatherer, chosen);
}

/* Nothing can come to groups that the node reads: it stands behind them. */
static void
close_groups(struct gatherer *gatherer, const struct node *node)
{
	for (uint32_t i = 0; i < node->input_count; i++) {
		struct group *group = maker(gatherer, node, i);
		if (group != NULL)
			group->is_closed = true;
	}
}

static int
form_groups(struct gatherer *gatherer)
{
	struct graph *graph = gatherer->graph;
	for (uint32_t n = 0; n < graph->node_count; n++) {
		int is_element = read_node(gatherer, n);
		if (is_element < 0)
			return -1;
		if (is_element)
			place(gatherer, n);
		else
			close_groups(gatherer, &graph->nodes[n]);
	}
	return 0;
}

/* --- the node of a group ------------------------------------------------------------------------------------------ */

/* One group's node as it is made. */
struct making {
	struct gatherer *gatherer;
	const struct group *group;
	/* What every value is: an input of the node, or as ~s the result of step s; NOT_MET. */
	int32_t *of_value;
	/* For each value, how many nodes that are none of the group read it, outputs of the graph included. */
	const uint32_t *uses;
	struct element_steps elements;
	uint32_t input_count;
	int32_t inputs[ELEMENTS_INPUTS_MAX];
	/* By step, the value that it makes; and its reads within the group. */
	int32_t results[ELEMENTS_STEPS_MAX];
	uint32_t reads[ELEMENTS_STEPS_MAX];
	/* The last member. */
	struct node *last;
};

enum { NOT_MET = INT32_MAX };

static int32_t
operand_of(struct making *making, int32_t value)
{
	if (making->of_value[value] == NOT_MET) {
		making->inputs[making->input_count] = value;
		making->of_value[value] = (int32_t)making->input_count++;
	}
	if (making->of_value[value] < 0)
		making->reads[~making->of_value[value]]++;
	return making->of_value[value];
}

static void
add_step(struct making *making, uint32_t n)
{
	const struct node *node = &making->gatherer->graph->nodes[n];
	uint32_t s = making->elements.count++;
	struct element_step *step = &making->elements.steps[s];
	*step = (struct element_step){ .element = making->gatherer->elements[n], .output = -1 };
	for (uint32_t i = 0; i < step->element.operand_count; i++)
		step->operands[i] = operand_of(making, node->inputs[i]);
	making->results[s] = node->outputs[0];
	making->of_value[node->outputs[0]] = ~(int32_t)s;
}

/* Put the group's node where its last member is, with what others read as outputs. */
static int
write_node(struct making *making)
{
	struct graph *graph = making->gatherer->graph;
	struct element_steps *elements = &making->elements;
	struct node *node = making->last;
	uint32_t outputs = 0;
	node->inputs = arena_alloc(graph->arena, making->input_count * sizeof(int32_t));
	node->outputs = arena_alloc(graph->arena, elements->count * sizeof(int32_t));
	if (node->inputs == NULL || node->outputs == NULL)
		return -1;
	memcpy(node->inputs, making->inputs, making->input_count * sizeof(int32_t));
	for (uint32_t s = 0; s < elements->count; s++) {
		if (making->uses[making->results[s]] == making->reads[s])
			continue;
		elements->steps[s].output = (int32_t)outputs;
		node->outputs[outputs++] = making->results[s];
	}
	node->op_type = "Elements";
	node->domain = "tidepool";
	node->opset = 1;
	node->input_count = making->input_count;
	node->output_count = outputs;
	node->op = operator_find(node);
	return node->op == NULL ? -1 : elements_write(node, elements, graph->arena);
}

static int
make_node(struct gatherer *gatherer, uint32_t group, const uint32_t *uses)
{
	struct graph *graph = gatherer->graph;
	struct making making = { .gatherer = gatherer,
				 .group = &gatherer->groups[group],
				 .uses = uses };
	making.of_value = arena_alloc(gatherer->scratch, graph->value_count * sizeof(int32_t));
	if (making.of_value == NULL)
		return -1;
	for (uint32_t v = 0; v < graph->value_count; v++)
		making.of_value[v] = NOT_MET;
	for (uint32_t n = 0; n < graph->node_count; n++) {
		struct node *node = &graph->nodes[n];
		if (gatherer->of_node[n] == NONE ||
		    leader(gatherer, gatherer->of_node[n]) != making.group)
			continue;
		add_step(&making, n);
		if (making.last != NULL)
			making.last->op_type = NULL;
		making.last = node;
	}
	return write_node(&making);
}

static int
create(struct gatherer *gatherer, struct graph *graph, const struct backend *backend,
       struct arena *scratch)
{
	size_t values = graph->value_count * sizeof(uint32_t);
	size_t nodes = graph->node_count * sizeof(uint32_t);
	*gatherer = (struct gatherer){ .graph = graph, .scratch = scratch, .backend = backend };
	gatherer->groups = arena_calloc(scratch, graph->node_count + 1, sizeof(struct group));
	gatherer->elements = arena_calloc(scratch, graph->node_count + 1, sizeof(struct element));
	gatherer->of_value = arena_alloc(scratch, values + 1);
	gatherer->of_node = arena_alloc(scratch, nodes + 1);
	if (gatherer->groups == NULL || gatherer->elements == NULL || gatherer->of_value == NULL ||
	    gatherer->of_node == NULL)
		return -1;
	memset(gatherer->of_value, 0xff, values);
	memset(gatherer->of_node, 0xff, nodes);
	return 0;
}

int
pass_elements(struct graph *graph, const struct backend *backend, struct arena *scratch)
{
	struct gatherer gatherer;
	if (create(&gatherer, graph, backend, scratch) != 0 || form_groups(&gatherer) != 0)
		return -1;
	const uint32_t *uses = graph_count_uses(graph, scratch);
	if (uses == NULL)
		return -1;
	for (uint32_t g = 0; g < gatherer.group_count; g++)
		if (gatherer.groups[g].leader == g && gatherer.groups[g].member_count > 1 &&
		    make_node(&gatherer, g, uses) != 0)
			return -1;
	return 0;
}
