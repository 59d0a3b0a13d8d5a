/*
 * What Lookup does, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct lookup {
	int64_t indices;
	/* Rows that indices name; one more follows. */
	int64_t rows;
	size_t row_bytes;
	bool wide;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_lookup_run;
