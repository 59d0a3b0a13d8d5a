#include "exec/window.h"

#include <inttypes.h>
#include <string.h>

/* Most that a stride, dilation, kernel or pad may be, so that sums of products fit. */
static const int64_t LIMIT = INT32_MAX;

/* `count` integers of the attribute, each low … LIMIT, or the fallback for all. */
static int
read_list(const struct operator_call *call, const char *name, uint32_t wanted, int64_t low,
	  int64_t fallback, int64_t *values)
{
	uint32_t count;
	const int64_t *ints = node_ints(call->node, name, &count);
	if (ints != NULL && count != wanted)
		return operator_error(call, "%s has %" PRIu32 " entries, not %" PRIu32, name, count,
				      wanted);
	for (uint32_t i = 0; i < wanted; i++) {
		values[i] = ints != NULL ? ints[i] : fallback;
		if (values[i] < low || values[i] > LIMIT)
			return operator_error(call, "%s is %" PRId64, name, values[i]);
	}
	return 0;
}

static int
read_kernel(const struct operator_call *call, const int64_t *kernel, struct window *window)
{
	uint32_t count;
	bool given = node_ints(call->node, "kernel_shape", &count) != NULL;
	if (!given && kernel == NULL)
		return operator_error(call, "kernel_shape is missing");
	if (given && read_list(call, "kernel_shape", window->rank, 1, 1, window->kernel) != 0)
		return -1;
	for (uint32_t i = 0; i < window->rank && kernel != NULL; i++) {
		if (given && window->kernel[i] != kernel[i])
			return operator_error(
				call, "kernel_shape %" PRId64 " is not the weights' %" PRId64,
				window->kernel[i], kernel[i]);
		if (kernel[i] < 1 || kernel[i] > LIMIT)
			return operator_error(call, "the weights' dimension is %" PRId64,
					      kernel[i]);
		window->kernel[i] = kernel[i];
	}
	return 0;
}

static int
read_pads(const struct operator_call *call, struct window *window)
{
	int64_t pads[2 * WINDOW_MAX_RANK];
	if (read_list(call, "pads", 2 * window->rank, 0, 0, pads) != 0)
		return -1;
	memcpy(window->begin, pads, window->rank * sizeof(pads[0]));
	memcpy(window->end, pads + window->rank, window->rank * sizeof(pads[0]));
	return 0;
}

/* SAME: as many windows as strides fit, the padding split, the odd one after (UPPER) or before (LOWER). */
static void
pad_same(struct window *window, uint32_t i, int64_t dim, int64_t extent, bool lower)
{
	int64_t out = (dim + window->strides[i] - 1) / window->strides[i];
	int64_t total = (out - 1) * window->strides[i] + extent - dim;
	total = total < 0 ? 0 : total;
	int64_t small = total / 2;
	window->begin[i] = lower ? total - small : small;
	window->end[i] = total - window->begin[i];
}

static int
count_windows(const struct operator_call *call, struct window *window, uint32_t i, int64_t extent)
{
	int64_t dim = call->inputs[0].dims[i + 2];
	int64_t span = dim + window->begin[i] + window->end[i] - extent;
	int64_t stride = window->strides[i];
	if (span < 0)
		return operator_error(
			call, "the window of %" PRId64 " exceeds dimension %" PRIu32 " of %" PRId64,
			extent, i + 2, dim);
	window->out[i] = span / stride + 1;
	if (node_int(call->node, "ceil_mode", 0) == 0 || span % stride == 0)
		return 0;
	/* One more, unless it would begin in the padding after the input. */
	if (window->out[i] * stride < dim + window->begin[i]) {
		window->out[i]++;
		window->overhangs = true;
	}
	return 0;
}

int
window_read(const struct operator_call *call, const int64_t *kernel, struct window *window)
{
	const struct tensor_type *in = &call->inputs[0];
	*window = (struct window){ .rank = in->rank - 2 };
	if (in->rank < 3 || in->rank > 2 + WINDOW_MAX_RANK)
		return operator_unimplemented(call, "an input of rank %" PRIu32, in->rank);
	const char *pad = node_string(call->node, "auto_pad", "NOTSET");
	if (read_kernel(call, kernel, window) != 0 || read_pads(call, window) != 0 ||
	    read_list(call, "strides", window->rank, 1, 1, window->strides) != 0 ||
	    read_list(call, "dilations", window->rank, 1, 1, window->dilations) != 0)
		return -1;
	for (uint32_t i = 0; i < window->rank; i++) {
		int64_t dim = in->dims[i + 2];
		int64_t extent;
		if (__builtin_mul_overflow(window->kernel[i] - 1, window->dilations[i], &extent) ||
		    extent > LIMIT || dim > LIMIT)
			return operator_error(call, "the window is too large");
		extent++;
		if (strncmp(pad, "SAME_", 5) == 0)
			pad_same(window, i, dim, extent, strcmp(pad, "SAME_LOWER") == 0);
		else if (strcmp(pad, "VALID") == 0)
			window->begin[i] = window->end[i] = 0;
		else if (strcmp(pad, "NOTSET") != 0)
			return operator_error(call, "auto_pad is %s", pad);
		if (count_windows(call, window, i, extent) != 0)
			return -1;
	}
	return 0;
}

void
window_spread(struct window *window, const struct tensor_type *type, int64_t *in)
{
	const struct window from = *window;
	uint32_t lead = WINDOW_MAX_RANK - from.rank;
	for (uint32_t i = 0; i < WINDOW_MAX_RANK; i++) {
		bool present = i >= lead;
		uint32_t k = present ? i - lead : 0;
		in[i] = present ? type->dims[k + 2] : 1;
		window->kernel[i] = present ? from.kernel[k] : 1;
		window->strides[i] = present ? from.strides[k] : 1;
		window->dilations[i] = present ? from.dilations[k] : 1;
		window->begin[i] = present ? from.begin[k] : 0;
		window->end[i] = present ? from.end[k] : 0;
		window->out[i] = present ? from.out[k] : 1;
	}
}
