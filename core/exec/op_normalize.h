/*
 * What normalisations without parameters do, for every backend.
 */
#pragma once

#include "exec/axis.h"
#include "exec/operator.h"

struct lrn {
	int64_t channels;
	/* Elements of a channel. */
	int64_t size;
	int64_t planes;
	/* Channels before and after that count. */
	int64_t before;
	int64_t after;
	/* alpha / size, beta, bias as ONNX has them. */
	float alpha;
	float beta;
	float bias;
	unsigned threads;
};

struct moments {
	struct tensor_type type;
	/* A bit a dimension that mean and variance are taken over. */
	uint32_t reduced;
	/* Where each element's mean and variance are: steps into the scratch, 0 along reduced dimensions. */
	int64_t steps[TENSOR_MAX_RANK];
	int64_t cells;
};

struct lp {
	struct axis axis;
	int64_t p;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_normalize_lrn;
kernel_run_f op_normalize_moments;
kernel_run_f op_normalize_lp;
