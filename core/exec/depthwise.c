#include "exec/depthwise.h"

#include <math.h>
#include <string.h>

#include "exec/panels.h"
#include "exec/parallel.h"
#include "exec/wide.h"

enum {
	BLOCK = 16,
	/* Pixels of a row that are summed up in registers at once. */
	PIXELS = 8,
	/* Elements worth a thread of their own. */
	GRAIN_ELEMENTS = 16384,
};

#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx512f")))

struct depthwise_run {
	const struct depthwise *depthwise;
	const struct operands *operands;
};

/* One row of the result of one block. */
struct row {
	const struct depthwise *depthwise;
	/* The block's image, its weights (16 for each place of the window) and bias. */
	const float *in;
	const float *weights;
	const float *bias;
	float *out;
	int64_t y;
	/* Rows of the window that lie in the image. */
	int64_t top;
	int64_t bottom;
};

/* count pixels from x on, whose windows lie in the image from side to side. */
WIDE void
run_pixels(const struct row *row, int64_t x, int count, int64_t width)
{
	const struct depthwise *depthwise = row->depthwise;
	int64_t step = depthwise->strides[1] * BLOCK, line = depthwise->in[1] * BLOCK;
	const float *from = row->in +
			    (row->y * depthwise->strides[0] - depthwise->begin[0]) * line +
			    (x * depthwise->strides[1] - depthwise->begin[1]) * BLOCK;
	__m512 low = _mm512_set1_ps(depthwise->low), high = _mm512_set1_ps(depthwise->high);
	__m512 sums[PIXELS];
#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
		sums[i] = _mm512_load_ps(row->bias);
	for (int64_t ky = row->top; ky < row->bottom; ky++) {
		const float *weights = row->weights + ky * width * BLOCK;
		const float *at = from + ky * line;
		for (int64_t kx = 0; kx < width; kx++, at += BLOCK, weights += BLOCK) {
			__m512 weight = _mm512_loadu_ps(weights);
#pragma GCC unroll 8
			for (int i = 0; i < count; i++)
				sums[i] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(at + i * step),
							  sums[i]);
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
		_mm512_storeu_ps(row->out + (x + i) * BLOCK,
				 _mm512_min_ps(high, _mm512_max_ps(low, sums[i])));
}

/* A pixel whose window reaches beyond a side. */
KERNEL static void
run_edge(const struct row *row, int64_t x)
{
	const struct depthwise *depthwise = row->depthwise;
	int64_t width = depthwise->kernel[1],
		left = x * depthwise->strides[1] - depthwise->begin[1];
	int64_t line = depthwise->in[1] * BLOCK;
	const float *from = row->in + (row->y * depthwise->strides[0] - depthwise->begin[0]) * line;
	int64_t first = left < 0 ? -left : 0;
	int64_t end = depthwise->in[1] - left < width ? depthwise->in[1] - left : width;
	__m512 sum = _mm512_load_ps(row->bias);
	for (int64_t ky = row->top; ky < row->bottom; ky++)
		for (int64_t kx = first; kx < end; kx++)
			sum = _mm512_fmadd_ps(
				_mm512_loadu_ps(row->weights + (ky * width + kx) * BLOCK),
				_mm512_loadu_ps(from + ky * line + (left + kx) * BLOCK), sum);
	sum = _mm512_max_ps(_mm512_set1_ps(depthwise->low), sum);
	_mm512_storeu_ps(row->out + x * BLOCK, _mm512_min_ps(_mm512_set1_ps(depthwise->high), sum));
}

/* Pixels from x to end, none at an edge. */
WIDE void
run_inner(const struct row *row, int64_t x, int64_t end, int64_t width)
{
	for (; x + PIXELS <= end; x += PIXELS)
		run_pixels(row, x, PIXELS, width);
	for (; x + PIXELS / 2 <= end; x += PIXELS / 2)
		run_pixels(row, x, PIXELS / 2, width);
	for (; x < end; x++)
		run_pixels(row, x, 1, width);
}

KERNEL static void
run_row(const struct row *row)
{
	const struct depthwise *depthwise = row->depthwise;
	int64_t stride = depthwise->strides[1], width = depthwise->kernel[1];
	/* The first and the last but one pixel whose windows are within the image. */
	int64_t first = (depthwise->begin[1] + stride - 1) / stride;
	int64_t last = (depthwise->in[1] + depthwise->begin[1] - width) / stride + 1;
	if (depthwise->in[1] + depthwise->begin[1] < width)
		last = 0;
	first = first < depthwise->out[1] ? first : depthwise->out[1];
	last = last < first ? first : last < depthwise->out[1] ? last : depthwise->out[1];
	for (int64_t x = 0; x < first; x++)
		run_edge(row, x);
	/* Windows of a known width are unrolled. */
	if (width == 3)
		run_inner(row, first, last, 3);
	else if (width == 5)
		run_inner(row, first, last, 5);
	else
		run_inner(row, first, last, width);
	for (int64_t x = last; x < depthwise->out[1]; x++)
		run_edge(row, x);
	post_rows_apply(&depthwise->posts, row->out, depthwise->out[1] * BLOCK);
}

/* All rows of blocks begin … end-1 of all images. */
static void
run_blocks(void *context, int64_t begin, int64_t end)
{
	const struct depthwise_run *run = context;
	const struct depthwise *depthwise = run->depthwise;
	const struct operands *operands = run->operands;
	int64_t in_bytes = depthwise->in[0] * depthwise->in[1] * BLOCK;
	int64_t line = depthwise->out[1] * BLOCK,
		places = depthwise->kernel[0] * depthwise->kernel[1];
	for (int64_t at = begin; at < end; at++) {
		int64_t block = at % depthwise->blocks;
		int64_t left = depthwise->channels - block * BLOCK;
		_Alignas(64) float bias[BLOCK] = { 0 };
		if (depthwise->bias >= 0)
			memcpy(bias,
			       (const float *)operands->inputs[depthwise->bias] + block * BLOCK,
			       (size_t)(left < BLOCK ? left : BLOCK) * sizeof(float));
		struct row row = {
			.depthwise = depthwise,
			.in = (const float *)operands->inputs[0] + at * in_bytes,
			.weights = (const float *)operands->inputs[1] + block * places * BLOCK,
			.bias = bias,
			.out = (float *)operands->outputs[0] + at * depthwise->out[0] * line,
		};
		for (; row.y < depthwise->out[0]; row.y++, row.out += line) {
			int64_t above = depthwise->begin[0] - row.y * depthwise->strides[0];
			int64_t below = depthwise->in[0] + above;
			row.top = above > 0 ? above : 0;
			row.bottom = below < depthwise->kernel[0] ? below : depthwise->kernel[0];
			run_row(&row);
		}
	}
}

static int
run_depthwise(const void *state, const struct operands *operands)
{
	const struct depthwise *depthwise = state;
	struct depthwise_run run = { depthwise, operands };
	int64_t each = depthwise->out[0] * depthwise->out[1] * BLOCK;
	parallel_for(depthwise->threads, depthwise->images * depthwise->blocks,
		     GRAIN_ELEMENTS / each + 1, run_blocks, &run);
	return 0;
}

/* --- preparing ----------------------------------------------------------------------------------------------------------- */

bool
depthwise_suits(const struct operator_call *call, const struct conv *conv)
{
	const struct window *window = &conv->window;
	if (window->rank != 2 || conv->groups != conv->in_channels ||
	    conv->groups != conv->out_channels || call->constants[1] == NULL ||
	    call->input_layouts[0] != LAYOUT_BLOCKED || call->output_layouts[0] != LAYOUT_BLOCKED ||
	    !panels_supported())
		return false;
	return window->dilations[0] == 1 && window->dilations[1] == 1;
}

/* Sixteen channels' weights for each place of the window; zeros for channels that are padding. */
static int
pack_weights(void *context, const struct constant *from, void *to)
{
	const struct depthwise *depthwise = context;
	const float *weights = from->data;
	float *packed = to;
	int64_t places = depthwise->kernel[0] * depthwise->kernel[1];
	memset(to, 0, (size_t)(depthwise->blocks * places * BLOCK) * sizeof(float));
	for (int64_t c = 0; c < depthwise->channels; c++)
		for (int64_t i = 0; i < places; i++)
			packed[(c / BLOCK * places + i) * BLOCK + c % BLOCK] =
				weights[c * places + i];
	return 0;
}

/* A first post that bounds goes into the kernels; the others, of one operand, are done to rows. */
static int
take_posts(struct operator_call *call, struct depthwise *depthwise)
{
	const struct node *node = call->node;
	struct node rest = *node;
	struct operator_call other = *call;
	depthwise->low = -INFINITY;
	depthwise->high = INFINITY;
	if (node->post_count != 0 && node->posts[0].kind == POST_RELU)
		depthwise->low = 0;
	else if (node->post_count != 0 && node->posts[0].kind == POST_CLIP) {
		depthwise->low = node->posts[0].alpha;
		depthwise->high = node->posts[0].beta;
	}
	if (depthwise->low != -INFINITY || depthwise->high != INFINITY) {
		rest.posts++;
		rest.post_count--;
	}
	other.node = &rest;
	if (post_rows_create(&depthwise->posts, &other) != 0)
		return -1;
	/* Channels that are padding must stay zero. */
	float zero = depthwise->low > 0 ? depthwise->low : 0;
	zero = depthwise->high < zero ? depthwise->high : zero;
	post_rows_apply(&depthwise->posts, &zero, 1);
	if (zero != 0 && depthwise->channels % BLOCK != 0)
		return operator_unimplemented(call, "posts that change padding");
	return 0;
}

int
depthwise_prepare(struct operator_call *call)
{
	struct conv conv;
	struct depthwise *depthwise = operator_state(call, sizeof(*depthwise));
	if (depthwise == NULL || op_conv_read(call, &conv) != 0)
		return -1;
	depthwise->images = call->inputs[0].dims[0];
	depthwise->channels = conv.in_channels;
	depthwise->blocks = (conv.in_channels + BLOCK - 1) / BLOCK;
	for (int i = 0; i < 2; i++) {
		depthwise->in[i] = call->inputs[0].dims[2 + i];
		depthwise->out[i] = conv.window.out[i];
		depthwise->kernel[i] = call->inputs[1].dims[2 + i];
		depthwise->strides[i] = conv.window.strides[i];
		depthwise->begin[i] = conv.window.begin[i];
	}
	depthwise->bias = operator_has_input(call, 2) ? 2 : -1;
	depthwise->threads = call->threads;
	if (take_posts(call, depthwise) != 0)
		return -1;
	int64_t places = depthwise->kernel[0] * depthwise->kernel[1];
	call->kernel->run = run_depthwise;
	call->kernel->flops = 2 * (uint64_t)tensor_elements(&call->outputs[0]) * (uint64_t)places;
	size_t bytes = (size_t)(depthwise->blocks * places * BLOCK) * sizeof(float);
	return operator_pack(call, 1, "depthwise", &places, sizeof(places), bytes, pack_weights,
			     depthwise);
}
#else
bool
depthwise_suits(const struct operator_call *call, const struct conv *conv)
{
	(void)call;
	(void)conv;
	return false;
}

int
depthwise_prepare(struct operator_call *call)
{
	return operator_unimplemented(call, "this processor has no kernel for it");
}
#endif
