/*
 * What operators do that choose among elements or judge them, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct one_hot {
	enum data_type index_type;
	size_t element_bytes;
	int64_t depth;
	/* Indices before and after the new axis. */
	int64_t outer;
	int64_t inner;
};

struct judge {
	enum data_type data_type;
	int64_t elements;
	/* IsInf: which infinities count. Shrink: its attributes. */
	bool negative;
	bool positive;
	float bias;
	float lambda;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_select_one_hot;
kernel_run_f op_select_is_nan;
kernel_run_f op_select_is_inf;
kernel_run_f op_select_shrink;
