/*
 * Windows as kernels see them.
 */
#pragma once

#include "exec/cuda/kernels.h"
#include "exec/window.h"

/* A window over the spatial dims of a tensor of that type, in three dimensions. */
struct kernel_window
cuda_window_of(const struct window *window, const struct tensor_type *type);

/* A convolution over such a tensor; channels are those of all groups. */
struct kernel_conv
cuda_window_conv(const struct window *window, const struct tensor_type *type, int64_t groups,
		 int64_t in_channels, int64_t out_channels);
