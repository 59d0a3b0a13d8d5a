#include "exec/last.h"

#include <string.h>

#include "base/error.h"
#include "exec/op_conv.h"

/* How an operator is turned round. */
struct entry {
	const char *domain;
	const char *type;
	enum last_role role;
	/* All inputs lie as the output does; else input 0 alone, and operands of posts that are like the output. */
	bool alike;
	/* Its kernels, or the compiler for a view, know the layout: there is nothing to turn round. */
	bool knows;
	/* Does it work so with these types? NULL: wherever the tensors have channels and places. */
	bool (*fits)(const struct operator_call *call);
	/* What to change in the view besides tensors that lie otherwise; NULL: nothing. -1 with the error set. */
	int (*turn)(const struct operator_call *call, struct operator_call *view);
};

/* --- dimensions -------------------------------------------------------------------------------------------------------- */

/* Batch, channels, and one to three dimensions of places. */
static bool
has_places(const struct tensor_type *type)
{
	return type->rank >= 3 && type->rank <= 5;
}

/* Where a dimension is when channels are last. */
static int64_t
turned_axis(int64_t axis, uint32_t rank)
{
	if (axis == 0)
		return 0;
	return axis == 1 ? rank - 1 : axis - 1;
}

/* The type with as many dimensions as the result, ones in front. */
static struct tensor_type
padded(const struct tensor_type *type, uint32_t rank)
{
	struct tensor_type wide = *type;
	uint32_t lead = rank - type->rank;
	for (uint32_t i = 0; i < rank; i++)
		wide.dims[i] = i < lead ? 1 : type->dims[i - lead];
	wide.rank = rank;
	return wide;
}

/* --- attributes and known inputs ----------------------------------------------------------------------------------------- */

/* Let the view's node have these integers as the attribute; ints is kept. */
static int
set_attribute(struct operator_call *view, const char *name, struct attribute value)
{
	struct node *node = (struct node *)view->node;
	struct attribute *all =
		arena_calloc(view->arena, node->attribute_count + 1, sizeof(all[0]));
	uint32_t count = 0;
	if (all == NULL)
		return -1;
	for (uint32_t i = 0; i < node->attribute_count; i++)
		if (strcmp(node->attributes[i].name, name) != 0)
			all[count++] = node->attributes[i];
	value.name = name;
	all[count++] = value;
	node->attributes = all;
	node->attribute_count = count;
	return 0;
}

/* Integers that are an input where that is present, else an attribute. */
static int
set_ints(struct operator_call *view, uint32_t input, const char *name, const int64_t *values,
	 uint32_t count)
{
	int64_t *kept = arena_alloc(view->arena, (count + 1) * sizeof(kept[0]));
	struct constant *constant = arena_calloc(view->arena, 1, sizeof(*constant));
	if (kept == NULL || constant == NULL)
		return -1;
	memcpy(kept, values, count * sizeof(kept[0]));
	if (!operator_has_input(view, input) || !operator_needs_value(view->op, input))
		return set_attribute(view, name,
				     (struct attribute){ .kind = ATTRIBUTE_INTS,
							 .count = count,
							 .as.ints = kept });
	constant->type =
		(struct tensor_type){ .data_type = DATA_TYPE_INT64, .rank = 1, .dims = { count } };
	constant->data = kept;
	((struct tensor_type *)view->inputs)[input] = constant->type;
	((const struct constant **)view->constants)[input] = constant;
	return 0;
}

/* Axes as the operator has them, of 0 … rank-1. How many, or -1 with the error set; *found false: none are named. */
static int
read_axes(const struct operator_call *call, uint32_t input, int64_t *axes, bool *found)
{
	int count = operator_ints(call, input, "axes", axes, TENSOR_MAX_RANK, found);
	for (int i = 0; i < count; i++) {
		uint32_t axis;
		if (operator_axis(call, axes[i], call->inputs[0].rank, &axis) != 0)
			return -1;
		axes[i] = axis;
	}
	return count;
}

/* The axes turned; without any, the first `all` are meant. */
static int
turn_axes(const struct operator_call *call, struct operator_call *view, uint32_t input,
	  uint32_t all)
{
	int64_t axes[TENSOR_MAX_RANK];
	bool found;
	int count = read_axes(call, input, axes, &found);
	if (count < 0)
		return -1;
	for (uint32_t i = 0; !found && i < all; i++)
		axes[i] = i;
	count = found ? count : (int)all;
	for (int i = 0; i < count; i++)
		axes[i] = turned_axis(axes[i], call->inputs[0].rank);
	return set_ints(view, input, "axes", axes, (uint32_t)count);
}

/* --- operators of several tensors ------------------------------------------------------------------------------------------ */

/* Every input lies as the result can, or the same either way. */
static bool
fits_alike(const struct operator_call *call)
{
	uint32_t rank = call->outputs[0].rank;
	for (uint32_t i = 0; i < call->input_count; i++) {
		const struct tensor_type *type = &call->inputs[i];
		if (type->data_type == DATA_TYPE_NONE || type->rank == rank ||
		    operator_needs_value(call->op, i))
			continue;
		struct tensor_type wide = type->rank < rank ? padded(type, rank) : *type;
		if (type->rank > rank || !layout_is_moot(&wide, LAYOUT_LAST))
			return false;
	}
	return has_places(&call->outputs[0]);
}

static int
turn_axis(const struct operator_call *call, struct operator_call *view)
{
	uint32_t axis;
	const char *type = call->op->type;
	int64_t fallback = strcmp(type, "Concat") == 0 ? 1 : strcmp(type, "Split") == 0 ? 0 : -1;
	if (operator_axis(call, node_int(call->node, "axis", fallback), call->outputs[0].rank,
			  &axis) != 0)
		return -1;
	struct attribute value = { .kind = ATTRIBUTE_INT,
				   .as.i = turned_axis(axis, call->outputs[0].rank) };
	return set_attribute(view, "axis", value);
}

/* --- operators of one tensor ----------------------------------------------------------------------------------------------- */

/* Convolutions read weights in another order, which constants are brought into once. */
static bool
fits_conv(const struct operator_call *call)
{
	return has_places(&call->inputs[0]) && call->constants[1] != NULL;
}

static bool
fits_pool(const struct operator_call *call)
{
	enum data_type data_type = call->inputs[0].data_type;
	bool is_float = data_type == DATA_TYPE_FLOAT || data_type == DATA_TYPE_FLOAT16 ||
			data_type == DATA_TYPE_BFLOAT16;
	return is_float && has_places(&call->inputs[0]) && !operator_has_output(call, 1);
}

static bool
fits_first(const struct operator_call *call)
{
	return has_places(&call->inputs[0]) && call->outputs[0].rank == call->inputs[0].rank;
}

/* Along one axis, as since opset 13, rather than all from one on. */
static bool
fits_softmax(const struct operator_call *call)
{
	return fits_first(call) && call->op->since >= 13;
}

/* By its stored statistics. */
static bool
fits_batch_norm(const struct operator_call *call)
{
	return fits_first(call) && call->output_count == 1 &&
	       node_int(call->node, "training_mode", 0) == 0;
}

/* Rows of channels. */
static int
turn_batch_norm(const struct operator_call *call, struct operator_call *view)
{
	struct tensor_type *types[] = { (struct tensor_type *)&view->inputs[0], &view->outputs[0] };
	int64_t channels = call->inputs[0].dims[1];
	for (int i = 0; i < 2; i++) {
		types[i]->dims[0] = tensor_elements(types[i]) / channels;
		types[i]->dims[1] = channels;
		types[i]->rank = 2;
	}
	return 0;
}

static bool
keeps_dims(const struct operator_call *call)
{
	return node_int(call->node, "keepdims", 1) != 0;
}

/* Without dims of 1 what is left must be in the same order: no channels, or nothing else. */
static bool
fits_reduction(const struct operator_call *call)
{
	int64_t axes[TENSOR_MAX_RANK];
	bool found, channels = false;
	uint32_t rank = call->inputs[0].rank, places = 0;
	if (!has_places(&call->inputs[0]))
		return false;
	int count = read_axes(call, 1, axes, &found);
	if (count < 0)
		error_clear();
	if (count <= 0)
		return false;
	for (int i = 0; i < count; i++) {
		channels |= axes[i] == 1;
		places += axes[i] > 1;
	}
	return keeps_dims(call) || channels || places == rank - 2;
}

static int
turn_reduction(const struct operator_call *call, struct operator_call *view)
{
	return turn_axes(call, view, 1, 0);
}

static int
turn_resize(const struct operator_call *call, struct operator_call *view)
{
	int64_t axes[TENSOR_MAX_RANK];
	uint32_t count = 0, rank = call->inputs[0].rank;
	const int64_t *given = node_ints(call->node, "axes", &count);
	for (uint32_t i = 0; i < (given != NULL ? count : rank); i++) {
		uint32_t axis = i;
		if (given != NULL && operator_axis(call, given[i], rank, &axis) != 0)
			return -1;
		axes[i] = turned_axis(axis, rank);
	}
	/* An attribute whatever the opset. */
	return set_ints(view, UINT32_MAX, "axes", axes, given != NULL ? count : rank);
}

static int
turn_slice(const struct operator_call *call, struct operator_call *view)
{
	int64_t starts[TENSOR_MAX_RANK];
	bool found;
	int count = operator_ints(call, 1, "starts", starts, TENSOR_MAX_RANK, &found);
	return count < 0 ? -1 : turn_axes(call, view, 3, (uint32_t)count);
}

/* Paddings of named axes keep their order, those of all change it with the axes. */
static int
turn_pad(const struct operator_call *call, struct operator_call *view)
{
	int64_t pads[2 * TENSOR_MAX_RANK], turned[2 * TENSOR_MAX_RANK];
	uint32_t rank = call->inputs[0].rank;
	bool found;
	if (operator_has_input(call, 3))
		return turn_axes(call, view, 3, 0);
	if (operator_ints(call, 1, "pads", pads, 2 * TENSOR_MAX_RANK, &found) != 2 * (int)rank)
		return operator_error(call, "pads are not two a dimension");
	for (uint32_t i = 0; i < rank; i++) {
		int64_t to = turned_axis(i, rank);
		turned[to] = pads[i];
		turned[rank + to] = pads[rank + i];
	}
	return set_ints(view, 1, "pads", turned, 2 * rank);
}

/* Places made one dimension, or several of one, with batch and channels as they are. */
static bool
fits_reshape(const struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0], *out = &call->outputs[0];
	return has_places(in) && has_places(out) && in->dims[0] == out->dims[0] &&
	       in->dims[1] == out->dims[1];
}

/* Is perm the one that puts channels last, or the one that brings them from there to dimension 1? */
static bool
permutes(const struct operator_call *call, bool to_last)
{
	uint32_t count, rank = call->inputs[0].rank;
	const int64_t *perm = node_ints(call->node, "perm", &count);
	if (perm == NULL || count != rank || !has_places(&call->inputs[0]))
		return false;
	for (uint32_t i = 0; i < rank; i++) {
		int64_t to = turned_axis(i, rank);
		if (to_last ? perm[to] != (int64_t)i : perm[i] != to)
			return false;
	}
	return true;
}

static bool
fits_transpose(const struct operator_call *call)
{
	return permutes(call, true);
}

/* --- the table --------------------------------------------------------------------------------------------------------------- */

/* Element-wise operators that op->layouts says to be so need no entry. */
static const struct entry entries[] = {
	{ NULL, "Conv", LAST_SEEKS, false, true, fits_conv, NULL },
	{ NULL, "ConvTranspose", LAST_SEEKS, false, true, fits_conv, NULL },
	{ NULL, "MaxPool", LAST_FOLLOWS, false, true, fits_pool, NULL },
	{ NULL, "AveragePool", LAST_FOLLOWS, false, true, fits_pool, NULL },
	{ NULL, "GlobalMaxPool", LAST_FOLLOWS, false, true, fits_pool, NULL },
	{ NULL, "GlobalAveragePool", LAST_FOLLOWS, false, true, fits_pool, NULL },
	{ "tidepool", "Scale", LAST_FOLLOWS, false, true, fits_first, NULL },
	{ "tidepool", "Reorder", LAST_NEVER, false, true, NULL, NULL },
	{ NULL, "BatchNormalization", LAST_FOLLOWS, false, false, fits_batch_norm,
	  turn_batch_norm },
	{ NULL, "Concat", LAST_FOLLOWS, true, false, fits_alike, turn_axis },
	{ NULL, "Split", LAST_FOLLOWS, false, false, fits_first, turn_axis },
	{ NULL, "Softmax", LAST_FOLLOWS, false, false, fits_softmax, turn_axis },
	{ NULL, "LogSoftmax", LAST_FOLLOWS, false, false, fits_softmax, turn_axis },
	{ NULL, "Slice", LAST_FOLLOWS, false, false, fits_first, turn_slice },
	{ NULL, "Pad", LAST_FOLLOWS, false, false, fits_first, turn_pad },
	{ NULL, "Resize", LAST_FOLLOWS, false, false, fits_first, turn_resize },
	{ NULL, "Upsample", LAST_FOLLOWS, false, false, fits_first, turn_resize },
	{ NULL, "Transpose", LAST_FOLLOWS, false, true, fits_transpose, NULL },
	{ NULL, "Reshape", LAST_FOLLOWS, false, true, fits_reshape, NULL },
	{ NULL, "Squeeze", LAST_FOLLOWS, false, true, fits_reshape, NULL },
	{ NULL, "Unsqueeze", LAST_FOLLOWS, false, true, fits_reshape, NULL },
	{ NULL, "Max", LAST_FOLLOWS, true, false, fits_alike, NULL },
	{ NULL, "Min", LAST_FOLLOWS, true, false, fits_alike, NULL },
	{ NULL, "Sum", LAST_FOLLOWS, true, false, fits_alike, NULL },
	{ NULL, "Mean", LAST_FOLLOWS, true, false, fits_alike, NULL },
	{ NULL, "Mod", LAST_FOLLOWS, true, false, fits_alike, NULL },
	{ NULL, "Where", LAST_FOLLOWS, true, false, fits_alike, NULL },
	{ NULL, "Not", LAST_FOLLOWS, false, false, fits_first, NULL },
	{ NULL, "Cast", LAST_FOLLOWS, false, false, fits_first, NULL },
	{ NULL, "CastLike", LAST_FOLLOWS, false, false, fits_first, NULL },
	{ "tidepool", "Copy", LAST_FOLLOWS, false, false, fits_first, NULL },
};

static const struct entry reduction = { NULL,  NULL,           LAST_FOLLOWS,  false,
					false, fits_reduction, turn_reduction };
static const struct entry unary = { NULL, NULL, LAST_FOLLOWS, false, false, fits_first, NULL };
static const struct entry alike = { NULL, NULL, LAST_FOLLOWS, true, false, fits_alike, NULL };

static bool
is_of(const struct entry *entry, const struct op *op)
{
	const char *domain = op->domain != NULL ? op->domain : "";
	return strcmp(entry->type, op->type) == 0 &&
	       strcmp(entry->domain != NULL ? entry->domain : "", domain) == 0;
}

/* NULL: it wants plain tensors. */
static const struct entry *
find(const struct op *op)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (is_of(&entries[i], op))
			return &entries[i];
	if (op->domain == NULL && strncmp(op->type, "Reduce", 6) == 0)
		return &reduction;
	if (op->layouts == OPERATOR_LAYOUTS_UNARY)
		return &unary;
	return op->layouts == OPERATOR_LAYOUTS_ALIKE ? &alike : NULL;
}

enum last_role
last_role(const struct operator_call *call)
{
	const struct entry *entry = find(call->op);
	if (entry == NULL || entry->fits == NULL || call->input_count == 0 || !entry->fits(call))
		return LAST_NEVER;
	return entry->role;
}

bool
last_takes(const struct operator_call *call, uint32_t input)
{
	const struct entry *entry = find(call->op);
	const struct tensor_type *type = &call->inputs[input];
	if (type->data_type == DATA_TYPE_NONE || operator_needs_value(call->op, input))
		return false;
	if (entry->alike)
		return tensor_elements(type) != 1 && type->rank == call->outputs[0].rank;
	/* Operands of posts stand behind the operator's own inputs. */
	return input == 0 ||
	       (input >= call->op->inputs[1] && tensor_type_equal(type, &call->outputs[0]));
}

bool
last_gives(const struct operator_call *call, uint32_t output)
{
	if (!operator_has_output(call, output) || last_is_view(call))
		return false;
	return find(call->op) != &reduction || keeps_dims(call);
}

bool
last_is_view(const struct operator_call *call)
{
	return strcmp(call->op->type, "Transpose") == 0 && permutes(call, true);
}

bool
last_is_made(const struct operator_call *call)
{
	return strcmp(call->op->type, "Transpose") == 0 && permutes(call, false);
}

bool
last_is_used(const struct operator_call *call)
{
	for (uint32_t i = 0; i < call->input_count; i++)
		if (call->input_layouts[i] == LAYOUT_LAST)
			return true;
	for (uint32_t i = 0; i < call->output_count; i++)
		if (call->output_layouts[i] == LAYOUT_LAST)
			return true;
	return false;
}

/* --- the view ------------------------------------------------------------------------------------------------------------------ */

/* An input as the view has it. */
static struct tensor_type
turned_input(const struct operator_call *call, const struct entry *entry, uint32_t input)
{
	const struct tensor_type *type = &call->inputs[input];
	if (call->input_layouts[input] == LAYOUT_LAST)
		return layout_view(type, LAYOUT_LAST);
	if (!entry->alike || type->data_type == DATA_TYPE_NONE ||
	    operator_needs_value(call->op, input))
		return *type;
	struct tensor_type wide = padded(type, call->outputs[0].rank);
	return layout_view(&wide, LAYOUT_LAST);
}

/* Copies of what the view may change. */
static int
copy_call(const struct operator_call *call, const struct entry *entry, struct operator_call *view)
{
	uint32_t inputs = call->input_count, outputs = call->output_count;
	struct tensor_type *types = arena_calloc(call->arena, inputs + outputs, sizeof(types[0]));
	const struct constant **constants = arena_calloc(call->arena, inputs, sizeof(constants[0]));
	enum layout *layouts = arena_calloc(call->arena, inputs + outputs, sizeof(layouts[0]));
	struct node *node = arena_alloc(call->arena, sizeof(*node));
	if (types == NULL || constants == NULL || layouts == NULL || node == NULL)
		return -1;
	*node = *call->node;
	for (uint32_t i = 0; i < inputs; i++) {
		types[i] = turned_input(call, entry, i);
		constants[i] = call->constants[i];
	}
	for (uint32_t i = 0; i < outputs; i++)
		types[inputs + i] = layout_view(&call->outputs[i], call->output_layouts[i]);
	*view = *call;
	view->node = node;
	view->inputs = types;
	view->outputs = types + inputs;
	view->constants = constants;
	view->input_layouts = layouts;
	view->output_layouts = layouts + inputs;
	return 0;
}

int
last_view(const struct operator_call *call, struct operator_call *view, bool *is_other)
{
	const struct entry *entry = find(call->op);
	*is_other = entry != NULL && !entry->knows;
	if (!*is_other)
		return 0;
	if (copy_call(call, entry, view) != 0)
		return -1;
	return entry->turn != NULL ? entry->turn(call, view) : 0;
}
