/*
 * What operators do that move elements without looking at them, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/strided.h"

struct move {
	unsigned threads;
	uint32_t outputs;
	struct strided copies[];
};

struct concat {
	uint32_t inputs;
	unsigned threads;
	/* How often the inputs' blocks follow each other, and how long one is of each input and of all, in bytes. */
	int64_t blocks;
	size_t block_bytes;
	size_t input_bytes[];
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_move_run;
kernel_run_f op_move_concat;
