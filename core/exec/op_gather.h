/*
 * What Gather does, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct gather {
	/* Rows of row_bytes: `outer` times `dim` of them; indices pick along dim. */
	int64_t outer;
	int64_t dim;
	size_t row_bytes;
	int64_t indices;
	bool wide;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_gather_run;
