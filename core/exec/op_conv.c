/* Convolutions, by oneDNN. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "exec/depthwise.h"
#include "exec/isa.h"
#include "exec/onednn.h"
#include "exec/op_conv.h"
#include "exec/panels.h"

enum {
	/* Fewest outputs in each direction for which Winograd's transforms pay. */
	WINOGRAD_SIDE = 14,
	/* Fewest channels in and out. */
	WINOGRAD_CHANNELS = 16,
	/* With so few outputs, the fewest output channels. */
	WINOGRAD_SMALL_SIDE = 20,
	WINOGRAD_SMALL_CHANNELS = 64,
	/* Fewest channels out and in for which 1x1 convolutions are done in panels. */
	PANELS_CHANNELS = 64,
};

/* How the sums are computed, and the key that weights are packed for it under. */
struct method {
	dnnl_alg_kind_t algorithm;
	const char *key;
};

static const struct method direct = { dnnl_convolution_direct, "conv" };
/* F(2x2, 3x3) of Lavin and Gray, 2015: 16 products instead of 36; weights take 16/9 of the room. */
static const struct method winograd = { dnnl_convolution_winograd, "winograd" };

int
op_conv_read(const struct operator_call *call, struct conv *conv)
{
	const struct tensor_type *in = &call->inputs[0];
	const struct tensor_type *weights = &call->inputs[1];
	if (weights->rank != in->rank || in->rank < 3)
		return operator_error(call, "input rank %" PRIu32 ", weights' rank %" PRIu32,
				      in->rank, weights->rank);
	conv->groups = node_int(call->node, "group", 1);
	conv->in_channels = in->dims[1];
	conv->out_channels = weights->dims[0];
	if (conv->groups < 1 || conv->in_channels % conv->groups != 0 ||
	    conv->out_channels % conv->groups != 0 ||
	    conv->in_channels / conv->groups != weights->dims[1])
		return operator_error(
			call, "%" PRId64 " channels in %" PRId64 " groups do not fit the weights",
			conv->in_channels, conv->groups);
	if (operator_has_input(call, 2) &&
	    (call->inputs[2].rank != 1 || call->inputs[2].dims[0] != conv->out_channels))
		return operator_error(call, "the bias is not one a channel");
	return window_read(call, weights->dims + 2, &conv->window);
}

static int
infer_conv(struct operator_call *call)
{
	struct conv conv;
	if (op_conv_read(call, &conv) != 0)
		return -1;
	int64_t dims[TENSOR_MAX_RANK] = { call->inputs[0].dims[0], conv.out_channels };
	memcpy(dims + 2, conv.window.out, conv.window.rank * sizeof(dims[0]));
	return operator_output(call, 0, call->inputs[0].data_type, conv.window.rank + 2, dims);
}

/* The weights' type as oneDNN counts dims: groups first when there are any. */
static struct tensor_type
grouped_weights(const struct operator_call *call, const struct conv *conv)
{
	struct tensor_type type = call->inputs[1];
	if (conv->groups == 1)
		return type;
	memmove(type.dims + 1, type.dims, type.rank * sizeof(type.dims[0]));
	type.rank++;
	type.dims[0] = conv->groups;
	type.dims[1] = conv->out_channels / conv->groups;
	return type;
}

/* Everything that describes the primitive. */
struct conv_descs {
	dnnl_memory_desc_t in;
	dnnl_memory_desc_t plain_weights;
	dnnl_memory_desc_t weights;
	dnnl_memory_desc_t bias;
	dnnl_memory_desc_t out;
	bool has_bias;
};

static int
describe_tensors(const struct operator_call *call, const struct conv *conv,
		 const struct method *method, struct conv_descs *descs)
{
	struct tensor_type weights = grouped_weights(call, conv);
	descs->has_bias = operator_has_input(call, 2);
	if (onednn_tensor(call, &call->inputs[0], call->input_layouts[0], &descs->in) != 0 ||
	    onednn_tensor(call, &call->outputs[0], call->output_layouts[0], &descs->out) != 0 ||
	    onednn_tensor(call, &weights, LAYOUT_PLAIN, &descs->plain_weights) != 0)
		return -1;
	if (descs->has_bias &&
	    onednn_tensor(call, &call->inputs[2], LAYOUT_PLAIN, &descs->bias) != 0)
		return -1;
	descs->weights = descs->plain_weights;
	if (call->constants[1] != NULL &&
	    operator_packed(call, 1, method->key, &descs->weights, sizeof(descs->weights)))
		return 0;
	return onednn_check(call,
			    dnnl_memory_desc_init_by_tag(&descs->weights, descs->weights.ndims,
							 descs->plain_weights.dims, dnnl_f32,
							 dnnl_format_tag_any),
			    "weights");
}

static dnnl_status_t
describe_conv(const struct conv *conv, const struct method *method, const struct conv_descs *descs,
	      dnnl_convolution_desc_t *desc)
{
	dnnl_dims_t strides, dilations, begin, end;
	const struct window *window = &conv->window;
	for (uint32_t i = 0; i < window->rank; i++) {
		strides[i] = window->strides[i];
		dilations[i] = window->dilations[i] - 1;
		begin[i] = window->begin[i];
		end[i] = window->end[i];
	}
	return dnnl_dilated_convolution_forward_desc_init(
		desc, dnnl_forward_inference, method->algorithm, &descs->in, &descs->weights,
		descs->has_bias ? &descs->bias : NULL, &descs->out, strides, dilations, begin, end);
}

static struct onednn *
begin_conv(struct operator_call *call, const struct conv *conv, const struct method *method,
	   const struct conv_descs *descs)
{
	dnnl_convolution_desc_t desc;
	dnnl_primitive_attr_t attr = NULL;
	struct onednn *onednn = NULL;
	if (onednn_check(call, describe_conv(conv, method, descs, &desc), "convolution") != 0 ||
	    onednn_check(call, dnnl_primitive_attr_create(&attr), "attributes") != 0)
		return NULL;
	if (onednn_posts(call, call->node->posts, call->node->post_count, &descs->out, attr) == 0)
		onednn = onednn_begin(call, &desc, attr);
	dnnl_primitive_attr_destroy(attr);
	return onednn;
}

static uint64_t
conv_flops(const struct operator_call *call, const struct conv *conv)
{
	return 2 * (uint64_t)tensor_elements(&call->outputs[0]) *
	       (uint64_t)tensor_elements(&call->inputs[1]) / (uint64_t)conv->out_channels;
}

static int
prepare_with(struct operator_call *call, const struct conv *conv, const struct method *method)
{
	struct conv_descs descs;
	if (describe_tensors(call, conv, method, &descs) != 0)
		return -1;
	struct onednn *onednn = begin_conv(call, conv, method, &descs);
	if (onednn == NULL)
		return -1;
	descs.weights = *onednn_query(onednn, dnnl_query_weights_md);
	if (onednn_argument(call, DNNL_ARG_SRC, &descs.in, ONEDNN_INPUT, 0) != 0 ||
	    onednn_argument(call, DNNL_ARG_WEIGHTS, &descs.weights, ONEDNN_INPUT, 1) != 0 ||
	    onednn_argument(call, DNNL_ARG_DST, &descs.out, ONEDNN_OUTPUT, 0) != 0 ||
	    (descs.has_bias &&
	     onednn_argument(call, DNNL_ARG_BIAS, &descs.bias, ONEDNN_INPUT, 2) != 0) ||
	    onednn_post_arguments(call, call->node->posts, call->node->post_count, &descs.out) != 0)
		return -1;
	call->kernel->flops = conv_flops(call, conv);
	if (call->constants[1] == NULL)
		return onednn_repack(call, 1, &descs.plain_weights, &descs.weights);
	return onednn_pack(call, 1, method->key, &descs.plain_weights, &descs.weights);
}

/*
 * Is Winograd's way faster? 3x3, stride 1, outputs as many as inputs, and enough of them (measured on two cores with
 * AVX-512, our time over the direct way's: 56x56 with 64 channels 0.58, 28x28 with 128 channels 0.63, 14x14 with 256
 * channels 0.70 to 0.89, 14x14 with 32 channels up to 1.05, 7x7 up to 1.7; without padding up to 1.4).
 */
static bool
suits_winograd(const struct operator_call *call, const struct conv *conv)
{
	const struct window *window = &conv->window;
	if (window->rank != 2 || conv->groups != 1 || call->constants[1] == NULL ||
	    call->input_layouts[0] != LAYOUT_BLOCKED || conv->in_channels < WINOGRAD_CHANNELS ||
	    conv->out_channels < WINOGRAD_CHANNELS)
		return false;
	bool small = false;
	for (uint32_t i = 0; i < 2; i++) {
		if (call->inputs[1].dims[2 + i] != 3 || window->strides[i] != 1 ||
		    window->dilations[i] != 1 || window->begin[i] != 1 || window->end[i] != 1 ||
		    window->out[i] < WINOGRAD_SIDE)
			return false;
		small |= window->out[i] < WINOGRAD_SMALL_SIDE;
	}
	return !small || conv->out_channels >= WINOGRAD_SMALL_CHANNELS;
}

static int
prepare_winograd(struct operator_call *call)
{
	struct conv conv;
	return op_conv_read(call, &conv) != 0 ? -1 : prepare_with(call, &conv, &winograd);
}

/* Squeeze-and-excite's products: next to nothing to compute, but code that oneDNN generates for each. */
static bool
is_one_pixel(const struct window *window)
{
	for (uint32_t i = 0; i < window->rank; i++)
		if (window->out[i] != 1)
			return false;
	return true;
}

/*
 * Measured over oneDNN's way, one core with AVX-512: 7x7 with 320 to 1280 channels 0.60, 14x14 with
 * 96 to 576 0.69, 14x14 with 1024 to 256 0.92, 56x56 with 256 to 128 0.93; but 112x112 with 32 to
 * 16 2.4 and with 16 to 96 1.2.
 */
bool
op_conv_suits_panels(const struct operator_call *call, const struct conv *conv)
{
	const struct window *window = &conv->window;
	if (conv->groups != 1 || call->constants[1] == NULL || !panels_supported())
		return false;
	for (uint32_t i = 0; i < window->rank; i++)
		if (call->inputs[1].dims[2 + i] != 1 || window->strides[i] != 1 ||
		    window->begin[i] != 0 || window->end[i] != 0)
			return false;
	return is_one_pixel(window) ||
	       (conv->out_channels >= PANELS_CHANNELS && conv->in_channels >= PANELS_CHANNELS);
}

/* As exec/panels.h takes it. -1 with the error set. */
static int
describe_product(const struct operator_call *call, struct panels_form *form)
{
	struct conv conv;
	if (op_conv_read(call, &conv) != 0)
		return -1;
	const struct tensor_type *out = &call->outputs[0];
	int64_t pixels = tensor_elements(out) / (out->dims[0] * out->dims[1]);
	*form = (struct panels_form){ .items = out->dims[0],
				      .m = pixels,
				      .n = conv.out_channels,
				      .k = conv.in_channels,
				      .b_row = 1,
				      .b_column = conv.in_channels,
				      .bias = operator_has_input(call, 2) ? 2 : -1,
				      .posts = call->node->posts,
				      .post_count = call->node->post_count };
	return 0;
}

static int
prepare_panels(struct operator_call *call)
{
	struct panels_form form;
	return describe_product(call, &form) != 0 ? -1 : panels_prepare(call, &form);
}

/*
 * Our own ScaledConv, what pass_scaled makes: a Conv of max(x factor + summand, 0), or without the bound where relu is 0.
 * Factors and summands, one a channel, are the last two inputs, behind Conv's own and its posts'.
 */
static int
prepare_scaled(struct operator_call *call)
{
	struct panels_form form;
	if (describe_product(call, &form) != 0)
		return -1;
	form.scaled = true;
	form.factors = (int32_t)call->input_count - 2;
	form.summands = (int32_t)call->input_count - 1;
	form.a_low = node_int(call->node, "relu", 0) != 0 ? 0 : -INFINITY;
	return panels_prepare(call, &form);
}

/* Try one way; 1: it is none for this call. */
static int
attempt(struct operator_call *call, int (*prepare)(struct operator_call *call))
{
	if (operator_try(call, prepare) == 0)
		return 0;
	if (error_last()->code != ERR_UNIMPLEMENTED)
		return -1;
	error_clear();
	return 1;
}

static int
prepare_conv(struct operator_call *call)
{
	struct conv conv;
	if (op_conv_read(call, &conv) != 0)
		return -1;
	bool blocked = call->input_layouts[0] == LAYOUT_BLOCKED &&
		       call->output_layouts[0] == LAYOUT_BLOCKED;
	int result = blocked && op_conv_suits_panels(call, &conv) ? attempt(call, prepare_panels)
		     : depthwise_suits(call, &conv)               ? attempt(call, depthwise_prepare)
								  : 1;
	if (result <= 0)
		return result;
	result = suits_winograd(call, &conv) ? attempt(call, prepare_winograd) : 1;
	return result <= 0 ? result : prepare_with(call, &conv, &direct);
}

/* Depthwise, with as many channels out as in. */
static bool
depthwise_has_blocks(const struct conv *conv)
{
	/* Windows that oneDNN's kernels for older processors than ours have registers for. */
	enum { WIDEST = 7 };
	const struct window *window = &conv->window;
	if (window->rank != 2 || conv->in_channels < layout_block())
		return false;
	return isa_level() == ISA_AVX512 ||
	       (window->kernel[0] <= WIDEST && window->kernel[1] <= WIDEST);
}

/*
 * Is there a kernel for blocks of channels? Where there is not, oneDNN takes its reference, a hundred times as long as the
 * product that plain tensors are convolved by (1x14x14, 128 channels in 32 groups: 28 ms and 0.3).
 */
static bool
conv_blocks(const struct operator_call *call)
{
	struct conv conv;
	int64_t block = layout_block();
	if (call->inputs[0].data_type != DATA_TYPE_FLOAT || op_conv_read(call, &conv) != 0)
		return false;
	if (conv.groups == conv.in_channels && conv.groups == conv.out_channels && conv.groups > 1)
		return depthwise_has_blocks(&conv);
	int64_t in = conv.in_channels / conv.groups, out = conv.out_channels / conv.groups;
	bool is_even = in % block == 0 && out % block == 0;
	if (isa_level() > ISA_SSE41)
		return conv.groups == 1 || is_even;
	/* Those for SSE4.1 are for two dimensions, and for pictures. */
	bool is_picture = conv.groups == 1 && in == 3 && out % block == 0;
	return conv.window.rank == 2 && (is_even || is_picture);
}

static const struct op conv_operators[] = {
	{ .type = "Conv",
	  .since = 1,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_POSTS,
	  .layouts = OPERATOR_LAYOUTS_SPATIAL,
	  .infer = infer_conv,
	  .prepare = prepare_conv,
	  .blocks = conv_blocks },
	{ .domain = "tidepool",
	  .type = "ScaledConv",
	  .since = 1,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .layouts = OPERATOR_LAYOUTS_SPATIAL,
	  .infer = infer_conv,
	  .prepare = prepare_scaled,
	  .blocks = conv_blocks },
};

const struct operator_family operator_family_conv = {
	conv_operators,
	sizeof(conv_operators) / sizeof(conv_operators[0]),
};
