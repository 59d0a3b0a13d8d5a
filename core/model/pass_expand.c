/* Replaces operators that are others put together (model/expand.h), in bodies too. */
#include <string.h>

#include "model/expand.h"
#include "model/pass.h"

static const struct expansion_list *const lists[] = {
	&expand_attention,
	&expand_fused,
	&expand_quantized,
};

static const struct expansion *
find(const struct node *node)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (uint32_t k = 0; k < lists[i]->count; k++) {
			const struct expansion *expansion = &lists[i]->expansions[k];
			if (node->op_type != NULL && expansion->since <= node->opset &&
			    strcmp(expansion->type, node->op_type) == 0 &&
			    strcmp(expansion->domain, node->domain) == 0)
				return expansion;
		}
	}
	return NULL;
}

static int
expand_bodies(const struct node *node, struct arena *scratch)
{
	for (uint32_t i = 0; i < node->attribute_count; i++)
		if (node->attributes[i].kind == ATTRIBUTE_GRAPH &&
		    pass_expand(node->attributes[i].as.graph, scratch) != 0)
			return -1;
	return 0;
}

/* The node at the end of the graph, or what it stands for. */
static int
place(struct graph *graph, const struct node *node, struct arena *scratch)
{
	const struct expansion *expansion = find(node);
	if (expansion != NULL) {
		struct expand expand = { .graph = graph,
					 .node = *node,
					 .first = graph->node_count };
		expansion->expand(&expand);
		return expand.failed ? -1 : 0;
	}
	if (graph_put_node(graph, node) != 0)
		return -1;
	return expand_bodies(node, scratch);
}

static bool
has_work(const struct graph *graph)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		if (find(node) != NULL)
			return true;
		for (uint32_t k = 0; k < node->attribute_count; k++)
			if (node->attributes[k].kind == ATTRIBUTE_GRAPH)
				return true;
	}
	return false;
}

int
pass_expand(struct graph *graph, struct arena *scratch)
{
	if (!has_work(graph))
		return 0;
	uint32_t count;
	const struct node *nodes = graph_take_nodes(graph, &count);
	for (uint32_t i = 0; i < count; i++)
		if (place(graph, &nodes[i], scratch) != 0)
			return -1;
	return 0;
}
