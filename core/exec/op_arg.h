/*
 * What ArgMax and ArgMin do, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct arg {
	int64_t outer;
	int64_t dim;
	int64_t inner;
	enum data_type data_type;
	/* ArgMin; the last of equal ones. */
	bool smallest;
	bool last;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_arg_run;
