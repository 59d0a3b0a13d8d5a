/*
 * How an update is written into a cache of keys or values, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct cache {
	/* Rows of a cache, `length` of them for each prefix: the dimensions before the axis, of which the first is the batch. */
	int64_t batches;
	int64_t prefixes;
	int64_t length;
	/* How many of them an update has. */
	int64_t count;
	size_t row_bytes;
	enum data_type index_type;
	bool has_indices;
	bool circular;
};

/* The kernels of the host, for three inputs and for two; those of other devices have the same state. */
kernel_run_f op_cache_run;
kernel_run_f op_cache_from_start;
