/*
 * What operators along one axis do, for every backend.
 */
#pragma once

#include "exec/axis.h"
#include "exec/broadcast.h"
#include "exec/operator.h"
#include "exec/rows.h"

struct cumsum {
	struct axis axis;
	enum data_type data_type;
	size_t element_bytes;
	row_binary_f *add;
	bool exclusive;
	bool reverse;
};

struct reverse {
	enum data_type length_type;
	/* The first two dimensions: which of them is time. */
	int64_t dims[2];
	bool time_first;
	/* Bytes of an element of the two. */
	size_t bytes;
};

struct shift {
	struct broadcast broadcast;
	enum data_type data_type;
	bool left;
};

struct dropout {
	size_t bytes;
	size_t elements;
	bool wants_output;
	bool wants_mask;
	/* BOOL, or before opset 10 the input's type. */
	enum data_type mask_type;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_sequence_cumsum;
kernel_run_f op_sequence_reverse;
kernel_run_f op_sequence_shift;
kernel_run_f op_sequence_dropout;
