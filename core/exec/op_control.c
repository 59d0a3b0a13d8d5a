/*
 * If and Loop, which run bodies, and our own Interpret, which runs what a program could not be compiled for: all on the
 * interpreter.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "exec/interpret.h"
#include "exec/list.h"
#include "exec/operator.h"

enum {
	/* Passes of a Loop without a bound of its own. */
	LOOP_MAX = 1 << 24,
	/* What an Interpret is taken to cost. */
	INTERPRET_FLOPS = 1 << 24,
};

static int
fail(const struct node *node, const char *what)
{
	return error_set(ERR_INVALID_ARGUMENT, "node %s (%s): %s", node->name, node->op_type, what);
}

static struct graph *
body_of(const struct node *node, const char *name)
{
	const struct attribute *attribute = node_attribute(node, name);
	return attribute != NULL && attribute->kind == ATTRIBUTE_GRAPH ? attribute->as.graph : NULL;
}

/* A condition: one BOOL. */
static int
read_condition(const struct node *node, const struct constant *value, bool *condition)
{
	if (value == NULL || value->type.data_type != DATA_TYPE_BOOL ||
	    tensor_elements(&value->type) != 1)
		return fail(node, "the condition is not one BOOL");
	*condition = *(const uint8_t *)value->data != 0;
	return 0;
}

/* The value of the body's output, which must have one. */
static int
body_output(const struct interpreter *body, const struct node *node, uint32_t output,
	    struct constant *value)
{
	*value = body->values[body->graph->outputs[output]];
	return value->type.data_type != DATA_TYPE_NONE ? 0 : fail(node, "a body gives no value");
}

/* --- If ----------------------------------------------------------------------------------------------------------- */

static int
control_if(struct interpreter *interpreter, const struct node *node)
{
	struct interpreter body;
	bool condition = false;
	if (read_condition(node, interpret_input(interpreter, node, 0), &condition) != 0)
		return -1;
	const struct graph *graph = body_of(node, condition ? "then_branch" : "else_branch");
	if (graph == NULL || graph->output_count < node->output_count)
		return fail(node, "a branch is missing or has too few outputs");
	if (interpret_begin(&body, graph, interpreter, interpreter->arena, interpreter->threads) !=
		    0 ||
	    interpret_run(&body) != 0)
		return -1;
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0 &&
		    body_output(&body, node, i, &interpreter->values[node->outputs[i]]) != 0)
			return -1;
	return 0;
}

/* --- Loop --------------------------------------------------------------------------------------------------------- */

/* A Loop under way. */
struct loop {
	struct interpreter *interpreter;
	const struct node *node;
	const struct graph *graph;
	/* Values carried from pass to pass, and values collected, one a pass. */
	uint32_t carried;
	uint32_t scanned;
	struct constant *state;
	/* scanned lists of `passes` values. */
	struct constant **scans;
	uint32_t room;
	int64_t passes;
	int64_t limit;
	bool condition;
};

static int
begin_loop(struct loop *loop, struct interpreter *interpreter, const struct node *node)
{
	const struct constant *limit = interpret_input(interpreter, node, 0);
	const struct constant *condition = interpret_input(interpreter, node, 1);
	*loop = (struct loop){ .interpreter = interpreter,
			       .node = node,
			       .graph = body_of(node, "body"),
			       .carried = node->input_count - 2,
			       .limit = LOOP_MAX,
			       .condition = true };
	if (loop->graph == NULL || loop->graph->input_count != loop->carried + 2 ||
	    loop->graph->output_count < loop->carried + 1 ||
	    loop->graph->output_count - 1 < node->output_count)
		return fail(node, "the body does not fit the node");
	loop->scanned = loop->graph->output_count - 1 - loop->carried;
	if (limit != NULL) {
		if (limit->type.data_type != DATA_TYPE_INT64 || tensor_elements(&limit->type) != 1)
			return fail(node, "the number of passes is not one INT64");
		loop->limit = *(const int64_t *)limit->data;
	}
	if (condition != NULL && read_condition(node, condition, &loop->condition) != 0)
		return -1;
	loop->state = arena_calloc(interpreter->arena, loop->carried, sizeof(loop->state[0]));
	loop->scans = arena_calloc(interpreter->arena, loop->scanned, sizeof(loop->scans[0]));
	if (loop->state == NULL || loop->scans == NULL)
		return -1;
	for (uint32_t i = 0; i < loop->carried; i++) {
		const struct constant *initial = interpret_input(interpreter, node, i + 2);
		if (initial == NULL)
			return fail(node, "a carried value is missing");
		loop->state[i] = *initial;
	}
	return 0;
}

/* One scalar in arena as a constant. */
static int
make_scalar(struct arena *arena, enum data_type data_type, const void *from, struct constant *to)
{
	void *data = arena_alloc(arena, data_type_bytes(data_type));
	if (data == NULL)
		return -1;
	memcpy(data, from, data_type_bytes(data_type));
	*to = (struct constant){ .type = { .data_type = data_type }, .data = data };
	return 0;
}

/* Keep what the body gave for each scan. */
static int
collect_scans(struct loop *loop, const struct interpreter *body)
{
	struct arena *arena = loop->interpreter->arena;
	if ((uint32_t)loop->passes == loop->room) {
		uint32_t room = loop->room == 0 ? 16 : 2 * loop->room;
		for (uint32_t i = 0; i < loop->scanned; i++) {
			struct constant *larger = arena_calloc(arena, room, sizeof(*larger));
			if (larger == NULL)
				return -1;
			if (loop->room != 0)
				memcpy(larger, loop->scans[i], loop->room * sizeof(*larger));
			loop->scans[i] = larger;
		}
		loop->room = room;
	}
	for (uint32_t i = 0; i < loop->scanned; i++)
		if (body_output(body, loop->node, 1 + loop->carried + i,
				&loop->scans[i][loop->passes]) != 0)
			return -1;
	return 0;
}

static int
run_pass(struct loop *loop)
{
	struct interpreter *outer = loop->interpreter;
	struct interpreter body;
	const uint8_t condition = loop->condition;
	const int32_t *inputs = loop->graph->inputs;
	if (interpret_begin(&body, loop->graph, outer, outer->arena, outer->threads) != 0 ||
	    make_scalar(outer->arena, DATA_TYPE_INT64, &loop->passes, &body.values[inputs[0]]) !=
		    0 ||
	    make_scalar(outer->arena, DATA_TYPE_BOOL, &condition, &body.values[inputs[1]]) != 0)
		return -1;
	for (uint32_t i = 0; i < loop->carried; i++)
		body.values[inputs[i + 2]] = loop->state[i];
	if (interpret_run(&body) != 0 ||
	    read_condition(loop->node, &body.values[loop->graph->outputs[0]], &loop->condition) !=
		    0)
		return -1;
	for (uint32_t i = 0; i < loop->carried; i++)
		if (body_output(&body, loop->node, i + 1, &loop->state[i]) != 0)
			return -1;
	if (collect_scans(loop, &body) != 0)
		return -1;
	loop->passes++;
	return 0;
}

/* The values collected for one scan, behind each other along a new first dimension. */
static int
join_scan(const struct loop *loop, uint32_t scan, struct constant *joined)
{
	const struct graph *graph = loop->graph;
	const struct value *declared = &graph->values[graph->outputs[1 + loop->carried + scan]];
	struct tensor_type type = declared->type;
	if (loop->passes != 0)
		type = loop->scans[scan][0].type;
	if (type.rank >= TENSOR_MAX_RANK || data_type_bytes(type.data_type) == 0)
		return fail(loop->node, "a collected value has no type");
	size_t bytes = loop->passes != 0 ? tensor_bytes(&type) : 0;
	for (uint32_t i = 0; i < type.rank; i++)
		type.dims[i] = type.dims[i] < 0 ? 0 : type.dims[i];
	memmove(type.dims + 1, type.dims, type.rank++ * sizeof(type.dims[0]));
	type.dims[0] = loop->passes;
	char *data = arena_alloc(loop->interpreter->arena, bytes * (size_t)loop->passes);
	if (data == NULL)
		return -1;
	for (int64_t i = 0; i < loop->passes; i++) {
		if (!tensor_type_equal(&loop->scans[scan][i].type, &loop->scans[scan][0].type))
			return fail(loop->node, "collected values differ in type");
		memcpy(data + bytes * (size_t)i, loop->scans[scan][i].data, bytes);
	}
	*joined = (struct constant){ .type = type, .data = data };
	return 0;
}

static int
control_loop(struct interpreter *interpreter, const struct node *node)
{
	struct loop loop;
	if (begin_loop(&loop, interpreter, node) != 0)
		return -1;
	while (loop.condition && loop.passes < loop.limit)
		if (run_pass(&loop) != 0)
			return error_wrap("node %s (Loop), pass %" PRId64, node->name, loop.passes);
	for (uint32_t i = 0; i < node->output_count; i++) {
		if (node->outputs[i] < 0)
			continue;
		struct constant *to = &interpreter->values[node->outputs[i]];
		if (i < loop.carried)
			*to = loop.state[i];
		else if (join_scan(&loop, i - loop.carried, to) != 0)
			return -1;
	}
	return 0;
}

/* --- Interpret ---------------------------------------------------------------------------------------------------- */

struct interpret {
	const struct graph *graph;
	uint32_t input_count;
	uint32_t output_count;
	const struct tensor_type *inputs;
	/* Bytes that there are for each output. */
	const size_t *room;
	unsigned threads;
};

/* Copy the graph's outputs to where they belong, and tell their types. */
static int
give_outputs(const struct interpret *interpret, const struct interpreter *interpreter,
	     const struct operands *operands)
{
	for (uint32_t i = 0; i < interpret->output_count; i++) {
		const struct constant *value = &interpreter->values[interpret->graph->outputs[i]];
		if (value->type.data_type == DATA_TYPE_NONE)
			return error_set(ERR_INTERNAL, "output %" PRIu32 " was not computed", i);
		if (list_is(value))
			return error_set(ERR_UNIMPLEMENTED, "output %" PRIu32 " is a sequence", i);
		size_t bytes = tensor_bytes(&value->type);
		if (bytes > interpret->room[i])
			return error_set(ERR_RESOURCE_EXHAUSTED,
					 "output %" PRIu32 " has %zu bytes, there is room for %zu",
					 i, bytes, interpret->room[i]);
		if (bytes != 0)
			memcpy(operands->outputs[i], value->data, bytes);
		if (operands->output_types != NULL)
			operands->output_types[i] = value->type;
	}
	return 0;
}

static int
run_interpret(const void *state, const struct operands *operands)
{
	const struct interpret *interpret = state;
	struct arena arena;
	struct interpreter interpreter;
	arena_create(&arena, 0);
	int result =
		interpret_begin(&interpreter, interpret->graph, NULL, &arena, interpret->threads);
	for (uint32_t i = 0; i < interpret->input_count && result == 0; i++)
		interpreter.values[interpret->graph->inputs[i]] =
			(struct constant){ .type = interpret->inputs[i],
					   .data = operands->inputs[i] };
	if (result == 0)
		result = interpret_run(&interpreter);
	if (result == 0)
		result = give_outputs(interpret, &interpreter, operands);
	arena_destroy(&arena);
	return result;
}

/* The compiler has set the outputs' types: they are bounds. */
static int
infer_interpret(struct operator_call *call)
{
	return operator_error(call, "what it gives depends on data");
}

static int
prepare_interpret(struct operator_call *call)
{
	struct interpret *interpret = operator_state(call, sizeof(*interpret));
	size_t *room = arena_calloc(call->arena, call->output_count, sizeof(*room));
	struct tensor_type *inputs =
		arena_calloc(call->arena, call->input_count, sizeof(inputs[0]));
	if (interpret == NULL || room == NULL || inputs == NULL)
		return -1;
	for (uint32_t i = 0; i < call->output_count; i++)
		room[i] = tensor_bytes(&call->outputs[i]);
	if (call->input_count != 0)
		memcpy(inputs, call->inputs, call->input_count * sizeof(inputs[0]));
	*interpret = (struct interpret){
		.graph = graph_copy_deep(body_of(call->node, "graph"), call->arena),
		.input_count = call->input_count,
		.output_count = call->output_count,
		.inputs = inputs,
		.room = room,
		.threads = call->threads,
	};
	call->kernel->run = run_interpret;
	/* Never so little that it runs where it would hold others up. */
	call->kernel->flops = INTERPRET_FLOPS;
	return interpret->graph != NULL ? 0 : -1;
}

static const struct op control_operators[] = {
	{ .type = "If",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 1, OPERATOR_MANY },
	  .control = control_if },
	{ .type = "Loop",
	  .since = 1,
	  .inputs = { 2, OPERATOR_MANY },
	  .outputs = { 1, OPERATOR_MANY },
	  .control = control_loop },
	{ .domain = "tidepool",
	  .type = "Interpret",
	  .since = 1,
	  .inputs = { 0, OPERATOR_MANY },
	  .outputs = { 1, OPERATOR_MANY },
	  .flags = OPERATOR_TELLS_TYPES,
	  .infer = infer_interpret,
	  .prepare = prepare_interpret },
};

const struct operator_family operator_family_control = {
	control_operators,
	sizeof(control_operators) / sizeof(control_operators[0]),
};
