/*
 * What Resize does, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/resize.h"

/* One axis at a time: in[outer][in][inner] to out[outer][out][inner]. */
struct pass {
	struct resize_axis axis;
	int64_t outer;
	int64_t inner;
};

struct resize {
	struct resize_rule rule;
	enum data_type data_type;
	uint32_t rank;
	struct tensor_type in;
	struct tensor_type out;
	/* Every axis; those whose length and places stay are passed over. */
	struct pass passes[TENSOR_MAX_RANK];
	bool is_needed[TENSOR_MAX_RANK];
	/* Elements of the largest intermediate result. */
	int64_t room;
	float extrapolation;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_resize_run;
