/*
 * What transposed convolutions and MaxUnpool do, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/window.h"

/* The window slides over the output: window.out is the input's dimensions, out the output's. */
struct deconv {
	struct window window;
	int64_t out[WINDOW_MAX_RANK];
	int64_t batches;
	int64_t groups;
	/* Of a group. */
	int64_t in_channels;
	int64_t out_channels;
	int64_t in_size;
	int64_t out_size;
	bool has_bias;
	unsigned threads;
};

struct unpool {
	size_t element_bytes;
	int64_t in_elements;
	int64_t out_elements;
	/* The plane that indices count in is that of the pooling's input; where it differs from the output's, its dims. */
	uint32_t rank;
	int64_t own_dims[TENSOR_MAX_RANK];
	int64_t out_dims[TENSOR_MAX_RANK];
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_deconv_run;
kernel_run_f op_deconv_unpool;
