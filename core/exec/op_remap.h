/*
 * What operators do that show the input through a map of indices, for every backend.
 */
#pragma once

#include "exec/operator.h"

enum pad_mode {
	PAD_CONSTANT,
	PAD_REFLECT,
	PAD_EDGE,
	PAD_WRAP,
	PAD_MODES,
};

struct pad {
	enum pad_mode mode;
	int64_t begin[TENSOR_MAX_RANK];
	int64_t end[TENSOR_MAX_RANK];
	int64_t dims[TENSOR_MAX_RANK];
};

/* The host's kernel; those of other devices have the same state. */
kernel_run_f op_remap_run;

/* Pad, Tile or CenterCropPad as a padding, maybe a negative one. -1 with the error set. */
int
op_remap_read(const struct operator_call *call, struct pad *pad);
