#include "model/compile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "exec/call.h"
#include "model/compile_parameters.h"
#include "model/dynamic.h"
#include "model/fold.h"
#include "model/layout.h"
#include "model/pass.h"

/* Below this a program is made for one thread: sharing the work out costs more than it saves. */
static const uint64_t SINGLE_THREAD_FLOPS = 2000000;

/* --- types -------------------------------------------------------------------------------------------------------- */

static int
set_inputs(struct graph *graph, const struct tensor_type *inputs, uint32_t count)
{
	if (count != graph->input_count)
		return error_set(ERR_INVALID_ARGUMENT, "%u inputs, the model has %u", count,
				 graph->input_count);
	for (uint32_t i = 0; i < count; i++) {
		struct value *value = &graph->values[graph->inputs[i]];
		if (tensor_type_check(&inputs[i]) != 0)
			return error_wrap("input '%s'", value->name);
		if (tensor_elements(&inputs[i]) < 0)
			return error_set(ERR_INVALID_ARGUMENT, "input '%s' has an open dimension",
					 value->name);
		value->type = inputs[i];
		value->has_type = true;
	}
	return 0;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* Place of a value that is no constant; its offset is known after plan_place. */
static struct location
location_of_value(const struct compiler *compiler, int32_t value)
{
	const struct storage *storage = &compiler->plan.storages[compiler->plan.of_value[value]];
	return (struct location){ .place = storage->place,
				  .index = storage->index,
				  .offset = storage->offset + compiler->plan.shifts[value] };
}

static int
prepare_step(struct compiler *compiler, struct operator_call *call, struct step *step)
{
	const struct node *node = call->node;
	struct step_parameters parameters = compile_parameters_of(compiler, step);
	enum layout *layouts = (enum layout *)call->input_layouts;
	for (uint32_t i = 0; i < node->input_count; i++)
		layouts[i] =
			node->inputs[i] >= 0 ? compiler->layouts[node->inputs[i]] : LAYOUT_PLAIN;
	for (uint32_t i = 0; i < node->output_count; i++)
		layouts[node->input_count + i] =
			node->outputs[i] >= 0 ? compiler->layouts[node->outputs[i]] : LAYOUT_PLAIN;
	call->threads = compiler->threads;
	call->backend = compiler->backend;
	call->arena = &compiler->program->arena;
	call->parameters = &parameters.base;
	call->kernel = &step->kernel;
	return operator_prepare(call);
}

/* What the node reads and writes of tensors that are no constants. */
static uint64_t
count_bytes(const struct operator_call *call)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < call->input_count; i++)
		if (operator_has_input(call, i) && call->constants[i] == NULL)
			bytes += tensor_bytes(&call->inputs[i]);
	for (uint32_t i = 0; i < call->output_count; i++)
		if (operator_has_output(call, i))
			bytes += tensor_bytes(&call->outputs[i]);
	return bytes;
}

static char *
keep(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

static char *
label_of(struct arena *arena, const struct node *node)
{
	char title[NODE_TITLE_BYTES];
	return keep(arena, node_title(node, title));
}

/* Fill in a step but for the places of what is no constant. */
static int
create_step(struct compiler *compiler, const struct node *node, uint32_t index, struct step *step)
{
	struct operator_call call;
	struct arena *arena = &compiler->program->arena;
	step->name = keep(arena, node->name);
	step->op_type = keep(arena, node->op_type);
	step->label = label_of(arena, node);
	step->reports_types = (node->op->flags & OPERATOR_TELLS_TYPES) != 0;
	step->input_count = node->input_count;
	step->output_count = node->output_count;
	step->inputs = arena_calloc(arena, node->input_count, sizeof(step->inputs[0]));
	step->outputs = arena_calloc(arena, node->output_count, sizeof(step->outputs[0]));
	if (step->name == NULL || step->op_type == NULL || step->label == NULL ||
	    step->inputs == NULL || step->outputs == NULL ||
	    call_create(&call, compiler->graph, node, node->op, &compiler->scratch) != 0 ||
	    prepare_step(compiler, &call, step) != 0)
		return -1;
	/* From here on the program's end destroys the kernel. */
	compiler->program->info.step_count++;
	step->bytes = count_bytes(&call);
	if (compile_parameters_place(compiler, &call, step) != 0)
		return -1;
	int32_t scratch = plan_add_scratch(&compiler->plan, index, step->kernel.scratch_bytes);
	step->scratch = (size_t)scratch;
	return scratch < 0 ? -1 : 0;
}

/* Does the node need no step: a view, a result that is made in place by others, or nothing to compute? */
static bool
is_silent(const struct compiler *compiler, uint32_t index)
{
	const struct node *node = &compiler->graph->nodes[index];
	if ((node->op->flags & OPERATOR_VIEW) != 0 || compiler->plan.assembled[index])
		return true;
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0 &&
		    tensor_elements(&compiler->graph->values[node->outputs[i]].type) != 0)
			return false;
	return true;
}

static int
create_steps(struct compiler *compiler, const struct node **nodes)
{
	const struct graph *graph = compiler->graph;
	struct program *program = compiler->program;
	program->steps =
		arena_calloc(&program->arena, graph->node_count, sizeof(program->steps[0]));
	if (program->steps == NULL)
		return -1;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (is_silent(compiler, i))
			continue;
		uint32_t step = program->info.step_count;
		nodes[step] = &graph->nodes[i];
		if (create_step(compiler, nodes[step], i, &program->steps[step]) != 0)
			return -1;
	}
	return 0;
}

/* Now that every storage has its place. */
static void
place_values(struct compiler *compiler, const struct node *const *nodes)
{
	struct program *program = compiler->program;
	for (uint32_t i = 0; i < program->info.step_count; i++) {
		struct step *step = &program->steps[i];
		const struct node *node = nodes[i];
		step->scratch = compiler->plan.storages[step->scratch].offset;
		for (uint32_t k = 0; k < node->input_count; k++) {
			bool known = operator_needs_value(node->op, k);
			if (node->inputs[k] >= 0 && !known &&
			    compiler->graph->values[node->inputs[k]].constant == NULL)
				step->inputs[k] = location_of_value(compiler, node->inputs[k]);
		}
		for (uint32_t k = 0; k < node->output_count; k++)
			if (node->outputs[k] >= 0)
				step->outputs[k] = location_of_value(compiler, node->outputs[k]);
	}
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static int
report_ports(struct compiler *compiler, const struct tensor_type *inputs)
{
	struct program *program = compiler->program;
	const struct graph *graph = compiler->graph;
	struct tensor_type *types = arena_calloc(
		&program->arena, graph->input_count + graph->output_count, sizeof(types[0]));
	if (types == NULL)
		return -1;
	for (uint32_t i = 0; i < graph->input_count; i++)
		types[i] = inputs[i];
	for (uint32_t i = 0; i < graph->output_count; i++)
		types[graph->input_count + i] = graph->values[graph->outputs[i]].type;
	program->info.input_count = graph->input_count;
	program->info.output_count = graph->output_count;
	program->info.inputs = types;
	program->info.outputs = types + graph->input_count;
	program->info.workspace_bytes = compiler->plan.workspace_bytes;
	return 0;
}

/*
 * Rough cost of the graph, before kernels say what theirs is: matrix products and convolutions by their weights. largest: of
 * its most expensive node.
 */
static uint64_t
estimate_flops(const struct graph *graph, uint64_t *largest)
{
	uint64_t flops = 0;
	*largest = 0;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		if (node->outputs[0] < 0)
			continue;
		uint64_t out = (uint64_t)tensor_elements(&graph->values[node->outputs[0]].type);
		uint64_t each = 1;
		if (out == 0)
			continue;
		const struct tensor_type *weights = node->input_count > 1 && node->inputs[1] >= 0
							    ? &graph->values[node->inputs[1]].type
							    : NULL;
		bool product = (node->op->flags & OPERATOR_POSTS) != 0 && weights != NULL;
		if (product && weights->rank > 2 && strcmp(node->op_type, "Conv") == 0)
			each = 2 * (uint64_t)tensor_elements(weights) / (uint64_t)weights->dims[0];
		else if (product && weights->rank >= 2)
			each = 2 * (uint64_t)weights->dims[weights->rank - 2];
		flops += out * each;
		*largest = out * each > *largest ? out * each : *largest;
	}
	return flops;
}

static int
lower(struct compiler *compiler, const struct tensor_type *inputs)
{
	struct graph *graph = compiler->graph;
	if (plan_separate_outputs(graph, &compiler->scratch) != 0 ||
	    layout_choose(graph, compiler->backend, &compiler->layouts) != 0 ||
	    plan_create(&compiler->plan, graph, compiler->layouts, &compiler->scratch) != 0)
		return -1;
	/* Operations of a chain are small ones, mostly: they share the work out where one of them would by itself. */
	uint64_t largest, flops = estimate_flops(graph, &largest);
	if ((compiler->gathers_elements ? largest : flops) < SINGLE_THREAD_FLOPS)
		compiler->threads = 1;
	compiler->program->threads = compiler->threads;
	const struct node **nodes =
		arena_calloc(&compiler->scratch, graph->node_count, sizeof(nodes[0]));
	if (nodes == NULL || create_steps(compiler, nodes) != 0 || plan_place(&compiler->plan) != 0)
		return -1;
	place_values(compiler, nodes);
	if (compile_parameters_place_literals(compiler) != 0 ||
	    compile_parameters_cut(compiler) != 0 || report_ports(compiler, inputs) != 0)
		return -1;
	return program_finish(compiler->program);
}

static int
run_compiler(struct compiler *compiler, const struct graph *source,
	     const struct tensor_type *inputs, uint32_t input_count)
{
	compiler->graph = graph_copy(source, &compiler->scratch);
	compiler->program = program_new();
	if (compiler->graph == NULL || compiler->program == NULL)
		return -1;
	compiler->program->backend = compiler->backend;
	struct graph *graph = compiler->graph;
	bool changed;
	if (set_inputs(graph, inputs, input_count) != 0 || fold_graph(graph) != 0 ||
	    passes_run_inferred(graph, &changed) != 0 || (changed && fold_graph(graph) != 0) ||
	    dynamic_split(graph, &compiler->scratch) != 0 ||
	    passes_run_typed(graph, compiler->backend) != 0 ||
	    (compiler->gathers_elements && passes_gather(graph, compiler->backend) != 0))
		return -1;
	return lower(compiler, inputs);
}

struct program *
compile(const struct graph *graph, struct pack *pack, const struct tensor_type *inputs,
	uint32_t input_count, const struct compile_options *options)
{
	struct compiler compiler = { .pack = pack,
				     .backend = backend_of(options->kind),
				     .threads = options->threads,
				     .gathers_elements = options->gathers_elements };
	if (compiler.backend == NULL)
		return NULL;
	arena_create(&compiler.scratch, 0);
	int result = run_compiler(&compiler, graph, inputs, input_count);
	arena_destroy(&compiler.scratch);
	if (result == 0 && compiler.backend->settle != NULL)
		compiler.backend->settle();
	if (result == 0)
		return compiler.program;
	program_unref(compiler.program);
	return NULL;
}
