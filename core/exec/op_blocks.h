/* What operators do that cut dimensions into blocks, for every backend. */
#pragma once

#include "exec/operator.h"
#include "exec/strided.h"

struct blocks {
	struct strided strided;
	unsigned threads;
};

/* The host's kernel; those of other devices have the same state. */
kernel_run_f op_blocks_run;
