/*
 * What losses do, for every backend.
 */
#pragma once

#include "exec/operator.h"

enum reduction {
	REDUCTION_NONE,
	REDUCTION_SUM,
	REDUCTION_MEAN,
	REDUCTIONS,
};

struct loss {
	enum reduction reduction;
	enum data_type target_type;
	/* Scores are [batch, classes, size], targets [batch, size]. */
	int64_t batch;
	int64_t classes;
	int64_t size;
	bool has_weights;
	bool has_ignored;
	int64_t ignored;
	/* SoftmaxCrossEntropyLoss; and its second output is wanted. */
	bool takes_softmax;
	bool wants_log_probabilities;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_loss_run;
