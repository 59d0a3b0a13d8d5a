/*
 * What products of 8-bit integers do, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/window.h"

/* For an input that the operator does not have. */
enum { OP_INTEGER_NONE = UINT8_MAX };

/* One operand or the result: type, and how many scales and zero points it has (1: one for all). */
struct side {
	enum data_type data_type;
	enum data_type scale_type;
	int64_t elements;
	int64_t zeros;
	int64_t scales;
	uint8_t scale;
	uint8_t zero;
};

struct integer {
	struct side a, b, y;
	/* QLinear…: results are rounded to y's type; else they stay 32-bit sums. */
	bool rounds;
	uint8_t bias;
	/* Matrix products: rows, columns, depth of each, and steps of the batches. */
	int64_t m, n, k;
	int64_t batches;
	int64_t a_steps[TENSOR_MAX_RANK], b_steps[TENSOR_MAX_RANK], dims[TENSOR_MAX_RANK];
	uint32_t batch_rank;
	/* Convolutions: a is [batches, groups * channels, in], b [m, channels, kernel]. */
	int64_t groups, channels;
	int64_t in[WINDOW_MAX_RANK];
	struct window window;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_integer_matmul;
kernel_run_f op_integer_conv;
