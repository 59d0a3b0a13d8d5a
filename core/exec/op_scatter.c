/* Operators that read or write elements and slices at places that another tensor names. */
#include "exec/op_scatter.h"

#include <inttypes.h>
#include <string.h>

#include "exec/axis.h"

/* --- GatherElements, ScatterElements, Scatter ----------------------------------------------------------------------- */

/* Called with each element's position in indices and its place in data. */
typedef void
element_f(const struct elements *elements, void *context, int64_t position, int64_t place);

static int
each_element(const struct elements *elements, const void *indices, element_f *visit, void *context)
{
	int64_t index[TENSOR_MAX_RANK] = { 0 };
	int64_t count = 1;
	for (uint32_t i = 0; i < elements->rank; i++)
		count *= elements->dims[i];
	for (int64_t position = 0; position < count; position++) {
		int64_t at = axis_integer(elements->index_type, indices, position);
		if (axis_index(&at, elements->dim) != 0)
			return -1;
		int64_t place = at * elements->steps[elements->axis];
		for (uint32_t i = 0; i < elements->rank; i++)
			place += i == elements->axis ? 0 : index[i] * elements->steps[i];
		visit(elements, context, position, place);
		for (uint32_t i = elements->rank; i-- > 0 && ++index[i] == elements->dims[i];)
			index[i] = 0;
	}
	return 0;
}

struct element_copy {
	const char *from;
	char *to;
};

static void
gather_element(const struct elements *elements, void *context, int64_t position, int64_t place)
{
	const struct element_copy *copy = context;
	size_t bytes = elements->element_bytes;
	memcpy(copy->to + (size_t)position * bytes, copy->from + (size_t)place * bytes, bytes);
}

static void
scatter_element(const struct elements *elements, void *context, int64_t position, int64_t place)
{
	const struct element_copy *copy = context;
	size_t bytes = elements->element_bytes;
	const char *from = copy->from + (size_t)position * bytes;
	char *to = copy->to + (size_t)place * bytes;
	if (elements->reduce != NULL)
		elements->reduce(to, to, from, 1, 1, 1);
	else
		memcpy(to, from, bytes);
}

int
op_scatter_gather_elements(const void *state, const struct operands *operands)
{
	struct element_copy copy = { operands->inputs[0], operands->outputs[0] };
	return each_element(state, operands->inputs[1], gather_element, &copy);
}

int
op_scatter_elements(const void *state, const struct operands *operands)
{
	const struct elements *elements = state;
	struct element_copy copy = { operands->inputs[2], operands->outputs[0] };
	memcpy(copy.to, operands->inputs[0],
	       (size_t)elements->data_elements * elements->element_bytes);
	return each_element(state, operands->inputs[1], scatter_element, &copy);
}

static int
check_index_type(const struct operator_call *call, uint32_t input)
{
	enum data_type data_type = call->inputs[input].data_type;
	if (data_type == DATA_TYPE_INT32 || data_type == DATA_TYPE_INT64)
		return 0;
	return operator_error(call, "input %" PRIu32 " must be INT32 or INT64, not %s", input,
			      data_type_name(data_type));
}

/* indices must have data's rank and, but for the axis, fit into it. */
static int
check_elements(const struct operator_call *call)
{
	const struct tensor_type *data = &call->inputs[0];
	const struct tensor_type *indices = &call->inputs[1];
	uint32_t axis;
	if (check_index_type(call, 1) != 0 ||
	    operator_axis(call, node_int(call->node, "axis", 0), data->rank, &axis) != 0)
		return -1;
	if (indices->rank != data->rank)
		return operator_error(call, "indices have rank %" PRIu32 ", data %" PRIu32,
				      indices->rank, data->rank);
	for (uint32_t i = 0; i < data->rank; i++) {
		if (i != axis && indices->dims[i] > data->dims[i])
			return operator_error(
				call, "indices reach beyond dimension %" PRIu32 " of data", i);
	}
	return 0;
}

static int
infer_gather_elements(struct operator_call *call)
{
	if (check_elements(call) != 0)
		return -1;
	return operator_output(call, 0, call->inputs[0].data_type, call->inputs[1].rank,
			       call->inputs[1].dims);
}

static int
infer_scatter_elements(struct operator_call *call)
{
	if (check_elements(call) != 0)
		return -1;
	if (call->inputs[2].data_type != call->inputs[0].data_type ||
	    !tensor_dims_equal(&call->inputs[2], &call->inputs[1]))
		return operator_error(call,
				      "updates must have data's element type and indices' shape");
	return infer_same(call);
}

static int
prepare_elements(struct operator_call *call, kernel_run_f *run)
{
	const struct tensor_type *data = &call->inputs[0];
	struct elements *elements = operator_state(call, sizeof(*elements));
	if (elements == NULL ||
	    operator_axis(call, node_int(call->node, "axis", 0), data->rank, &elements->axis) != 0)
		return -1;
	elements->index_type = call->inputs[1].data_type;
	elements->data_type = data->data_type;
	elements->element_bytes = data_type_bytes(data->data_type);
	elements->rank = data->rank;
	memcpy(elements->dims, call->inputs[1].dims, sizeof(elements->dims));
	axis_steps(data, elements->steps);
	elements->dim = data->dims[elements->axis];
	elements->data_elements = tensor_elements(data);
	call->kernel->run = run;
	return 0;
}

static int
prepare_gather_elements(struct operator_call *call)
{
	return prepare_elements(call, op_scatter_gather_elements);
}

/* The function of the attribute `reduction`, and its row; *reduce is NULL for "none". */
static int
read_reduction(const struct operator_call *call, row_binary_f **reduce, enum row_binary *reduction)
{
	static const struct {
		const char *name;
		enum row_binary row;
	} reductions[] = {
		{ "add", ROW_ADD }, { "mul", ROW_MUL }, { "max", ROW_MAX }, { "min", ROW_MIN }
	};
	const char *name = node_string(call->node, "reduction", "none");
	*reduce = NULL;
	if (strcmp(name, "none") == 0)
		return 0;
	for (size_t i = 0; i < sizeof(reductions) / sizeof(reductions[0]); i++) {
		if (strcmp(name, reductions[i].name) != 0)
			continue;
		*reduction = reductions[i].row;
		*reduce = row_binary(*reduction, call->inputs[0].data_type);
	}
	if (*reduce == NULL)
		return operator_unimplemented(call, "reduction %s of %s is not supported", name,
					      data_type_name(call->inputs[0].data_type));
	return 0;
}

static int
prepare_scatter_elements(struct operator_call *call)
{
	if (prepare_elements(call, op_scatter_elements) != 0)
		return -1;
	struct elements *elements = (struct elements *)call->kernel->state;
	return read_reduction(call, &elements->reduce, &elements->reduction);
}

/* --- GatherND, ScatterND ------------------------------------------------------------------------------------------ */

/* Where in data the slice of that tuple begins. */
static int
slice_place(const struct slices *slices, const void *indices, int64_t tuple, int64_t *place)
{
	*place = tuple / slices->tuples_per_batch * slices->batch_elements;
	for (int64_t i = 0; i < slices->width; i++) {
		int64_t index =
			axis_integer(slices->index_type, indices, tuple * slices->width + i);
		if (axis_index(&index, slices->dims[i]) != 0)
			return -1;
		*place += index * slices->steps[i];
	}
	return 0;
}

int
op_scatter_gather_nd(const void *state, const struct operands *operands)
{
	const struct slices *slices = state;
	const char *data = operands->inputs[0];
	char *out = operands->outputs[0];
	size_t bytes = (size_t)slices->slice_elements * slices->element_bytes;
	for (int64_t tuple = 0; tuple < slices->tuples; tuple++, out += bytes) {
		int64_t place;
		if (slice_place(slices, operands->inputs[1], tuple, &place) != 0)
			return -1;
		memcpy(out, data + (size_t)place * slices->element_bytes, bytes);
	}
	return 0;
}

int
op_scatter_nd(const void *state, const struct operands *operands)
{
	const struct slices *slices = state;
	const char *updates = operands->inputs[2];
	char *out = operands->outputs[0];
	size_t bytes = (size_t)slices->slice_elements * slices->element_bytes;
	memcpy(out, operands->inputs[0], (size_t)slices->data_elements * slices->element_bytes);
	for (int64_t tuple = 0; tuple < slices->tuples; tuple++, updates += bytes) {
		int64_t place;
		if (slice_place(slices, operands->inputs[1], tuple, &place) != 0)
			return -1;
		char *to = out + (size_t)place * slices->element_bytes;
		if (slices->reduce != NULL)
			slices->reduce(to, to, updates, slices->slice_elements, 1, 1);
		else
			memcpy(to, updates, bytes);
	}
	return 0;
}

/* The shape that the tuples' slices make: indices' dims but the last, then data's dims that no index goes along. */
static int
slices_shape(const struct operator_call *call, int64_t batch, uint32_t *rank, int64_t *dims)
{
	const struct tensor_type *data = &call->inputs[0];
	const struct tensor_type *indices = &call->inputs[1];
	if (check_index_type(call, 1) != 0)
		return -1;
	if (indices->rank < 1 || batch < 0 || batch >= indices->rank || batch >= data->rank)
		return operator_error(call, "batch_dims %" PRId64 " does not fit the inputs",
				      batch);
	for (int64_t i = 0; i < batch; i++) {
		if (indices->dims[i] != data->dims[i])
			return operator_error(call, "batch dimension %" PRId64 " differs", i);
	}
	int64_t width = indices->dims[indices->rank - 1];
	if (width < 0 || width > data->rank - batch)
		return operator_error(call, "tuples of %" PRId64 " indices into rank %" PRIu32,
				      width, data->rank);
	*rank = 0;
	for (uint32_t i = 0; i + 1 < indices->rank; i++)
		dims[(*rank)++] = indices->dims[i];
	for (uint32_t i = (uint32_t)(batch + width); i < data->rank; i++) {
		if (*rank == TENSOR_MAX_RANK)
			return operator_error(call, "the output would have too many dimensions");
		dims[(*rank)++] = data->dims[i];
	}
	return 0;
}

static int
infer_gather_nd(struct operator_call *call)
{
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank;
	if (slices_shape(call, node_int(call->node, "batch_dims", 0), &rank, dims) != 0)
		return -1;
	return operator_output(call, 0, call->inputs[0].data_type, rank, dims);
}

static int
infer_scatter_nd(struct operator_call *call)
{
	struct tensor_type wanted = { .data_type = call->inputs[0].data_type };
	if (slices_shape(call, 0, &wanted.rank, wanted.dims) != 0)
		return -1;
	if (call->inputs[2].data_type != wanted.data_type ||
	    !tensor_dims_equal(&call->inputs[2], &wanted))
		return operator_error(call, "updates do not fit indices and data");
	return infer_same(call);
}

static int
prepare_slices(struct operator_call *call, int64_t batch, kernel_run_f *run)
{
	const struct tensor_type *data = &call->inputs[0];
	const struct tensor_type *indices = &call->inputs[1];
	int64_t steps[TENSOR_MAX_RANK];
	struct slices *slices = operator_state(call, sizeof(*slices));
	if (slices == NULL)
		return -1;
	axis_steps(data, steps);
	slices->index_type = indices->data_type;
	slices->data_type = data->data_type;
	slices->element_bytes = data_type_bytes(data->data_type);
	slices->width = indices->dims[indices->rank - 1];
	slices->tuples = axis_from(indices, indices->rank - 1).outer;
	int64_t batches = axis_from(data, (uint32_t)batch).outer;
	slices->tuples_per_batch = batches == 0 ? 1 : slices->tuples / batches;
	slices->batch_elements = axis_from(data, (uint32_t)batch).dim;
	slices->slice_elements = axis_from(data, (uint32_t)(batch + slices->width)).dim;
	slices->data_elements = tensor_elements(data);
	for (int64_t i = 0; i < slices->width; i++) {
		slices->dims[i] = data->dims[batch + i];
		slices->steps[i] = steps[batch + i];
	}
	call->kernel->run = run;
	return 0;
}

static int
prepare_gather_nd(struct operator_call *call)
{
	return prepare_slices(call, node_int(call->node, "batch_dims", 0), op_scatter_gather_nd);
}

static int
prepare_scatter_nd(struct operator_call *call)
{
	if (prepare_slices(call, 0, op_scatter_nd) != 0)
		return -1;
	struct slices *slices = (struct slices *)call->kernel->state;
	return read_reduction(call, &slices->reduce, &slices->reduction);
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, INPUTS, INFER, PREPARE)                                              \
	{ .type = NAME, .since = SINCE, .inputs = { INPUTS, INPUTS }, .outputs = { 1, 1 },         \
	  .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op scatter_operators[] = {
	OPERATOR("GatherElements", 11, 2, infer_gather_elements, prepare_gather_elements),
	OPERATOR("GatherND", 11, 2, infer_gather_nd, prepare_gather_nd),
	OPERATOR("Scatter", 9, 3, infer_scatter_elements, prepare_scatter_elements),
	OPERATOR("ScatterElements", 11, 3, infer_scatter_elements, prepare_scatter_elements),
	OPERATOR("ScatterND", 11, 3, infer_scatter_nd, prepare_scatter_nd),
};

const struct operator_family operator_family_scatter = {
	scatter_operators,
	sizeof(scatter_operators) / sizeof(scatter_operators[0]),
};
