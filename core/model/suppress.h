/*
 * NonMaxSuppression as an operator that can be compiled: how many boxes it keeps depends on data, but not how many it may
 * keep. So it becomes a Suppress (exec/op_detect.h) that has room for the most, which runs on the device like any other
 * operator, and a Slice of what is real, which is interpreted with all that follows.
 */
#pragma once

#include "exec/graph.h"

/* Split the NonMaxSuppressions in graph whose operands' types are known. -1 with the error set. */
int
suppress_split(struct graph *graph, struct arena *scratch);
