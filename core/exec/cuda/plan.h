/*
 * Plans: convolutions and attention by cuDNN's backend graph API. A graph is a convolution, maybe with what follows it, or
 * all of an attention; the plan is the
 * engine that cuDNN's heuristic puts first among those that are exact enough, or the quickest of them where ways are timed; what
 * was found before is not searched for again. Any number of runs at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/cuda_compute.h"
#include "exec/attention.h"
#include "exec/tensor.h"

struct plan;

enum {
	PLAN_MAX_SPATIAL = 3,
	/* Operands of a run. */
	PLAN_OPERANDS = 7,
};

/* Tensors of a graph by the number that the run names them by; from VIRTUAL on they exist within it only. */
enum plan_tensor {
	PLAN_TENSOR_IN = 1,
	PLAN_TENSOR_WEIGHTS,
	PLAN_TENSOR_OUT,
	PLAN_TENSOR_BIAS,
	PLAN_TENSOR_RESIDUAL,
	PLAN_TENSOR_Q,
	PLAN_TENSOR_K,
	PLAN_TENSOR_V,
	PLAN_TENSOR_MASK,
	/* A float in the host's memory. */
	PLAN_TENSOR_SCALE,
	/* FP32, a number a row: the logarithm of the sum of its scores' powers. */
	PLAN_TENSOR_STATS,
	PLAN_TENSOR_VIRTUAL = 100,
};

/* One operand of a run. */
struct plan_operand {
	enum plan_tensor tensor;
	const void *address;
};

/* A convolution, or the transposed one; in and out are its input and output either way. */
struct plan_conv {
	enum data_type data_type;
	bool transposed;
	/* Channels last, in the weights (KRSC) as well. */
	bool last;
	/* 2 or 3 spatial dims. */
	uint32_t spatial;
	int64_t batch;
	int64_t groups;
	/* Of all groups. */
	int64_t in_channels;
	int64_t out_channels;
	int64_t in[PLAN_MAX_SPATIAL];
	int64_t out[PLAN_MAX_SPATIAL];
	int64_t kernel[PLAN_MAX_SPATIAL];
	int64_t strides[PLAN_MAX_SPATIAL];
	int64_t dilations[PLAN_MAX_SPATIAL];
	int64_t begin[PLAN_MAX_SPATIAL];
	int64_t end[PLAN_MAX_SPATIAL];
	/* What follows: one summand a channel, a summand like the output, then Relu. Not when transposed. */
	bool bias;
	bool residual;
	bool relu;
};

/* NULL: UNIMPLEMENTED when cuDNN has no engine for it, or there is no cuDNN. May take long. */
struct plan *
plan_new(const struct plan_conv *conv);
struct plan *
plan_new_attention(const struct attention *attention);
void
plan_delete(struct plan *plan);

/*
 * Put it on the stream: a convolution's IN, WEIGHTS, OUT, BIAS and RESIDUAL as the plan has them, or an attention's Q, K, V, MASK
 * (if any), SCALE, STATS (written, of no use) and OUT. The first time after the GPU was reset may take long.
 */
int
plan_run(struct plan *plan, struct cuda_compute *compute, const struct plan_operand *operands,
	 uint32_t count);
