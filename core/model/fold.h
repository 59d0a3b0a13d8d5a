/*
 * Folding: types are inferred node by node, and what depends on constants only is computed at once and becomes a constant
 * itself. With the input types set, chains that compute shapes disappear.
 */
#pragma once

#include "exec/graph.h"

/*
 * Look up every node's operator, infer what can be, fold what is constant and sweep. Values whose type cannot be known yet
 * stay without one. -1 with an error that names the node.
 */
int
fold_graph(struct graph *graph);
