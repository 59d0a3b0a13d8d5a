/*
 * Layouts: which tensors lie otherwise than plain. Convolutions want the layout that their kind of device likes (blocks of
 * channels on the host, channels last on GPUs), poolings and element-wise operators take what comes, the rest is plain; where
 * two do not fit a Reorder node is put in, or nothing where both are the same in memory.
 */
#pragma once

#include "exec/backend.h"
#include "exec/graph.h"
#include "exec/operator.h"

/*
 * Choose for that backend, inserting nodes into graph, all of whose values have types. *layouts becomes an array in the
 * graph's arena, an entry a value. Outputs of the graph are plain.
 */
int
layout_choose(struct graph *graph, const struct backend *backend, enum layout **layouts);
