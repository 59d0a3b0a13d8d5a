/* Operators that put elements in order: TopK, Unique. */
#include "exec/op_sort.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cast.h"
#include "exec/parallel.h"

enum { GRAIN_ELEMENTS = 16384 };

/* --- TopK --------------------------------------------------------------------------------------------------------- */

struct topk_run {
	const struct topk *topk;
	const struct operands *operands;
};

/*
 * The k first of a row, best first, ties by lower index; order holds indices. A heap of the k best so far, its worst one
 * on top, then taken apart. NaN counts as largest, as in NumPy.
 */
#define TOPK_LOOPS(N, type)                                                                        \
	static bool before_##N(const type *in, int64_t step, bool largest, int64_t a, int64_t b)   \
	{                                                                                          \
		type x = in[a * step], y = in[b * step];                                           \
		bool x_nan = x != x, y_nan = y != y;                                               \
		if (x_nan != y_nan)                                                                \
			return x_nan == largest;                                                   \
		if (x == y || x_nan)                                                               \
			return a < b;                                                              \
		return largest ? x > y : x < y;                                                    \
	}                                                                                          \
	static void sink_##N(const type *in, int64_t step, bool largest, int64_t *heap,            \
			     int64_t count)                                                        \
	{                                                                                          \
		int64_t at = 0, item = heap[0];                                                    \
		for (int64_t child = 1; child < count; child = 2 * at + 1) {                       \
			if (child + 1 < count &&                                                   \
			    before_##N(in, step, largest, heap[child], heap[child + 1]))           \
				child++;                                                           \
			if (before_##N(in, step, largest, heap[child], item))                      \
				break;                                                             \
			heap[at] = heap[child];                                                    \
			at = child;                                                                \
		}                                                                                  \
		heap[at] = item;                                                                   \
	}                                                                                          \
	static void rise_##N(const type *in, int64_t step, bool largest, int64_t *heap,            \
			     int64_t at)                                                           \
	{                                                                                          \
		int64_t item = heap[at];                                                           \
		while (at > 0 && before_##N(in, step, largest, heap[(at - 1) / 2], item)) {        \
			heap[at] = heap[(at - 1) / 2];                                             \
			at = (at - 1) / 2;                                                         \
		}                                                                                  \
		heap[at] = item;                                                                   \
	}                                                                                          \
	static void topk_##N(const type *in, const struct topk *topk, int64_t *order)              \
	{                                                                                          \
		int64_t step = topk->axis.inner;                                                   \
		for (int64_t i = 0; i < topk->axis.dim; i++) {                                     \
			if (i < topk->k) {                                                         \
				order[i] = i;                                                      \
				rise_##N(in, step, topk->largest, order, i);                       \
			} else if (before_##N(in, step, topk->largest, i, order[0])) {             \
				order[0] = i;                                                      \
				sink_##N(in, step, topk->largest, order, topk->k);                 \
			}                                                                          \
		}                                                                                  \
		for (int64_t count = topk->k; count > 1; count--) {                                \
			int64_t worst = order[0];                                                  \
			order[0] = order[count - 1];                                               \
			sink_##N(in, step, topk->largest, order, count - 1);                       \
			order[count - 1] = worst;                                                  \
		}                                                                                  \
	}

#define TOPK_TYPES(X)                                                                              \
	X(FLOAT, float)                                                                            \
	X(DOUBLE, double)                                                                          \
	X(INT8, int8_t)                                                                            \
	X(INT16, int16_t)                                                                          \
	X(INT32, int32_t)                                                                          \
	X(INT64, int64_t)                                                                          \
	X(UINT8, uint8_t)                                                                          \
	X(UINT16, uint16_t)                                                                        \
	X(UINT32, uint32_t)                                                                        \
	X(UINT64, uint64_t)
TOPK_TYPES(TOPK_LOOPS)

static void
find_order(const struct topk *topk, const void *in, int64_t *order)
{
	switch (topk->data_type) {
#define CASE(N, type)                                                                              \
	case DATA_TYPE_##N:                                                                        \
		topk_##N(in, topk, order);                                                         \
		break;
		TOPK_TYPES(CASE)
#undef CASE
	default:
		break;
	}
}

/* Items: rows along the axis. Each has its own part of the scratch for the order. */
static void
topk_rows(void *context, int64_t begin, int64_t end)
{
	const struct topk_run *run = context;
	const struct topk *topk = run->topk;
	const struct axis *axis = &topk->axis;
	size_t bytes = data_type_bytes(topk->data_type);
	for (int64_t row = begin; row < end; row++) {
		int64_t *order = (int64_t *)run->operands->scratch + row * topk->k;
		int64_t from = row / axis->inner * axis->dim * axis->inner + row % axis->inner;
		int64_t to = row / axis->inner * topk->k * axis->inner + row % axis->inner;
		const char *in = (const char *)run->operands->inputs[0] + (size_t)from * bytes;
		find_order(topk, in, order);
		for (int64_t i = 0; i < topk->k; i++) {
			int64_t at = to + i * axis->inner;
			if (topk->wants_values)
				memcpy((char *)run->operands->outputs[0] + (size_t)at * bytes,
				       in + (size_t)(order[i] * axis->inner) * bytes, bytes);
			if (topk->wants_indices)
				((int64_t *)run->operands->outputs[1])[at] = order[i];
		}
	}
}

int
op_sort_topk(const void *state, const struct operands *operands)
{
	const struct topk *topk = state;
	struct topk_run run = { topk, operands };
	parallel_for(topk->threads, topk->axis.outer * topk->axis.inner,
		     GRAIN_ELEMENTS / (topk->axis.dim + 1) + 1, topk_rows, &run);
	return 0;
}

static int
read_topk(const struct operator_call *call, uint32_t *axis, int64_t *k)
{
	const struct tensor_type *input = &call->inputs[0];
	*k = node_int(call->node, "k", -1);
	if (call->op->since >= 10 && operator_read_ints(call, 1, k, 1) != 1)
		return operator_error(call, "k must be one integer");
	if (operator_axis(call, node_int(call->node, "axis", -1), input->rank, axis) != 0)
		return -1;
	if (*k < 0 || *k > input->dims[*axis])
		return operator_error(call, "k is %" PRId64 " of %" PRId64, *k, input->dims[*axis]);
	return 0;
}

static int
infer_topk(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	uint32_t axis;
	int64_t k;
	if (read_topk(call, &axis, &k) != 0)
		return -1;
	type.dims[axis] = k;
	operator_output(call, 1, DATA_TYPE_INT64, type.rank, type.dims);
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static bool
has_loops(enum data_type data_type)
{
	return data_type != DATA_TYPE_BOOL && data_type != DATA_TYPE_FLOAT16 &&
	       data_type != DATA_TYPE_BFLOAT16;
}

static int
prepare_topk(struct operator_call *call)
{
	struct topk *topk = operator_state(call, sizeof(*topk));
	uint32_t axis;
	if (topk == NULL || read_topk(call, &axis, &topk->k) != 0)
		return -1;
	topk->data_type = call->inputs[0].data_type;
	if (!has_loops(topk->data_type))
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(topk->data_type));
	topk->axis = axis_of(&call->inputs[0], axis);
	topk->largest = node_int(call->node, "largest", 1) != 0;
	topk->wants_values = operator_has_output(call, 0);
	topk->wants_indices = operator_has_output(call, 1);
	topk->threads = call->threads;
	call->kernel->scratch_bytes =
		(size_t)(topk->axis.outer * topk->axis.inner * topk->k) * sizeof(int64_t);
	call->kernel->run = op_sort_topk;
	return 0;
}

/* --- Unique ------------------------------------------------------------------------------------------------------- */

/*
 * Slices along an axis (elements without one), grouped by equality. Shapes depend on the data, so all of it is known when
 * the call is inferred; prepare does the work and the run copies.
 */
struct unique {
	const char *data;
	enum data_type data_type;
	struct axis axis;
	/* Indices of slices, sorted; the first slice of each group, in the output's order; the group of each slice. */
	int64_t *sorted;
	int64_t *firsts;
	int64_t *groups;
	int64_t *counts;
	int64_t group_count;
	bool wants[4];
};

/* 64-bit integers are compared as such: a double does not hold them all. */
static int
compare_elements(const struct unique *unique, int64_t a, int64_t b)
{
	if (unique->data_type == DATA_TYPE_INT64) {
		const int64_t *data = (const int64_t *)unique->data;
		return (data[a] > data[b]) - (data[a] < data[b]);
	}
	if (unique->data_type == DATA_TYPE_UINT64) {
		const uint64_t *data = (const uint64_t *)unique->data;
		return (data[a] > data[b]) - (data[a] < data[b]);
	}
	double x = cast_get(unique->data_type, unique->data, a);
	double y = cast_get(unique->data_type, unique->data, b);
	return (x > y) - (x < y);
}

static int
compare_slices(const struct unique *unique, int64_t a, int64_t b)
{
	const struct axis *axis = &unique->axis;
	for (int64_t o = 0; o < axis->outer; o++) {
		for (int64_t i = 0; i < axis->inner; i++) {
			int order = compare_elements(unique, (o * axis->dim + a) * axis->inner + i,
						     (o * axis->dim + b) * axis->inner + i);
			if (order != 0)
				return order;
		}
	}
	return 0;
}

static int
compare_entries(const void *a, const void *b, void *unique)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	int order = compare_slices(unique, x, y);
	/* Stable: a group's first slice is the one that comes first. */
	return order != 0 ? order : (x > y) - (x < y);
}

static int
compare_integers(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Position of the group whose first slice is `first` in the output's order. */
static int64_t
group_of(const struct unique *unique, int64_t first, bool sorted, int64_t in_order)
{
	if (sorted)
		return in_order;
	const int64_t *found = bsearch(&first, unique->firsts, (size_t)unique->group_count,
				       sizeof(first), compare_integers);
	return found - unique->firsts;
}

static void
group_slices(struct unique *unique, bool sorted)
{
	int64_t n = unique->axis.dim;
	for (int64_t i = 0; i < n; i++)
		unique->sorted[i] = i;
	qsort_r(unique->sorted, (size_t)n, sizeof(int64_t), compare_entries, unique);
	for (int64_t i = 0; i < n; i++) {
		if (i == 0 || compare_slices(unique, unique->sorted[i - 1], unique->sorted[i]) != 0)
			unique->firsts[unique->group_count++] = unique->sorted[i];
	}
	if (!sorted)
		qsort(unique->firsts, (size_t)unique->group_count, sizeof(int64_t),
		      compare_integers);
	int64_t group = 0, in_order = -1;
	for (int64_t i = 0; i < n; i++) {
		int64_t slice = unique->sorted[i];
		if (i == 0 || compare_slices(unique, unique->sorted[i - 1], slice) != 0)
			group = group_of(unique, slice, sorted, ++in_order);
		unique->groups[slice] = group;
		unique->counts[group]++;
	}
}

static int
read_unique(const struct operator_call *call, struct unique *unique, uint32_t *index)
{
	const struct tensor_type *input = &call->inputs[0];
	*unique =
		(struct unique){ .data = call->constants[0]->data, .data_type = input->data_type };
	*index = 0;
	unique->axis = axis_from(input, 0);
	if (node_attribute(call->node, "axis") == NULL)
		return 0;
	if (operator_axis(call, node_int(call->node, "axis", 0), input->rank, index) != 0)
		return -1;
	unique->axis = axis_of(input, *index);
	return 0;
}

/* Find the groups; arrays from arena. */
static int
solve_unique(const struct operator_call *call, struct unique *unique, struct arena *arena)
{
	size_t n = (size_t)unique->axis.dim;
	unique->sorted = arena_calloc(arena, n, sizeof(int64_t));
	unique->firsts = arena_calloc(arena, n, sizeof(int64_t));
	unique->groups = arena_calloc(arena, n, sizeof(int64_t));
	unique->counts = arena_calloc(arena, n, sizeof(int64_t));
	if (unique->sorted == NULL || unique->firsts == NULL || unique->groups == NULL ||
	    unique->counts == NULL)
		return -1;
	group_slices(unique, node_int(call->node, "sorted", 1) != 0);
	return 0;
}

static int
infer_unique(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	struct unique unique;
	struct arena scratch;
	uint32_t index;
	if (read_unique(call, &unique, &index) != 0)
		return -1;
	arena_create(&scratch, 0);
	int result = solve_unique(call, &unique, &scratch);
	arena_destroy(&scratch);
	if (result != 0)
		return -1;
	operator_output(call, 1, DATA_TYPE_INT64, 1, &unique.group_count);
	operator_output(call, 2, DATA_TYPE_INT64, 1, &unique.axis.dim);
	operator_output(call, 3, DATA_TYPE_INT64, 1, &unique.group_count);
	if (node_attribute(call->node, "axis") == NULL)
		return operator_output(call, 0, type.data_type, 1, &unique.group_count);
	type.dims[index] = unique.group_count;
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static void
copy_groups(const struct unique *unique, char *out)
{
	const struct axis *axis = &unique->axis;
	size_t bytes = (size_t)axis->inner * data_type_bytes(unique->data_type);
	for (int64_t o = 0; o < axis->outer; o++) {
		for (int64_t i = 0; i < unique->group_count; i++, out += bytes)
			memcpy(out,
			       unique->data + (size_t)(o * axis->dim + unique->firsts[i]) * bytes,
			       bytes);
	}
}

static int
run_unique(const void *state, const struct operands *operands)
{
	const struct unique *unique = state;
	size_t bytes = (size_t)unique->group_count * sizeof(int64_t);
	if (unique->wants[0])
		copy_groups(unique, operands->outputs[0]);
	if (unique->wants[1])
		memcpy(operands->outputs[1], unique->firsts, bytes);
	if (unique->wants[2])
		memcpy(operands->outputs[2], unique->groups,
		       (size_t)unique->axis.dim * sizeof(int64_t));
	if (unique->wants[3])
		memcpy(operands->outputs[3], unique->counts, bytes);
	return 0;
}

static int
prepare_unique(struct operator_call *call)
{
	struct unique *unique = operator_state(call, sizeof(*unique));
	uint32_t index;
	if (unique == NULL || read_unique(call, unique, &index) != 0 ||
	    solve_unique(call, unique, call->arena) != 0)
		return -1;
	for (uint32_t i = 0; i < 4; i++)
		unique->wants[i] = operator_has_output(call, i);
	call->kernel->run = run_unique;
	return 0;
}

static const struct op sort_operators[] = {
	{ .type = "TopK",
	  .since = 1,
	  .inputs = { 1, 1 },
	  .outputs = { 2, 2 },
	  .infer = infer_topk,
	  .prepare = prepare_topk },
	{ .type = "TopK",
	  .since = 10,
	  .inputs = { 2, 2 },
	  .outputs = { 2, 2 },
	  .known_inputs = 1 << 1,
	  .infer = infer_topk,
	  .prepare = prepare_topk },
	{ .type = "Unique",
	  .since = 11,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 4 },
	  .flags = OPERATOR_DATA_SHAPED,
	  .infer = infer_unique,
	  .prepare = prepare_unique },
};

const struct operator_family operator_family_sort = {
	sort_operators,
	sizeof(sort_operators) / sizeof(sort_operators[0]),
};
