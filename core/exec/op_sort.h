/*
 * What TopK does, for every backend.
 */
#pragma once

#include "exec/axis.h"
#include "exec/operator.h"

struct topk {
	enum data_type data_type;
	struct axis axis;
	int64_t k;
	bool largest;
	bool wants_values;
	bool wants_indices;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_sort_topk;
