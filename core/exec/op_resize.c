/* Resize and Upsample. */
#include "exec/op_resize.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/cast.h"
#include "exec/parallel.h"
#include "exec/target.h"

enum { GRAIN_ELEMENTS = 8192 };

/* --- reading the node --------------------------------------------------------------------------------------------- */

/* The number of the attribute's value among names, which its enum follows; the fallback when it is absent. */
static int
read_name(const struct operator_call *call, const char *attribute, const char *const *names,
	  int count, int fallback)
{
	const char *name = node_string(call->node, attribute, names[fallback]);
	for (int i = 0; i < count; i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return operator_error(call, "%s '%s' does not exist", attribute, name);
}

static int
read_mode(const struct operator_call *call)
{
	static const char *const names[RESIZE_MODES] = { "nearest", "linear", "cubic" };
	if (strcmp(node_string(call->node, "mode", "nearest"), "bilinear") == 0)
		return RESIZE_LINEAR;
	return read_name(call, "mode", names, RESIZE_MODES, RESIZE_NEAREST);
}

static int
read_rule(const struct operator_call *call, struct resize_rule *rule)
{
	static const char *const coordinates[RESIZE_COORDINATES] = {
		"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",   "align_corners",
		"asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn",
	};
	static const char *const roundings[RESIZE_ROUNDINGS] = { "round_prefer_floor",
								 "round_prefer_ceil", "floor",
								 "ceil" };
	bool old = call->op->since < 11;
	int mode = read_mode(call);
	int coordinate = read_name(call, "coordinate_transformation_mode", coordinates,
				   RESIZE_COORDINATES, old ? RESIZE_ASYMMETRIC : RESIZE_HALF_PIXEL);
	int rounding = read_name(call, "nearest_mode", roundings, RESIZE_ROUNDINGS,
				 old ? RESIZE_FLOOR : RESIZE_ROUND_PREFER_FLOOR);
	if (mode < 0 || coordinate < 0 || rounding < 0)
		return -1;
	*rule = (struct resize_rule){
		.mode = (enum resize_mode)mode,
		.coordinates = (enum resize_coordinates)coordinate,
		.rounding = (enum resize_rounding)rounding,
		.cubic_a = node_float(call->node, "cubic_coeff_a", -0.75f),
		.excludes_outside = node_int(call->node, "exclude_outside", 0) != 0,
		.antialiases = node_int(call->node, "antialias", 0) != 0,
	};
	return 0;
}

/* Scales, as given, for the axes given. How many, 0 when there are none, -1 with the error set. */
static int
read_scales(const struct operator_call *call, uint32_t input, double *scales)
{
	uint32_t count = 0;
	const struct attribute *attribute = node_attribute(call->node, "scales");
	if (call->op->known_inputs != 0 && operator_has_input(call, input)) {
		int64_t elements = tensor_elements(&call->inputs[input]);
		for (; count < elements && count < TENSOR_MAX_RANK; count++)
			scales[count] = cast_get(call->inputs[input].data_type,
						 call->constants[input]->data, count);
	} else if (attribute != NULL && attribute->kind == ATTRIBUTE_FLOATS) {
		for (; count < attribute->count && count < TENSOR_MAX_RANK; count++)
			scales[count] = attribute->as.floats[count];
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!(scales[i] > 0 && scales[i] < 1e9))
			return operator_error(call, "scale %" PRIu32 " is %g", i, scales[i]);
	}
	return (int)count;
}

/* The axes that scales and sizes are for: the attribute, or all. */
static int
read_axes(const struct operator_call *call, uint32_t *axes)
{
	uint32_t rank = call->inputs[0].rank, count;
	const int64_t *given = node_ints(call->node, "axes", &count);
	if (given == NULL) {
		for (uint32_t i = 0; i < rank; i++)
			axes[i] = i;
		return (int)rank;
	}
	if (count > rank)
		return operator_error(call, "%" PRIu32 " axes", count);
	for (uint32_t i = 0; i < count; i++) {
		if (operator_axis(call, given[i], rank, &axes[i]) != 0)
			return -1;
	}
	return (int)count;
}

/* Sizes to scales; keep_aspect_ratio_policy makes all scales one. */
static int
apply_sizes(const struct operator_call *call, int count, const uint32_t *axes,
	    struct resize_axis *all)
{
	static const char *const policies[] = { "stretch", "not_larger", "not_smaller" };
	int64_t sizes[TENSOR_MAX_RANK];
	int policy = read_name(call, "keep_aspect_ratio_policy", policies, 3, 0);
	int size_count = operator_read_ints(call, 3, sizes, TENSOR_MAX_RANK);
	if (policy < 0 || size_count < 0)
		return -1;
	if (size_count != count)
		return operator_error(call, "%d sizes for %d axes", size_count, count);
	double common = policy == 1 ? INFINITY : 0;
	for (int i = 0; i < count; i++) {
		struct resize_axis *axis = &all[axes[i]];
		if (sizes[i] < 1 || axis->in < 1)
			return operator_error(call, "size %d is %" PRId64, i, sizes[i]);
		axis->out = sizes[i];
		axis->scale = (double)sizes[i] / (double)axis->in;
		if (policy == 1 ? axis->scale < common : axis->scale > common)
			common = axis->scale;
	}
	for (int i = 0; i < count && policy != 0; i++) {
		struct resize_axis *axis = &all[axes[i]];
		axis->scale = common;
		axis->out = (int64_t)floor(common * (double)axis->in + 0.5);
	}
	return 0;
}

static int
apply_scales(const struct operator_call *call, int count, const uint32_t *axes,
	     const double *scales, int scale_count, struct resize_axis *all)
{
	if (scale_count != count)
		return operator_error(call, "%d scales for %d axes", scale_count, count);
	for (int i = 0; i < count; i++) {
		struct resize_axis *axis = &all[axes[i]];
		double out = floor((double)axis->in * scales[i]);
		if (out > 1e15)
			return operator_error(call, "scale %d is %g", i, scales[i]);
		axis->scale = scales[i];
		axis->out = (int64_t)out;
	}
	return 0;
}

/* Starts of all axes, then ends, as parts of their length. */
static int
apply_roi(const struct operator_call *call, int count, const uint32_t *axes,
	  struct resize_axis *all)
{
	if (call->op->since < 11 || !operator_has_input(call, 1) ||
	    tensor_elements(&call->inputs[1]) == 0)
		return 0;
	if (tensor_elements(&call->inputs[1]) != 2 * count)
		return operator_error(call, "roi must have %d numbers", 2 * count);
	for (int i = 0; i < count; i++) {
		enum data_type data_type = call->inputs[1].data_type;
		const void *roi = call->constants[1]->data;
		all[axes[i]].roi_start = cast_get(data_type, roi, i);
		all[axes[i]].roi_end = cast_get(data_type, roi, count + i);
	}
	return 0;
}

/* Every axis of the input: lengths, scale, region. */
static int
read_all(const struct operator_call *call, struct resize_axis *all)
{
	const struct tensor_type *input = &call->inputs[0];
	double scales[TENSOR_MAX_RANK];
	uint32_t axes[TENSOR_MAX_RANK];
	bool has_roi = call->op->since >= 11;
	for (uint32_t i = 0; i < input->rank; i++)
		all[i] = (struct resize_axis){
			.in = input->dims[i], .out = input->dims[i], .scale = 1, .roi_end = 1
		};
	int count = read_axes(call, axes);
	int scale_count = read_scales(call, has_roi ? 2 : 1, scales);
	if (count < 0 || scale_count < 0)
		return -1;
	if (apply_roi(call, count, axes, all) != 0)
		return -1;
	if (has_roi && operator_has_input(call, 3) && tensor_elements(&call->inputs[3]) != 0)
		return apply_sizes(call, count, axes, all);
	return apply_scales(call, count, axes, scales, scale_count, all);
}

static int
infer_resize(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	struct resize_axis all[TENSOR_MAX_RANK];
	struct resize_rule rule;
	int64_t dims[TENSOR_MAX_RANK];
	if (read_rule(call, &rule) != 0 || read_all(call, all) != 0)
		return -1;
	for (uint32_t i = 0; i < input->rank; i++)
		dims[i] = all[i].out;
	return operator_output(call, 0, input->data_type, input->rank, dims);
}

/* --- nearest: elements are copied, of any type -------------------------------------------------------------------- */

struct resize_run {
	const struct resize *resize;
	const void *in;
	void *out;
	/* The pass of resize_pass. */
	const struct pass *pass;
};

static void
nearest_rows(void *context, int64_t begin, int64_t end)
{
	const struct resize_run *run = context;
	const struct resize *resize = run->resize;
	uint32_t last = resize->rank - 1;
	int64_t steps[TENSOR_MAX_RANK], n = resize->out.dims[last];
	size_t bytes = data_type_bytes(resize->data_type);
	const int64_t *map = resize->passes[last].axis.indices;
	axis_steps(&resize->in, steps);
	for (int64_t row = begin; row < end; row++) {
		int64_t base = 0, rest = row;
		for (uint32_t i = last; i-- > 0;) {
			base += resize->passes[i].axis.indices[rest % resize->out.dims[i]] *
				steps[i];
			rest /= resize->out.dims[i];
		}
		const char *in = (const char *)run->in + (size_t)base * bytes;
		char *out = (char *)run->out + (size_t)(row * n) * bytes;
		if (bytes == 4) {
			for (int64_t i = 0; i < n; i++)
				((uint32_t *)out)[i] = ((const uint32_t *)in)[map[i]];
		} else {
			for (int64_t i = 0; i < n; i++)
				memcpy(out + (size_t)i * bytes, in + (size_t)map[i] * bytes, bytes);
		}
	}
}

/* --- linear and cubic: floats, an axis at a time ------------------------------------------------------------------ */

TARGET_CLONES static void
add_weighted(float *out, const float *in, float weight, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		out[i] += weight * in[i];
}

/* Items: rows of inner elements of the pass's output. */
static void
pass_rows(void *context, int64_t begin, int64_t end)
{
	const struct resize_run *run = context;
	const struct pass *pass = run->pass;
	const struct resize_axis *axis = &pass->axis;
	for (int64_t row = begin; row < end; row++) {
		const float *in = (const float *)run->in + row / axis->out * axis->in * pass->inner;
		float *out = (float *)run->out + row * pass->inner;
		int64_t at = row % axis->out * axis->taps;
		memset(out, 0, (size_t)pass->inner * sizeof(*out));
		for (uint32_t k = 0; k < axis->taps; k++)
			add_weighted(out, in + axis->indices[at + k] * pass->inner,
				     axis->weights[at + k], pass->inner);
	}
}

/* Put the extrapolation value wherever an axis is outside the input. */
static void
extrapolate(const struct resize *resize, float *out)
{
	int64_t elements = tensor_elements(&resize->out);
	for (int64_t i = 0; i < elements; i++) {
		int64_t rest = i;
		for (uint32_t k = resize->rank; k-- > 0;) {
			if (resize->passes[k].axis.outside[rest % resize->out.dims[k]])
				out[i] = resize->extrapolation;
			rest /= resize->out.dims[k];
		}
	}
}

static void
run_passes(const struct resize *resize, const float *in, float *spare[2], float *out)
{
	uint32_t left = 0, next = 0;
	for (uint32_t i = 0; i < resize->rank; i++)
		left += resize->is_needed[i];
	if (left == 0)
		memcpy(out, in, tensor_bytes(&resize->out));
	for (uint32_t i = 0; i < resize->rank; i++) {
		if (!resize->is_needed[i])
			continue;
		const struct pass *pass = &resize->passes[i];
		float *to = --left == 0 ? out : spare[next++ % 2];
		struct resize_run run = { resize, in, to, pass };
		parallel_for(resize->threads, pass->outer * pass->axis.out,
			     GRAIN_ELEMENTS / (pass->inner * pass->axis.taps) + 1, pass_rows, &run);
		in = to;
	}
}

int
op_resize_run(const void *state, const struct operands *operands)
{
	const struct resize *resize = state;
	bool is_float = resize->data_type == DATA_TYPE_FLOAT;
	if (resize->rule.mode == RESIZE_NEAREST &&
	    resize->rule.coordinates != RESIZE_TF_CROP_AND_RESIZE) {
		struct resize_run run = { resize, operands->inputs[0], operands->outputs[0], NULL };
		int64_t n = resize->out.dims[resize->rank - 1];
		parallel_for(resize->threads, tensor_elements(&resize->out) / n,
			     GRAIN_ELEMENTS / n + 1, nearest_rows, &run);
		return 0;
	}
	float *buffers = operands->scratch;
	float *spare[] = { buffers, buffers + resize->room };
	const float *in = operands->inputs[0];
	float *out = operands->outputs[0];
	if (!is_float) {
		float *converted = spare[1] + resize->room;
		cast_run(DATA_TYPE_FLOAT, converted, resize->data_type, in,
			 tensor_elements(&resize->in));
		in = converted;
		out = converted + tensor_elements(&resize->in);
	}
	run_passes(resize, in, spare, out);
	if (resize->rule.coordinates == RESIZE_TF_CROP_AND_RESIZE)
		extrapolate(resize, out);
	if (!is_float)
		cast_run(resize->data_type, operands->outputs[0], DATA_TYPE_FLOAT, out,
			 tensor_elements(&resize->out));
	return 0;
}

/* Is output element i input element i, and nothing else? */
static bool
changes(const struct resize_axis *axis)
{
	if (axis->in != axis->out)
		return true;
	for (int64_t i = 0; i < axis->out; i++) {
		for (uint32_t k = 0; k < axis->taps; k++) {
			float own = axis->indices[i * axis->taps + k] == i ? 0 : 1;
			if (axis->weights[i * axis->taps + k] * own != 0)
				return true;
		}
	}
	return false;
}

static int
prepare_resize(struct operator_call *call)
{
	struct resize_axis all[TENSOR_MAX_RANK];
	struct resize *resize = operator_state(call, sizeof(*resize));
	if (resize == NULL || read_rule(call, &resize->rule) != 0 || read_all(call, all) != 0)
		return -1;
	resize->in = call->inputs[0];
	resize->out = call->outputs[0];
	resize->data_type = resize->in.data_type;
	resize->rank = resize->in.rank;
	if (resize->rank == 0)
		return operator_error(call, "the input has no dimensions");
	resize->threads = call->threads;
	resize->extrapolation = node_float(call->node, "extrapolation_value", 0);
	struct tensor_type shape = resize->in;
	for (uint32_t i = 0; i < resize->rank; i++) {
		struct pass *pass = &resize->passes[i];
		pass->axis = all[i];
		if (resize_taps(&resize->rule, &pass->axis, call->arena) != 0)
			return -1;
		resize->is_needed[i] = changes(&pass->axis);
		shape.dims[i] = pass->axis.out;
		pass->outer = axis_of(&shape, i).outer;
		pass->inner = axis_of(&shape, i).inner;
		int64_t elements = tensor_elements(&shape);
		resize->room = elements > resize->room ? elements : resize->room;
	}
	int64_t converted = tensor_elements(&resize->in) + tensor_elements(&resize->out);
	call->kernel->scratch_bytes = (size_t)(2 * resize->room + converted) * sizeof(float);
	call->kernel->run = op_resize_run;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, MOST, KNOWN)                                                         \
	{ .type = NAME, .since = SINCE, .inputs = { 1, MOST }, .outputs = { 1, 1 },                \
	  .known_inputs = KNOWN, .infer = infer_resize, .prepare = prepare_resize }
/* clang-format on */

static const struct op resize_operators[] = {
	OPERATOR("Resize", 10, 2, 1 << 1),
	OPERATOR("Resize", 11, 4, 1 << 1 | 1 << 2 | 1 << 3),
	OPERATOR("Upsample", 7, 1, 0),
	OPERATOR("Upsample", 9, 2, 1 << 1),
};

const struct operator_family operator_family_resize = {
	resize_operators,
	sizeof(resize_operators) / sizeof(resize_operators[0]),
};
