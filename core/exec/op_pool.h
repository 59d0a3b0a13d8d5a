/*
 * What poolings do, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/window.h"

enum pool_kind {
	POOL_MAX,
	POOL_AVERAGE,
	POOL_LP,
};

/* What a window sees along one dimension: first position, positions, and those with the padding. */
struct span {
	int64_t first;
	int64_t count;
	int64_t padded;
};

/* Three spatial dimensions always, the outer ones 1 where there are fewer. */
struct pool {
	enum pool_kind kind;
	enum data_type data_type;
	int64_t in[WINDOW_MAX_RANK];
	struct window window;
	/* A span for each output position of a dimension. */
	struct span *spans[WINDOW_MAX_RANK];
	/* Channels times batch; in blocks of `block` when blocked. */
	int64_t planes;
	int64_t in_size;
	int64_t out_size;
	bool blocked;
	int64_t block;
	bool counts_padding;
	bool has_indices;
	/* Indices count column by column. */
	bool by_columns;
	int64_t p;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_pool_run;
