/*
 * The interpreter: runs a graph node by node, inferring shapes from the values that are there. It is for what cannot be
 * compiled since shapes depend on data: the nodes from the first such on, and the bodies of If, Loop and Scan. Host memory.
 */
#pragma once

#include "exec/operator.h"

/* One activation of a graph: the values that are known by now. */
struct interpreter {
	const struct graph *graph;
	/* By value index; data_type DATA_TYPE_NONE: not known yet. */
	struct constant *values;
	/* What the values lie in. */
	struct arena *arena;
	/* The activation of the graph that this one is a body of; NULL at the top. */
	const struct interpreter *outer;
	unsigned threads;
};

/* Look up the operators of all nodes of graph and of the bodies in it. -1: UNIMPLEMENTED naming node and operator. */
int
interpret_resolve(struct graph *graph);

/* An activation of graph (whose operators were looked up), its constants known, values captured from outer too. */
int
interpret_begin(struct interpreter *interpreter, const struct graph *graph,
		const struct interpreter *outer, struct arena *arena, unsigned threads);

/* Run all nodes, in order. -1 with an error that names the node. */
int
interpret_run(struct interpreter *interpreter);

/* The value of a node's input; NULL when it is absent. */
const struct constant *
interpret_input(const struct interpreter *interpreter, const struct node *node, uint32_t input);
