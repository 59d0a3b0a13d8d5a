/*
 * What cannot be compiled: nodes whose shapes depend on data, and all that follow from them. They become one node at the
 * end, which runs them on the interpreter; NonMaxSuppression itself is left out of that (model/suppress.h).
 */
#pragma once

#include "exec/graph.h"

/*
 * Put an Interpret node in the place of the nodes whose outputs have no type after folding; outputs of the graph that it
 * gives get bounds for types. Nothing to do when there are none. -1 with the error set.
 */
int
dynamic_split(struct graph *graph, struct arena *scratch);
