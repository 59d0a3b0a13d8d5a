/* Operators on sequences of tensors: they run on the interpreter, as what follows from them does. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "exec/axis.h"
#include "exec/interpret.h"
#include "exec/list.h"
#include "exec/operator.h"
#include "exec/slices.h"

static int
fail(const struct node *node, const char *what)
{
	return error_set(ERR_INVALID_ARGUMENT, "node %s (%s): %s", node->name, node->op_type, what);
}

/* Input `input` as a list; NULL with the error set. */
static const struct list *
read_list(const struct interpreter *interpreter, const struct node *node, uint32_t input)
{
	const struct constant *value = interpret_input(interpreter, node, input);
	if (value != NULL && list_is(value))
		return value->data;
	fail(node, "an input is no sequence");
	return NULL;
}

/* Input `input` as a tensor; NULL with the error set. */
static const struct constant *
read_tensor(const struct interpreter *interpreter, const struct node *node, uint32_t input)
{
	const struct constant *value = interpret_input(interpreter, node, input);
	if (value != NULL && !list_is(value))
		return value;
	fail(node, "an input is no tensor");
	return NULL;
}

/*
 * The place, below limit, in a list of `count` that input `input` names, negative from the end; fallback when it is absent.
 * -1 with the error set.
 */
static int64_t
read_place(const struct interpreter *interpreter, const struct node *node, uint32_t input,
	   int64_t count, int64_t limit, int64_t fallback)
{
	const struct constant *value = interpret_input(interpreter, node, input);
	int64_t place = fallback;
	if (value != NULL) {
		if ((value->type.data_type != DATA_TYPE_INT64 &&
		     value->type.data_type != DATA_TYPE_INT32) ||
		    tensor_elements(&value->type) != 1)
			return fail(node, "the position is not one integer");
		place = axis_integer(value->type.data_type, value->data, 0);
		place += place < 0 ? count : 0;
	}
	if (place < 0 || place >= limit)
		return fail(node, "the position is out of range");
	return place;
}

/* A new list of that many items to be filled in; NULL with the error set. */
static struct constant *
new_list(struct interpreter *interpreter, int64_t count, struct constant *value)
{
	struct list *list = arena_calloc(interpreter->arena, 1, sizeof(*list));
	struct constant *items =
		arena_calloc(interpreter->arena, (size_t)count + 1, sizeof(*items));
	if (list == NULL || items == NULL)
		return NULL;
	*list = (struct list){ count, items };
	*value = (struct constant){ .type = { .data_type = (enum data_type)LIST_DATA_TYPE },
				    .data = list };
	return items;
}

/* Where the node's only output goes. */
static struct constant *
output_of(struct interpreter *interpreter, const struct node *node)
{
	return &interpreter->values[node->outputs[0]];
}

static int
control_empty(struct interpreter *interpreter, const struct node *node)
{
	return new_list(interpreter, 0, output_of(interpreter, node)) != NULL ? 0 : -1;
}

static int
control_construct(struct interpreter *interpreter, const struct node *node)
{
	struct constant *items =
		new_list(interpreter, node->input_count, output_of(interpreter, node));
	if (items == NULL)
		return -1;
	for (uint32_t i = 0; i < node->input_count; i++) {
		const struct constant *tensor = read_tensor(interpreter, node, i);
		if (tensor == NULL)
			return -1;
		items[i] = *tensor;
	}
	return 0;
}

static int
control_insert(struct interpreter *interpreter, const struct node *node)
{
	const struct list *list = read_list(interpreter, node, 0);
	const struct constant *tensor = read_tensor(interpreter, node, 1);
	if (list == NULL || tensor == NULL)
		return -1;
	int64_t place = read_place(interpreter, node, 2, list->count, list->count + 1, list->count);
	struct constant *items =
		place < 0 ? NULL
			  : new_list(interpreter, list->count + 1, output_of(interpreter, node));
	if (items == NULL)
		return -1;
	for (int64_t i = 0; i < list->count; i++)
		items[i < place ? i : i + 1] = list->items[i];
	items[place] = *tensor;
	return 0;
}

static int
control_erase(struct interpreter *interpreter, const struct node *node)
{
	const struct list *list = read_list(interpreter, node, 0);
	if (list == NULL)
		return -1;
	int64_t place = read_place(interpreter, node, 1, list->count, list->count, list->count - 1);
	struct constant *items =
		place < 0 ? NULL
			  : new_list(interpreter, list->count - 1, output_of(interpreter, node));
	if (items == NULL)
		return -1;
	for (int64_t i = 0; i < list->count - 1; i++)
		items[i] = list->items[i < place ? i : i + 1];
	return 0;
}

static int
control_at(struct interpreter *interpreter, const struct node *node)
{
	const struct list *list = read_list(interpreter, node, 0);
	if (list == NULL)
		return -1;
	int64_t place = read_place(interpreter, node, 1, list->count, list->count, 0);
	if (place < 0)
		return -1;
	*output_of(interpreter, node) = list->items[place];
	return 0;
}

static int
control_length(struct interpreter *interpreter, const struct node *node)
{
	const struct list *list = read_list(interpreter, node, 0);
	int64_t *count = arena_alloc(interpreter->arena, sizeof(*count));
	if (list == NULL || count == NULL)
		return -1;
	*count = list->count;
	*output_of(interpreter, node) =
		(struct constant){ .type = { .data_type = DATA_TYPE_INT64 }, .data = count };
	return 0;
}

/* --- to and from one tensor --------------------------------------------------------------------------------------- */

/* The node's axis for tensors of that rank; -1 with the error set. */
static int64_t
read_axis(const struct node *node, int64_t fallback, uint32_t rank)
{
	int64_t axis = node_int(node, "axis", fallback);
	axis += axis < 0 ? rank : 0;
	return axis >= 0 && axis < rank ? axis : fail(node, "axis is out of range");
}

/* A tensor to be split: along what, and how. */
struct cut {
	const struct constant *tensor;
	uint32_t axis;
	int64_t rows;
	/* Sizes of pieces, one for all when it has one element and is a scalar; NULL: rows without the axis, or with it. */
	const struct constant *sizes;
	bool keeps_axis;
};

static int64_t
size_of(const struct cut *cut, int64_t piece, int64_t left)
{
	if (cut->sizes == NULL)
		return 1;
	bool is_one = cut->sizes->type.rank == 0;
	int64_t size =
		axis_integer(cut->sizes->type.data_type, cut->sizes->data, is_one ? 0 : piece);
	return is_one && size > left ? left : size;
}

/* How many pieces there are; -1 with the error set when their sizes do not add up. */
static int64_t
count_pieces(const struct node *node, const struct cut *cut)
{
	if (cut->sizes == NULL)
		return cut->rows;
	bool is_one = cut->sizes->type.rank == 0;
	int64_t listed = is_one ? INT64_MAX : tensor_elements(&cut->sizes->type);
	int64_t pieces = 0, left = cut->rows;
	for (; pieces < listed && (left > 0 || !is_one); pieces++) {
		int64_t size = size_of(cut, pieces, left);
		if (size < (is_one ? 1 : 0) || size > left)
			return fail(node, "the sizes do not add up");
		left -= size;
	}
	return left == 0 ? pieces : fail(node, "the sizes do not add up");
}

static int
cut_pieces(struct interpreter *interpreter, const struct cut *cut, int64_t pieces,
	   struct constant *items)
{
	int64_t at = 0;
	for (int64_t i = 0; i < pieces; i++) {
		int64_t size = size_of(cut, i, cut->rows - at);
		int status = cut->keeps_axis ? slices_take(cut->tensor, cut->axis, at, size,
							   interpreter->arena, &items[i])
					     : slices_row(cut->tensor, cut->axis, at,
							  interpreter->arena, &items[i]);
		if (status != 0)
			return -1;
		at += size;
	}
	return 0;
}

static int
control_split(struct interpreter *interpreter, const struct node *node)
{
	struct cut cut = { .tensor = read_tensor(interpreter, node, 0),
			   .sizes = interpret_input(interpreter, node, 1) };
	if (cut.tensor == NULL)
		return -1;
	int64_t axis = read_axis(node, 0, cut.tensor->type.rank);
	if (axis < 0)
		return -1;
	if (cut.sizes != NULL && cut.sizes->type.data_type != DATA_TYPE_INT64 &&
	    cut.sizes->type.data_type != DATA_TYPE_INT32)
		return fail(node, "the sizes are no integers");
	cut.axis = (uint32_t)axis;
	cut.rows = cut.tensor->type.dims[axis];
	cut.keeps_axis = cut.sizes != NULL || node_int(node, "keepdims", 1) != 0;
	int64_t pieces = count_pieces(node, &cut);
	struct constant *items =
		pieces < 0 ? NULL : new_list(interpreter, pieces, output_of(interpreter, node));
	return items != NULL ? cut_pieces(interpreter, &cut, pieces, items) : -1;
}

static int
control_concat(struct interpreter *interpreter, const struct node *node)
{
	const struct list *list = read_list(interpreter, node, 0);
	bool is_new = node_int(node, "new_axis", 0) != 0;
	if (list == NULL)
		return -1;
	if (list->count == 0)
		return fail(node, "the sequence is empty");
	int64_t axis = read_axis(node, 0, list->items[0].type.rank + (is_new ? 1 : 0));
	if (axis < 0)
		return -1;
	return slices_join(list->items, list->count, (uint32_t)axis, is_new, interpreter->arena,
			   output_of(interpreter, node)) == 0
		       ? 0
		       : error_wrap("node %s (ConcatFromSequence)", node->name);
}

/* clang-format off */
#define OPERATOR(TYPE, LEAST, MOST, RULE)                                                          \
	{ .type = TYPE, .since = 11, .inputs = { LEAST, MOST }, .outputs = { 1, 1 },               \
	  .control = control_##RULE }
/* clang-format on */

static const struct op list_operators[] = {
	OPERATOR("SequenceEmpty", 0, 0, empty),
	OPERATOR("SequenceConstruct", 1, OPERATOR_MANY, construct),
	OPERATOR("SequenceInsert", 2, 3, insert),
	OPERATOR("SequenceErase", 1, 2, erase),
	OPERATOR("SequenceAt", 2, 2, at),
	OPERATOR("SequenceLength", 1, 1, length),
	OPERATOR("SplitToSequence", 1, 2, split),
	OPERATOR("ConcatFromSequence", 1, 1, concat),
};

const struct operator_family operator_family_list = {
	list_operators,
	sizeof(list_operators) / sizeof(list_operators[0]),
};
