/* Operators whose output is the input seen through a map of indices, one a dimension: Pad, Tile, CenterCropPad. */
#include "exec/op_remap.h"

#include <inttypes.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/cast.h"
#include "exec/parallel.h"

enum {
	GRAIN_BYTES = 1 << 16,
	/* In a map: no element of the input, but the operator's constant. */
	NOWHERE = -1,
};

/* --- maps --------------------------------------------------------------------------------------------------------- */

/* Neighbouring elements of an output row that come from neighbouring elements of the input. */
struct stretch {
	int64_t from;
	int64_t count;
};

struct remap {
	uint32_t rank;
	int64_t dims[TENSOR_MAX_RANK];
	/* Per dimension and output index: the offset into the input in elements, or NOWHERE. */
	int64_t *maps[TENSOR_MAX_RANK];
	/* The last dimension's map as stretches. */
	struct stretch *stretches;
	int64_t stretch_count;
	int64_t rows;
	size_t element_bytes;
	/* The input that holds the constant; 0: it is the one here. */
	uint32_t constant_input;
	char constant[8];
	unsigned threads;
};

struct remap_run {
	const struct remap *remap;
	const char *in;
	char *out;
	/* One element. */
	const char *constant;
};

static void
fill(const struct remap_run *run, char *out, int64_t count)
{
	size_t bytes = run->remap->element_bytes;
	for (int64_t i = 0; i < count; i++)
		memcpy(out + (size_t)i * bytes, run->constant, bytes);
}

/* Offset of the row's elements in the input, NOWHERE when it is all constant. */
static int64_t
row_base(const struct remap *remap, int64_t row)
{
	int64_t base = 0;
	for (uint32_t i = remap->rank - 1; i-- > 0;) {
		int64_t offset = remap->maps[i][row % remap->dims[i]];
		row /= remap->dims[i];
		if (offset == NOWHERE)
			return NOWHERE;
		base += offset;
	}
	return base;
}

static void
remap_rows(void *context, int64_t begin, int64_t end)
{
	const struct remap_run *run = context;
	const struct remap *remap = run->remap;
	size_t bytes = remap->element_bytes;
	int64_t length = remap->dims[remap->rank - 1];
	for (int64_t row = begin; row < end; row++) {
		char *out = run->out + (size_t)(row * length) * bytes;
		int64_t base = row_base(remap, row);
		if (base == NOWHERE) {
			fill(run, out, length);
			continue;
		}
		for (int64_t i = 0; i < remap->stretch_count; i++) {
			const struct stretch *stretch = &remap->stretches[i];
			if (stretch->from == NOWHERE)
				fill(run, out, stretch->count);
			else
				memcpy(out, run->in + (size_t)(base + stretch->from) * bytes,
				       (size_t)stretch->count * bytes);
			out += (size_t)stretch->count * bytes;
		}
	}
}

int
op_remap_run(const void *state, const struct operands *operands)
{
	const struct remap *remap = state;
	struct remap_run run = { remap, operands->inputs[0], operands->outputs[0],
				 remap->constant };
	if (remap->constant_input != 0)
		run.constant = operands->inputs[remap->constant_input];
	size_t row_bytes = (size_t)remap->dims[remap->rank - 1] * remap->element_bytes;
	parallel_for(remap->threads, remap->rows, (int64_t)(GRAIN_BYTES / row_bytes) + 1,
		     remap_rows, &run);
	return 0;
}

static int
find_stretches(struct remap *remap, struct arena *arena)
{
	const int64_t *map = remap->maps[remap->rank - 1];
	int64_t length = remap->dims[remap->rank - 1];
	remap->stretches = arena_calloc(arena, (size_t)length, sizeof(*remap->stretches));
	if (remap->stretches == NULL)
		return -1;
	for (int64_t i = 0; i < length; i++) {
		struct stretch *last = remap->stretches + remap->stretch_count - 1;
		bool joins = i > 0 && (map[i] == NOWHERE
					       ? last->from == NOWHERE
					       : last->from != NOWHERE && map[i] == map[i - 1] + 1);
		if (joins)
			last->count++;
		else
			remap->stretches[remap->stretch_count++] = (struct stretch){ map[i], 1 };
	}
	return 0;
}

/* The input's index that output index i of a dimension shows, or NOWHERE. */
typedef int64_t
index_f(const void *context, uint32_t dimension, int64_t i);

/* A scalar is a row of one element here. */
static int
prepare_remap(struct operator_call *call, index_f *index, const void *context,
	      uint32_t constant_input)
{
	const struct tensor_type *output = &call->outputs[0];
	int64_t steps[TENSOR_MAX_RANK] = { 1 };
	struct remap *remap = operator_state(call, sizeof(*remap));
	if (remap == NULL)
		return -1;
	axis_steps(&call->inputs[0], steps);
	remap->rank = output->rank == 0 ? 1 : output->rank;
	remap->rows = 1;
	for (uint32_t i = 0; i < remap->rank; i++) {
		int64_t dim = output->rank == 0 ? 1 : output->dims[i];
		remap->dims[i] = dim;
		remap->rows *= i + 1 < remap->rank ? dim : 1;
		remap->maps[i] = arena_calloc(call->arena, (size_t)dim, sizeof(int64_t));
		if (remap->maps[i] == NULL)
			return -1;
		for (int64_t k = 0; k < dim && output->rank != 0; k++) {
			int64_t from = index(context, i, k);
			remap->maps[i][k] = from == NOWHERE ? NOWHERE : from * steps[i];
		}
	}
	remap->element_bytes = data_type_bytes(output->data_type);
	remap->constant_input = constant_input;
	remap->threads = call->threads;
	call->kernel->run = op_remap_run;
	return find_stretches(remap, call->arena);
}

/* --- Pad ---------------------------------------------------------------------------------------------------------- */

static int64_t
pad_index(const void *context, uint32_t dimension, int64_t i)
{
	const struct pad *pad = context;
	int64_t dim = pad->dims[dimension];
	int64_t at = i - pad->begin[dimension];
	if (at >= 0 && at < dim)
		return at;
	if (dim == 0)
		return NOWHERE;
	switch (pad->mode) {
	case PAD_REFLECT: {
		/* There and back again takes 2 (dim - 1) steps. */
		int64_t period = dim == 1 ? 1 : 2 * (dim - 1);
		at = (at % period + period) % period;
		return at < dim ? at : period - at;
	}
	case PAD_EDGE:
		return at < 0 ? 0 : dim - 1;
	case PAD_WRAP:
		return (at % dim + dim) % dim;
	default:
		return NOWHERE;
	}
}

static int
read_pad_mode(const struct operator_call *call, enum pad_mode *mode)
{
	static const char *const names[PAD_MODES] = { "constant", "reflect", "edge", "wrap" };
	const char *name = node_string(call->node, "mode", "constant");
	for (int i = 0; i < PAD_MODES; i++) {
		if (strcmp(name, names[i]) == 0) {
			*mode = (enum pad_mode)i;
			return 0;
		}
	}
	return operator_error(call, "mode '%s' does not exist", name);
}

/* Axes that pads are for: input 3, or all. How many, -1 with the error set. */
static int
read_pad_axes(const struct operator_call *call, uint32_t *axes)
{
	int64_t given[TENSOR_MAX_RANK];
	uint32_t rank = call->inputs[0].rank;
	if (!operator_has_input(call, 3)) {
		for (uint32_t i = 0; i < rank; i++)
			axes[i] = i;
		return (int)rank;
	}
	int count = operator_read_ints(call, 3, given, TENSOR_MAX_RANK);
	for (int i = 0; i < count; i++) {
		if (operator_axis(call, given[i], rank, &axes[i]) != 0)
			return -1;
	}
	return count;
}

static int
read_pad(const struct operator_call *call, struct pad *pad)
{
	int64_t pads[2 * TENSOR_MAX_RANK];
	uint32_t axes[TENSOR_MAX_RANK];
	bool found;
	*pad = (struct pad){ 0 };
	memcpy(pad->dims, call->inputs[0].dims, sizeof(pad->dims));
	int count = operator_ints(call, 1, "pads", pads, 2 * TENSOR_MAX_RANK, &found);
	int axis_count = read_pad_axes(call, axes);
	if (count < 0 || axis_count < 0 || read_pad_mode(call, &pad->mode) != 0)
		return -1;
	if (count != 2 * axis_count)
		return operator_error(call, "%d pads for %d axes", count, axis_count);
	for (int i = 0; i < axis_count; i++) {
		pad->begin[axes[i]] = pads[i];
		pad->end[axes[i]] = pads[axis_count + i];
	}
	return 0;
}

static int
infer_pad(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	struct pad pad;
	if (read_pad(call, &pad) != 0)
		return -1;
	for (uint32_t i = 0; i < type.rank; i++) {
		if (__builtin_add_overflow(type.dims[i], pad.begin[i], &type.dims[i]) ||
		    __builtin_add_overflow(type.dims[i], pad.end[i], &type.dims[i]) ||
		    type.dims[i] < 0)
			return operator_error(call, "pads leave nothing of dimension %" PRIu32, i);
		if (type.dims[i] > 0 && pad.dims[i] == 0 && pad.mode != PAD_CONSTANT)
			return operator_error(call, "dimension %" PRIu32 " has nothing to pad with",
					      i);
	}
	if (operator_has_input(call, 2) &&
	    (call->inputs[2].data_type != type.data_type || tensor_elements(&call->inputs[2]) != 1))
		return operator_error(call, "the constant must be one %s",
				      data_type_name(type.data_type));
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static int
prepare_pad(struct operator_call *call)
{
	struct pad pad;
	if (read_pad(call, &pad) != 0)
		return -1;
	return prepare_remap(call, pad_index, &pad, operator_has_input(call, 2) ? 2 : 0);
}

/* Before opset 11 the constant is an attribute. */
static int
prepare_pad_2(struct operator_call *call)
{
	if (prepare_pad(call) != 0)
		return -1;
	struct remap *remap = (struct remap *)call->kernel->state;
	cast_set(call->inputs[0].data_type, remap->constant, 0, node_float(call->node, "value", 0));
	return 0;
}

/* --- Tile, CenterCropPad ------------------------------------------------------------------------------------------ */

static int64_t
tile_index(const void *context, uint32_t dimension, int64_t i)
{
	return i % ((const struct tensor_type *)context)->dims[dimension];
}

static int
infer_tile(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	int64_t repeats[TENSOR_MAX_RANK];
	int count = operator_read_ints(call, 1, repeats, TENSOR_MAX_RANK);
	if (count < 0)
		return -1;
	if ((uint32_t)count != type.rank)
		return operator_error(call, "%d repeats for rank %" PRIu32, count, type.rank);
	for (int i = 0; i < count; i++) {
		if (repeats[i] < 0 ||
		    __builtin_mul_overflow(type.dims[i], repeats[i], &type.dims[i]))
			return operator_error(call, "repeats[%d] is %" PRId64, i, repeats[i]);
	}
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static int
prepare_tile(struct operator_call *call)
{
	return prepare_remap(call, tile_index, &call->inputs[0], 0);
}

static int
infer_center_crop_pad(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	int64_t sizes[TENSOR_MAX_RANK];
	uint32_t axis_count = type.rank;
	const struct attribute *axes = node_attribute(call->node, "axes");
	int count = operator_read_ints(call, 1, sizes, TENSOR_MAX_RANK);
	if (count < 0)
		return -1;
	if (axes != NULL && axes->kind == ATTRIBUTE_INTS)
		axis_count = axes->count;
	if ((uint32_t)count != axis_count)
		return operator_error(call, "%d sizes for %" PRIu32 " axes", count, axis_count);
	for (uint32_t i = 0; i < axis_count; i++) {
		uint32_t axis = i;
		if (axes != NULL && operator_axis(call, axes->as.ints[i], type.rank, &axis) != 0)
			return -1;
		if (sizes[i] < 0)
			return operator_error(call, "size %" PRIu32 " is negative", i);
		type.dims[axis] = sizes[i];
	}
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

/* What is cut or added is shared evenly, the odd one at the end. */
static void
read_center_crop_pad(const struct operator_call *call, struct pad *pad)
{
	*pad = (struct pad){ .mode = PAD_CONSTANT };
	for (uint32_t i = 0; i < call->outputs[0].rank; i++) {
		int64_t in = call->inputs[0].dims[i], out = call->outputs[0].dims[i];
		pad->dims[i] = in;
		pad->begin[i] = out >= in ? (out - in) / 2 : -((in - out) / 2);
	}
}

static int
prepare_center_crop_pad(struct operator_call *call)
{
	struct pad pad;
	read_center_crop_pad(call, &pad);
	return prepare_remap(call, pad_index, &pad, 0);
}

/* --- all of them as paddings ------------------------------------------------------------------------------------------- */

int
op_remap_read(const struct operator_call *call, struct pad *pad)
{
	if (strcmp(call->node->op_type, "Pad") == 0)
		return read_pad(call, pad);
	if (strcmp(call->node->op_type, "CenterCropPad") == 0) {
		read_center_crop_pad(call, pad);
		return 0;
	}
	/* Tile goes round and round. */
	*pad = (struct pad){ .mode = PAD_WRAP };
	memcpy(pad->dims, call->inputs[0].dims, sizeof(pad->dims));
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, LEAST, MOST, KNOWN, INFER, PREPARE)                                  \
	{ .type = NAME, .since = SINCE, .inputs = { LEAST, MOST }, .outputs = { 1, 1 },            \
	  .known_inputs = KNOWN, .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op remap_operators[] = {
	OPERATOR("Pad", 2, 1, 1, 0, infer_pad, prepare_pad_2),
	OPERATOR("Pad", 11, 2, 4, 1 << 1 | 1 << 3, infer_pad, prepare_pad),
	OPERATOR("Tile", 6, 2, 2, 1 << 1, infer_tile, prepare_tile),
	OPERATOR("CenterCropPad", 18, 2, 2, 1 << 1, infer_center_crop_pad, prepare_center_crop_pad),
};

const struct operator_family operator_family_remap = {
	remap_operators,
	sizeof(remap_operators) / sizeof(remap_operators[0]),
};
