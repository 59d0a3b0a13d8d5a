/* Scan, which runs its body once a row of its inputs: on the interpreter. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "exec/interpret.h"
#include "exec/operator.h"
#include "exec/slices.h"

/* A Scan under way, for one batch element before opset 9. */
struct scan {
	struct interpreter *interpreter;
	const struct node *node;
	const struct graph *graph;
	/* Values carried along, inputs that are scanned, outputs that are collected. */
	uint32_t carried;
	uint32_t scanned;
	uint32_t collected;
	struct constant *state;
	struct constant *inputs;
	/* collected lists of `rows` values. */
	struct constant **outputs;
	int64_t rows;
	/* Scan of opset 8: axes are not to be chosen, `directions` is the attribute. */
	bool is_old;
};

static int
fail(const struct scan *scan, const char *what)
{
	return error_set(ERR_INVALID_ARGUMENT, "node %s (Scan): %s", scan->node->name, what);
}

/* Element i of an attribute of integers; 0 when it is absent. -1 with the error set when it is too short. */
static int
attribute_at(const struct scan *scan, const char *name, uint32_t i, int64_t *value)
{
	uint32_t count;
	const int64_t *values = node_ints(scan->node, name, &count);
	if (values != NULL && i >= count)
		return fail(scan, "an attribute has too few values");
	*value = values != NULL ? values[i] : 0;
	return 0;
}

static int
axis_at(const struct scan *scan, const char *name, uint32_t i, uint32_t rank, uint32_t *axis)
{
	int64_t value = 0;
	if (!scan->is_old && attribute_at(scan, name, i, &value) != 0)
		return -1;
	value += value < 0 ? rank : 0;
	if (value < 0 || value >= rank)
		return fail(scan, "an axis is out of range");
	*axis = (uint32_t)value;
	return 0;
}

static int
begin_scan(struct scan *scan, struct interpreter *interpreter, const struct node *node,
	   uint32_t first_input)
{
	const struct attribute *body = node_attribute(node, "body");
	int64_t scanned = node_int(node, "num_scan_inputs", 0);
	uint32_t inputs = node->input_count - first_input;
	*scan = (struct scan){ .interpreter = interpreter,
			       .node = node,
			       .is_old = first_input == 1 };
	if (body == NULL || body->kind != ATTRIBUTE_GRAPH || scanned < 1 || scanned > inputs)
		return fail(scan, "the body is missing, or num_scan_inputs is out of range");
	scan->graph = body->as.graph;
	scan->scanned = (uint32_t)scanned;
	scan->carried = inputs - scan->scanned;
	if (scan->graph->input_count != inputs || scan->graph->output_count < scan->carried ||
	    scan->graph->output_count < node->output_count)
		return fail(scan, "the body does not fit the node");
	scan->collected = scan->graph->output_count - scan->carried;
	struct arena *arena = interpreter->arena;
	scan->state = arena_calloc(arena, scan->carried, sizeof(*scan->state));
	scan->inputs = arena_calloc(arena, scan->scanned, sizeof(*scan->inputs));
	scan->outputs = arena_calloc(arena, scan->collected, sizeof(*scan->outputs));
	if (scan->state == NULL || scan->inputs == NULL || scan->outputs == NULL)
		return -1;
	for (uint32_t i = 0; i < inputs; i++) {
		const struct constant *value = interpret_input(interpreter, node, first_input + i);
		if (value == NULL)
			return fail(scan, "an input is missing");
		*(i < scan->carried ? &scan->state[i] : &scan->inputs[i - scan->carried]) = *value;
	}
	return 0;
}

/* How many rows there are: as many in each input. Makes room for what is collected. */
static int
count_rows(struct scan *scan)
{
	for (uint32_t i = 0; i < scan->scanned; i++) {
		const struct tensor_type *type = &scan->inputs[i].type;
		uint32_t axis = 0;
		if (axis_at(scan, "scan_input_axes", i, type->rank, &axis) != 0)
			return -1;
		if (i > 0 && type->dims[axis] != scan->rows)
			return fail(scan, "the inputs have different numbers of rows");
		scan->rows = type->dims[axis];
	}
	for (uint32_t i = 0; i < scan->collected; i++) {
		scan->outputs[i] = arena_calloc(scan->interpreter->arena, (size_t)scan->rows + 1,
						sizeof(struct constant));
		if (scan->outputs[i] == NULL)
			return -1;
	}
	return 0;
}

/* The row of input i that pass `pass` gets. */
static int
take_row(const struct scan *scan, uint32_t i, int64_t pass, struct constant *row)
{
	const char *name = scan->is_old ? "directions" : "scan_input_directions";
	uint32_t axis = 0;
	int64_t backward = 0;
	if (axis_at(scan, "scan_input_axes", i, scan->inputs[i].type.rank, &axis) != 0 ||
	    attribute_at(scan, name, i, &backward) != 0)
		return -1;
	return slices_row(&scan->inputs[i], axis, backward ? scan->rows - 1 - pass : pass,
			  scan->interpreter->arena, row);
}

static int
run_pass(struct scan *scan, int64_t pass)
{
	struct interpreter *outer = scan->interpreter;
	struct interpreter body;
	const int32_t *inputs = scan->graph->inputs, *outputs = scan->graph->outputs;
	if (interpret_begin(&body, scan->graph, outer, outer->arena, outer->threads) != 0)
		return -1;
	for (uint32_t i = 0; i < scan->carried; i++)
		body.values[inputs[i]] = scan->state[i];
	for (uint32_t i = 0; i < scan->scanned; i++)
		if (take_row(scan, i, pass, &body.values[inputs[scan->carried + i]]) != 0)
			return -1;
	if (interpret_run(&body) != 0)
		return -1;
	for (uint32_t i = 0; i < scan->graph->output_count; i++) {
		const struct constant *value = &body.values[outputs[i]];
		if (value->type.data_type == DATA_TYPE_NONE)
			return fail(scan, "the body gives no value");
		*(i < scan->carried ? &scan->state[i] : &scan->outputs[i - scan->carried][pass]) =
			*value;
	}
	return 0;
}

static int
run_passes(struct scan *scan)
{
	if (count_rows(scan) != 0)
		return -1;
	for (int64_t pass = 0; pass < scan->rows; pass++)
		if (run_pass(scan, pass) != 0)
			return error_wrap("node %s (Scan), row %" PRId64, scan->node->name, pass);
	return 0;
}

static void
reverse(struct constant *values, int64_t count)
{
	for (int64_t i = 0; i < count / 2; i++) {
		struct constant other = values[i];
		values[i] = values[count - 1 - i];
		values[count - 1 - i] = other;
	}
}

/* What was collected for output i, along its axis. */
static int
join_output(const struct scan *scan, uint32_t i, struct constant *joined)
{
	uint32_t axis = 0;
	int64_t backward = 0;
	if (scan->rows == 0)
		return fail(scan, "there are no rows");
	if (axis_at(scan, "scan_output_axes", i, scan->outputs[i][0].type.rank + 1, &axis) != 0 ||
	    (!scan->is_old && attribute_at(scan, "scan_output_directions", i, &backward) != 0))
		return -1;
	if (backward)
		reverse(scan->outputs[i], scan->rows);
	return slices_join(scan->outputs[i], scan->rows, axis, true, scan->interpreter->arena,
			   joined);
}

/* Value of the node's output i. */
static int
output_of(const struct scan *scan, uint32_t i, struct constant *value)
{
	if (i >= scan->carried)
		return join_output(scan, i - scan->carried, value);
	*value = scan->state[i];
	return 0;
}

static int
control_scan(struct interpreter *interpreter, const struct node *node)
{
	struct scan scan;
	if (begin_scan(&scan, interpreter, node, 0) != 0 || run_passes(&scan) != 0)
		return -1;
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0 &&
		    output_of(&scan, i, &interpreter->values[node->outputs[i]]) != 0)
			return -1;
	return 0;
}

/* --- opset 8: everything has a batch dimension before the rows ------------------------------------------------------ */

/* What one batch element gives, to outputs: `batch` values for each output of the node. */
static int
scan_element(struct interpreter *interpreter, const struct node *node, int64_t element,
	     int64_t batch, struct constant *outputs)
{
	struct scan scan;
	if (begin_scan(&scan, interpreter, node, 1) != 0)
		return -1;
	for (uint32_t i = 0; i < scan.carried + scan.scanned; i++) {
		struct constant *value =
			i < scan.carried ? &scan.state[i] : &scan.inputs[i - scan.carried];
		if (value->type.rank < 1 || value->type.dims[0] != batch)
			return fail(&scan, "the inputs differ in their batch dimension");
		if (slices_row(value, 0, element, interpreter->arena, value) != 0)
			return -1;
	}
	if (run_passes(&scan) != 0)
		return -1;
	for (uint32_t i = 0; i < node->output_count; i++)
		if (output_of(&scan, i, &outputs[i * batch + element]) != 0)
			return -1;
	return 0;
}

static int
control_scan_8(struct interpreter *interpreter, const struct node *node)
{
	const struct constant *first = interpret_input(interpreter, node, 1);
	if (interpret_input(interpreter, node, 0) != NULL)
		return error_set(ERR_UNIMPLEMENTED,
				 "node %s (Scan): sequence_lens is not supported", node->name);
	if (first == NULL || first->type.rank < 1 || first->type.dims[0] < 1)
		return error_set(ERR_INVALID_ARGUMENT, "node %s (Scan): there is no batch",
				 node->name);
	int64_t batch = first->type.dims[0];
	struct constant *outputs = arena_calloc(
		interpreter->arena, (size_t)batch * node->output_count, sizeof(*outputs));
	if (outputs == NULL)
		return -1;
	for (int64_t i = 0; i < batch; i++)
		if (scan_element(interpreter, node, i, batch, outputs) != 0)
			return -1;
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0 &&
		    slices_join(&outputs[i * batch], batch, 0, true, interpreter->arena,
				&interpreter->values[node->outputs[i]]) != 0)
			return -1;
	return 0;
}

static const struct op scan_operators[] = {
	{ .type = "Scan",
	  .since = 8,
	  .inputs = { 2, OPERATOR_MANY },
	  .outputs = { 1, OPERATOR_MANY },
	  .control = control_scan_8 },
	{ .type = "Scan",
	  .since = 9,
	  .inputs = { 1, OPERATOR_MANY },
	  .outputs = { 1, OPERATOR_MANY },
	  .control = control_scan },
};

const struct operator_family operator_family_scan = {
	scan_operators,
	sizeof(scan_operators) / sizeof(scan_operators[0]),
};
