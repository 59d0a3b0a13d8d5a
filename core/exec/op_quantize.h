/*
 * What conversions to and from quantized integers do, for every backend.
 */
#pragma once

#include "exec/axis.h"
#include "exec/operator.h"

struct quantize {
	enum data_type from;
	enum data_type to;
	enum data_type scale_type;
	/* The scale's axis in the data; one scale for all: outer 1, dim 1, inner all. */
	struct axis axis;
	/* Neighbours along the axis that share a scale; 1 but for blocked quantization. */
	int64_t block;
	bool has_zero_point;
	bool saturates;
	unsigned threads;
};

struct dynamic {
	int64_t elements;
	/* Outputs that the node wants. */
	bool wants[3];
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_quantize_run;
kernel_run_f op_quantize_dynamic;
