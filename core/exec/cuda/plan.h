/*
 * Plans: convolutions by cuDNN's backend graph API. A graph is a convolution, maybe with what follows it; the plan is the
 * engine that cuDNN's heuristic puts first among those that are exact enough, or the quickest of them where ways are timed; what
 * was found before is not searched for again. Any number of runs at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/cuda_compute.h"
#include "exec/tensor.h"

struct plan;

enum { PLAN_MAX_SPATIAL = 3 };

/* A convolution, or the transposed one; in and out are its input and output either way. */
struct plan_conv {
	enum data_type data_type;
	bool transposed;
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
	/* What follows, in this order: one summand a channel, a summand like the output, Relu. Not when transposed. */
	bool bias;
	bool residual;
	bool relu;
};

/* NULL: UNIMPLEMENTED when cuDNN has no engine for it, or there is no cuDNN. May take long. */
struct plan *
plan_new(const struct plan_conv *conv);
void
plan_delete(struct plan *plan);

/* Put it on the stream. bias and residual as the plan has them. The first time after the GPU was reset may take long. */
int
plan_run(struct plan *plan, struct cuda_compute *compute, const void *in, const void *weights,
	 const void *bias, const void *residual, void *out);
