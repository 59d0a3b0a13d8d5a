/*
 * What softmaxes do, for every backend.
 */
#pragma once

#include "exec/axis.h"
#include "exec/operator.h"
#include "exec/rows.h"

enum softmax_kind {
	SOFTMAX,
	LOG_SOFTMAX,
	HARDMAX,
};

struct softmax {
	enum softmax_kind kind;
	enum data_type data_type;
	struct axis axis;
	row_unary_f *exp;
	row_unary_f *log;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_softmax_run;
