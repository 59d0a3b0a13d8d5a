/*
 * What reductions do, for every backend.
 */
#pragma once

#include "exec/operator.h"

/* How two totals, or a total and an element, become one. */
enum combination {
	COMBINE_SUM,
	COMBINE_PROD,
	COMBINE_MAX,
	COMBINE_MIN,
	COMBINE_SQUARE,
	COMBINE_ABSOLUTE,
	COMBINATION_COUNT,
};

/* What is made of the total. */
enum finish {
	FINISH_NONE,
	FINISH_MEAN,
	FINISH_ROOT,
	FINISH_LOG,
	FINISH_LOG_SUM_EXP,
};

/* The host's loops. */
struct reduce_loops;

struct reduce {
	const struct reduce_loops *loops;
	enum combination combination;
	enum finish finish;
	enum data_type data_type;
	size_t element_bytes;
	/* The input's dims, neighbours of a kind merged; steps in the output, 0 along reduced ones. The last is the row. */
	uint32_t rank;
	int64_t dims[TENSOR_MAX_RANK];
	int64_t steps[TENSOR_MAX_RANK];
	int64_t rows;
	int64_t outputs;
	/* Elements behind one output. */
	int64_t count;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_reduce_run;
kernel_run_f op_reduce_log_sum_exp_FLOAT;
kernel_run_f op_reduce_log_sum_exp_DOUBLE;
