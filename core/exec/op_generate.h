/*
 * What operators do that make tensors from sizes and scalars, for every backend.
 */
#pragma once

#include "exec/operator.h"

/* What the run writes: known when compiling. */
struct numbers {
	uint32_t count;
	int64_t numbers[TENSOR_MAX_RANK];
};

struct fill {
	unsigned char value[8];
	size_t element_bytes;
	int64_t elements;
};

struct range {
	enum data_type data_type;
	int64_t count;
	/* For the integer types, which doubles do not hold exactly, and for the others. */
	int64_t start, step;
	double real_start, real_step;
};

/* Matrices, one after the other. */
struct matrices {
	enum data_type data_type;
	int64_t count;
	int64_t rows;
	int64_t columns;
	/* The diagonal that the operator is about: 0 the main one, above it positive. */
	int64_t diagonal;
	bool upper;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_generate_numbers;
kernel_run_f op_generate_fill;
kernel_run_f op_generate_range;
kernel_run_f op_generate_eye_like;
kernel_run_f op_generate_trilu;
