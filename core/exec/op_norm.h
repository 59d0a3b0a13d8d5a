/*
 * What normalisations do, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct norm {
	/* Batch, channels, elements of a channel; LayerNormalization: rows, 1, elements of a row. */
	int64_t batch;
	int64_t channels;
	int64_t size;
	int64_t groups;
	float epsilon;
	/* BatchNormalization in training: how much of the running statistics stays. */
	float momentum;
	/* RMSNormalization: no mean is taken off. */
	bool keeps_mean;
	/* GroupNormalization before opset 21: scale and bias are a group's. */
	bool scale_of_group;
	/* LayerNormalization: input 2 is there; and outputs 0 … outputs-1, NULL where unwanted. */
	bool has_bias;
	uint32_t outputs;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_norm_batch;
kernel_run_f op_norm_train;
kernel_run_f op_norm_group;
kernel_run_f op_norm_layer;
