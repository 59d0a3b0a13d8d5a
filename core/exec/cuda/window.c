#include "exec/cuda/window.h"

#include <string.h>

struct kernel_window
cuda_window_of(const struct window *window, const struct tensor_type *type)
{
	struct window spread = *window;
	struct kernel_window kernel;
	window_spread(&spread, type, kernel.in);
	memcpy(kernel.out, spread.out, sizeof(kernel.out));
	memcpy(kernel.kernel, spread.kernel, sizeof(kernel.kernel));
	memcpy(kernel.strides, spread.strides, sizeof(kernel.strides));
	memcpy(kernel.dilations, spread.dilations, sizeof(kernel.dilations));
	memcpy(kernel.begin, spread.begin, sizeof(kernel.begin));
	memcpy(kernel.end, spread.end, sizeof(kernel.end));
	return kernel;
}

struct kernel_conv
cuda_window_conv(const struct window *window, const struct tensor_type *type, int64_t groups,
		 int64_t in_channels, int64_t out_channels)
{
	return (struct kernel_conv){ .window = cuda_window_of(window, type),
				     .batch = type->dims[0],
				     .groups = groups,
				     .in_channels = in_channels / groups,
				     .out_channels = out_channels / groups };
}
