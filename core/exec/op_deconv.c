/* The other way of convolutions and poolings: ConvTranspose, MaxUnpool. */
#include "exec/op_deconv.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "exec/axis.h"
#include "exec/parallel.h"
#include "exec/target.h"

enum { GRAIN_PRODUCTS = 65536 };

/* --- ConvTranspose ------------------------------------------------------------------------------------------------ */

struct deconv_run {
	const struct deconv *deconv;
	const struct operands *operands;
};

/* out[i * stride] += by * in[i]. */
TARGET_CLONES static void
add_strided(float *out, const float *in, float by, int64_t n, int64_t stride)
{
	if (stride == 1) {
		for (int64_t i = 0; i < n; i++)
			out[i] += by * in[i];
		return;
	}
	for (int64_t i = 0; i < n; i++)
		out[i * stride] += by * in[i];
}

/* One element of the kernel, at tap z, y, x, over one plane of the input. */
static void
add_tap(const struct deconv *deconv, const float *in, float by, const int64_t *tap, float *out)
{
	const struct window *window = &deconv->window;
	int64_t first[WINDOW_MAX_RANK], end[WINDOW_MAX_RANK], shift[WINDOW_MAX_RANK];
	for (uint32_t i = 0; i < WINDOW_MAX_RANK; i++) {
		/* Input positions whose output, position * stride + shift, is within the plane. */
		int64_t stride = window->strides[i];
		shift[i] = tap[i] * window->dilations[i] - window->begin[i];
		first[i] = shift[i] >= 0 ? 0 : (-shift[i] + stride - 1) / stride;
		end[i] = shift[i] >= deconv->out[i]
				 ? 0
				 : (deconv->out[i] - shift[i] + stride - 1) / stride;
		end[i] = end[i] < window->out[i] ? end[i] : window->out[i];
	}
	if (end[2] <= first[2])
		return;
	for (int64_t z = first[0]; z < end[0]; z++) {
		int64_t out_z = z * window->strides[0] + shift[0];
		for (int64_t y = first[1]; y < end[1]; y++) {
			int64_t out_y = y * window->strides[1] + shift[1];
			int64_t out_x = first[2] * window->strides[2] + shift[2];
			add_strided(out + (out_z * deconv->out[1] + out_y) * deconv->out[2] + out_x,
				    in + (z * window->out[1] + y) * window->out[2] + first[2], by,
				    end[2] - first[2], window->strides[2]);
		}
	}
}

/* Items: planes of the result, batch by batch. */
static void
deconv_planes(void *context, int64_t begin, int64_t end)
{
	const struct deconv_run *run = context;
	const struct deconv *deconv = run->deconv;
	const int64_t *kernel = deconv->window.kernel;
	const float *const *inputs = (const float *const *)run->operands->inputs;
	int64_t taps = kernel[0] * kernel[1] * kernel[2];
	int64_t channels = deconv->groups * deconv->out_channels;
	for (int64_t i = begin; i < end; i++) {
		int64_t batch = i / channels, channel = i % channels;
		int64_t group = channel / deconv->out_channels;
		float *out = (float *)run->operands->outputs[0] + i * deconv->out_size;
		float bias = deconv->has_bias ? inputs[2][channel] : 0;
		for (int64_t k = 0; k < deconv->out_size; k++)
			out[k] = bias;
		for (int64_t c = 0; c < deconv->in_channels; c++) {
			int64_t from = group * deconv->in_channels + c;
			int64_t plane = batch * deconv->groups * deconv->in_channels + from;
			const float *weights = inputs[1] + (from * deconv->out_channels +
							    channel % deconv->out_channels) *
								   taps;
			for (int64_t k = 0; k < taps; k++) {
				const int64_t tap[] = { k / (kernel[1] * kernel[2]),
							k / kernel[2] % kernel[1], k % kernel[2] };
				add_tap(deconv, inputs[0] + plane * deconv->in_size, weights[k],
					tap, out);
			}
		}
	}
}

int
op_deconv_run(const void *state, const struct operands *operands)
{
	const struct deconv *deconv = state;
	struct deconv_run run = { deconv, operands };
	int64_t products = deconv->in_channels * deconv->in_size;
	parallel_for(deconv->threads, deconv->batches * deconv->groups * deconv->out_channels,
		     GRAIN_PRODUCTS / (products + 1) + 1, deconv_planes, &run);
	return 0;
}

/* count integers of the attribute, each low … INT32_MAX, or the fallback for all; *given when they are there. */
static int
read_list(const struct operator_call *call, const char *name, uint32_t wanted, int64_t low,
	  int64_t fallback, int64_t *values, bool *given)
{
	uint32_t count;
	const int64_t *ints = node_ints(call->node, name, &count);
	*given = ints != NULL;
	if (ints != NULL && count != wanted)
		return operator_error(call, "%s has %" PRIu32 " entries, not %" PRIu32, name, count,
				      wanted);
	for (uint32_t i = 0; i < wanted; i++) {
		values[i] = ints != NULL ? ints[i] : fallback;
		if (values[i] < low || values[i] > INT32_MAX)
			return operator_error(call, "%s is %" PRId64, name, values[i]);
	}
	return 0;
}

/* What ONNX's definition of the operator makes of output_shape: pads such that it comes out, split as auto_pad says. */
static void
pad_to_shape(struct deconv *deconv, uint32_t i, int64_t full, bool upper)
{
	/* A longer output than the windows make is zero at its end. */
	int64_t total = full > deconv->out[i] ? full - deconv->out[i] : 0;
	int64_t small = total / 2;
	deconv->window.begin[i] = upper ? small : total - small;
	deconv->window.end[i] = total - deconv->window.begin[i];
}

static int
read_output(const struct operator_call *call, struct deconv *deconv)
{
	struct window *window = &deconv->window;
	const char *pad = node_string(call->node, "auto_pad", "NOTSET");
	bool same = strncmp(pad, "SAME_", 5) == 0, upper = strcmp(pad, "SAME_UPPER") == 0;
	int64_t extra[WINDOW_MAX_RANK], pads[2 * WINDOW_MAX_RANK];
	bool given, shaped;
	if (read_list(call, "output_padding", window->rank, 0, 0, extra, &given) != 0 ||
	    read_list(call, "pads", 2 * window->rank, 0, 0, pads, &given) != 0 ||
	    read_list(call, "output_shape", window->rank, 1, 1, deconv->out, &shaped) != 0)
		return -1;
	for (uint32_t i = 0; i < window->rank; i++) {
		int64_t dim = call->inputs[0].dims[i + 2];
		int64_t extent = (window->kernel[i] - 1) * window->dilations[i] + 1;
		int64_t full = (dim - 1) * window->strides[i] + extent + extra[i];
		window->out[i] = dim;
		window->begin[i] = pads[i];
		window->end[i] = pads[window->rank + i];
		if (same && !shaped)
			deconv->out[i] = dim * window->strides[i];
		if (same || shaped)
			pad_to_shape(deconv, i, full, upper);
		else
			deconv->out[i] = full - pads[i] - pads[window->rank + i];
		if (dim < 1 || dim > INT32_MAX || deconv->out[i] < 1 || deconv->out[i] > INT32_MAX)
			return operator_error(call, "dimension %" PRIu32 " would be %" PRId64,
					      i + 2, deconv->out[i]);
	}
	return 0;
}

/* window.rank dimensions of everything, not yet spread to three. */
static int
read_deconv(const struct operator_call *call, struct deconv *deconv)
{
	const struct tensor_type *x = &call->inputs[0], *w = &call->inputs[1];
	int64_t groups = node_int(call->node, "group", 1);
	bool given;
	*deconv = (struct deconv){ .window.rank = x->rank - 2, .groups = groups };
	if (x->rank < 3 || x->rank > 2 + WINDOW_MAX_RANK)
		return operator_unimplemented(call, "an input of rank %" PRIu32, x->rank);
	if (x->data_type != DATA_TYPE_FLOAT || w->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(x->data_type));
	if (w->rank != x->rank || groups < 1 || w->dims[0] != x->dims[1] ||
	    w->dims[0] % groups != 0 || w->dims[1] < 1)
		return operator_error(call, "the weights do not fit the input");
	if (operator_has_input(call, 2) &&
	    (call->inputs[2].data_type != DATA_TYPE_FLOAT ||
	     tensor_elements(&call->inputs[2]) != w->dims[1] * groups))
		return operator_error(call, "the bias must be %" PRId64 " FP32",
				      w->dims[1] * groups);
	deconv->in_channels = w->dims[0] / groups;
	deconv->out_channels = w->dims[1];
	struct window *window = &deconv->window;
	for (uint32_t i = 0; i < window->rank; i++) {
		window->kernel[i] = w->dims[i + 2];
		if (window->kernel[i] < 1 || window->kernel[i] > INT32_MAX)
			return operator_error(call, "the kernel's dimension is %" PRId64,
					      window->kernel[i]);
	}
	if (read_list(call, "strides", window->rank, 1, 1, window->strides, &given) != 0 ||
	    read_list(call, "dilations", window->rank, 1, 1, window->dilations, &given) != 0)
		return -1;
	return read_output(call, deconv);
}

static int
infer_deconv(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	struct deconv deconv;
	if (read_deconv(call, &deconv) != 0)
		return -1;
	type.dims[1] = deconv.out_channels * deconv.groups;
	memcpy(type.dims + 2, deconv.out, deconv.window.rank * sizeof(deconv.out[0]));
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static int
prepare_deconv(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0], *y = &call->outputs[0];
	struct deconv *deconv = operator_state(call, sizeof(*deconv));
	if (deconv == NULL || read_deconv(call, deconv) != 0)
		return -1;
	window_spread(&deconv->window, y, deconv->out);
	deconv->batches = x->dims[0];
	deconv->in_size = axis_from(x, 2).dim;
	deconv->out_size = axis_from(y, 2).dim;
	deconv->has_bias = operator_has_input(call, 2);
	deconv->threads = call->threads;
	call->kernel->run = op_deconv_run;
	call->kernel->flops = 2 * (uint64_t)tensor_elements(x) *
			      (uint64_t)(tensor_elements(&call->inputs[1]) / x->dims[1]);
	return 0;
}

/* --- MaxUnpool ---------------------------------------------------------------------------------------------------- */

/* The place in the output of a place in a tensor of own_dims. */
static int64_t
place_of(const struct unpool *unpool, int64_t index)
{
	int64_t place = 0, step = 1;
	for (uint32_t i = unpool->rank; i-- > 0;) {
		place += index % unpool->own_dims[i] * step;
		index /= unpool->own_dims[i];
		step *= unpool->out_dims[i];
	}
	return place;
}

int
op_deconv_unpool(const void *state, const struct operands *operands)
{
	const struct unpool *unpool = state;
	const int64_t *indices = operands->inputs[1];
	size_t bytes = unpool->element_bytes;
	int64_t own = 1;
	for (uint32_t i = 0; i < unpool->rank; i++)
		own *= unpool->own_dims[i];
	memset(operands->outputs[0], 0, (size_t)unpool->out_elements * bytes);
	for (int64_t i = 0; i < unpool->in_elements; i++) {
		if (indices[i] < 0 || indices[i] >= own)
			return error_set(ERR_OUT_OF_RANGE,
					 "MaxUnpool: index %" PRId64 " is out of range",
					 indices[i]);
		memcpy((char *)operands->outputs[0] + (size_t)place_of(unpool, indices[i]) * bytes,
		       (const char *)operands->inputs[0] + (size_t)i * bytes, bytes);
	}
	return 0;
}

/* The shape that the pooling saw, as far as its attributes tell. */
static int
unpooled_dims(const struct operator_call *call, int64_t *dims)
{
	const struct tensor_type *x = &call->inputs[0];
	int64_t kernel[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK], pads[2 * TENSOR_MAX_RANK];
	bool given;
	if (x->rank < 3)
		return operator_error(call, "the input has no spatial dimensions");
	uint32_t rank = x->rank - 2;
	if (read_list(call, "kernel_shape", rank, 1, 1, kernel, &given) != 0 ||
	    read_list(call, "strides", rank, 1, 1, strides, &given) != 0 ||
	    read_list(call, "pads", 2 * rank, 0, 0, pads, &given) != 0)
		return -1;
	memcpy(dims, x->dims, 2 * sizeof(dims[0]));
	for (uint32_t i = 0; i < rank; i++) {
		dims[i + 2] =
			(x->dims[i + 2] - 1) * strides[i] - pads[i] - pads[rank + i] + kernel[i];
		if (x->dims[i + 2] > INT32_MAX || dims[i + 2] < 1)
			return operator_error(call, "dimension %" PRIu32 " would be %" PRId64,
					      i + 2, dims[i + 2]);
	}
	return 0;
}

static int
infer_unpool(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0];
	int64_t dims[TENSOR_MAX_RANK], own[TENSOR_MAX_RANK];
	if (call->inputs[1].data_type != DATA_TYPE_INT64 ||
	    tensor_elements(&call->inputs[1]) != tensor_elements(x))
		return operator_error(call, "the indices must be INT64, one an element");
	if (unpooled_dims(call, own) != 0)
		return -1;
	memcpy(dims, own, sizeof(own));
	if (operator_has_input(call, 2)) {
		int count = operator_read_ints(call, 2, dims, TENSOR_MAX_RANK);
		if (count < 0)
			return -1;
		if ((uint32_t)count != x->rank)
			return operator_error(call, "output_shape has %d entries", count);
		for (uint32_t i = 0; i < x->rank; i++) {
			if (dims[i] < own[i])
				return operator_error(call, "output_shape is too small");
		}
	}
	return operator_output(call, 0, x->data_type, x->rank, dims);
}

static int
prepare_unpool(struct operator_call *call)
{
	struct unpool *unpool = operator_state(call, sizeof(*unpool));
	if (unpool == NULL || unpooled_dims(call, unpool->own_dims) != 0)
		return -1;
	unpool->element_bytes = data_type_bytes(call->inputs[0].data_type);
	unpool->in_elements = tensor_elements(&call->inputs[0]);
	unpool->out_elements = tensor_elements(&call->outputs[0]);
	unpool->rank = call->outputs[0].rank;
	memcpy(unpool->out_dims, call->outputs[0].dims, sizeof(unpool->out_dims));
	call->kernel->run = op_deconv_unpool;
	return 0;
}

static const struct op deconv_operators[] = {
	{ .type = "ConvTranspose",
	  .since = 1,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_deconv,
	  .prepare = prepare_deconv },
	{ .type = "MaxUnpool",
	  .since = 9,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 2,
	  .infer = infer_unpool,
	  .prepare = prepare_unpool },
};

const struct operator_family operator_family_deconv = {
	deconv_operators,
	sizeof(deconv_operators) / sizeof(deconv_operators[0]),
};
