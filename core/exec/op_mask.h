/*
 * What masks of attention become, for every backend.
 */
#pragma once

#include "exec/operator.h"

/* Rows of `width` elements of a mask become rows of `keys` numbers. */
struct mask {
	enum data_type data_type;
	int64_t rows;
	int64_t width;
	int64_t keys;
	unsigned threads;
};

/* Which keys are hidden from which queries. */
struct key_bias {
	enum data_type data_type;
	/* Dimensions of the input: 1 is lengths, and with twice as many as batches also where keys begin; 2 and 3 are masks. */
	uint32_t rank;
	bool has_begins;
	bool causal;
	float hidden;
	int64_t batches;
	/* Of the output; and length of the queries. */
	int64_t rows;
	int64_t queries;
	int64_t keys;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_mask_bias;
kernel_run_f op_mask_keys;
