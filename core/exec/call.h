/*
 * Calls: a node of a graph with the types and values of its inputs, as the operator's functions want to see it.
 */
#pragma once

#include "exec/operator.h"

/* Fill in call for the node from graph's values; arrays in arena. Outputs' types are what the graph has. -1: no memory. */
int
call_create(struct operator_call *call, const struct graph *graph, const struct node *node,
	    const struct op *op, struct arena *arena);

/* Are all inputs constants (or only their types of interest), so that the node can be run now? */
bool
call_is_constant(const struct operator_call *call);

/* Are the values known of all inputs whose value infer needs, and the types of the others? */
bool
call_is_inferable(const struct operator_call *call);

/*
 * Infer, prepare and run a node all of whose inputs are constants. outputs: op's output_count constants, their data in
 * arena; those that nobody wants are left out. -1 with the error set.
 */
int
call_evaluate(struct operator_call *call, struct constant *outputs, struct arena *arena);
