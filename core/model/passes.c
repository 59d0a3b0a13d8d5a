#include "model/pass.h"

#include <stddef.h>

#include "model/fold.h"

/* Folding sees every operator; what only passes a tensor on need not be one that there is. */
static int
fold(struct graph *graph, struct arena *scratch)
{
	return fold_graph(graph);
}

static pass_f *const untyped[] = {
	pass_expand, pass_identity, pass_transpose, fold, pass_activation, pass_batch_norm, NULL,
};

static pass_f *const inferred[] = { pass_einsum, NULL };

/* Into operators of our own that not every backend has kernels for. */
static pass_f *const fusing[] = { pass_attention, NULL };
static pass_f *const fusing_narrow[] = { pass_attention_narrow, NULL };
/* Into operators that read packed panels, where there are kernels for that. */
static pass_f *const tying[] = { pass_tied, NULL };

static pass_f *const typed[] = {
	pass_transpose, pass_layer_norm, pass_one_hot, pass_power, pass_posts, NULL,
};

/* Behind them, where kernels of 16-bit floats do posts. */
static pass_f *const narrow[] = { pass_posts_narrow, NULL };

/* As `tying`, of operators that have their posts. */
static pass_f *const closing[] = {
	pass_scaled,
	NULL,
};

static int
run_list(pass_f *const *list, struct graph *graph)
{
	struct arena scratch;
	arena_create(&scratch, 0);
	int result = 0;
	for (; *list != NULL && result == 0; list++) {
		result = (*list)(graph, &scratch);
		if (result == 0)
			result = graph_sweep(graph, &scratch);
		arena_reset(&scratch);
	}
	arena_destroy(&scratch);
	return result;
}

int
passes_run_untyped(struct graph *graph)
{
	return run_list(untyped, graph);
}

int
passes_gather(struct graph *graph, const struct backend *backend)
{
	struct arena scratch;
	if (backend->gathers == NULL)
		return 0;
	arena_create(&scratch, 0);
	int result = pass_elements(graph, backend, &scratch);
	if (result == 0)
		result = graph_sweep(graph, &scratch);
	arena_destroy(&scratch);
	return result;
}

int
passes_run_inferred(struct graph *graph, bool *changed)
{
	uint32_t values = graph->value_count;
	int result = run_list(inferred, graph);
	*changed = graph->value_count != values;
	return result;
}

int
passes_run_typed(struct graph *graph, const struct backend *backend)
{
	bool (*fuses)(enum data_type) = backend->fuses;
	bool panels = backend->panels != NULL && backend->panels();
	if (fuses != NULL && fuses(DATA_TYPE_FLOAT) && run_list(fusing, graph) != 0)
		return -1;
	if (fuses != NULL && fuses(DATA_TYPE_FLOAT16) && run_list(fusing_narrow, graph) != 0)
		return -1;
	if (panels && run_list(tying, graph) != 0)
		return -1;
	if (run_list(typed, graph) != 0)
		return -1;
	if (backend->narrow_posts != NULL && backend->narrow_posts() &&
	    run_list(narrow, graph) != 0)
		return -1;
	return panels ? run_list(closing, graph) : 0;
}
