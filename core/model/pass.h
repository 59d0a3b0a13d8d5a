/*
 * Passes: rewrites of a graph that leave what it computes as it is. Those of the first list need no types and run once a
 * model; those of the second see every type and run for each program. Add one: a file pass_NAME.c, a line in passes.c.
 */
#pragma once

#include "exec/backend.h"
#include "exec/graph.h"

/* Rewrites what it finds; marks nodes that are gone by op_type NULL. -1 with the error set, for want of memory only. */
typedef int
pass_f(struct graph *graph, struct arena *scratch);

/* Fold, and run the passes that need no types, sweeping in between. -1 also when folding fails. */
int
passes_run_untyped(struct graph *graph);

/*
 * Run those that look at types, where they are known, and make operators of others: on a graph that was folded, which has to be
 * again when *changed.
 */
int
passes_run_inferred(struct graph *graph, bool *changed);

/* Run the passes on a graph all of whose values have types, and those whose operators that backend has kernels for. */
int
passes_run_typed(struct graph *graph, const struct backend *backend);

/* Make one node of element-wise nodes that feed each other, where backend has the kernel for it. Behind all other passes. */
int
passes_gather(struct graph *graph, const struct backend *backend);

int
pass_elements(struct graph *graph, const struct backend *backend, struct arena *scratch);
pass_f pass_activation;
pass_f pass_attention;
/* The same of 16-bit floats. */
pass_f pass_attention_narrow;
pass_f pass_batch_norm;
pass_f pass_einsum;
pass_f pass_expand;
pass_f pass_identity;
pass_f pass_layer_norm;
pass_f pass_one_hot;
pass_f pass_posts;
/* The same of 16-bit floats. */
pass_f pass_posts_narrow;
pass_f pass_power;
pass_f pass_scaled;
pass_f pass_tied;
pass_f pass_transpose;
