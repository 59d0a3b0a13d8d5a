/*
 * Layouts: which tensors lie in blocks of channels. Convolutions and poolings want blocks, element-wise operators take what
 * comes, the rest is plain; where two do not fit a Reorder node is put in.
 */
#pragma once

#include "exec/graph.h"
#include "exec/operator.h"

/*
 * Choose, inserting nodes into graph, all of whose values have types. *layouts becomes an array in the graph's arena, an
 * entry a value. Outputs of the graph are plain, and all values are when
 * blocks is false.
 */
int
layout_choose(struct graph *graph, bool blocks, enum layout **layouts);
