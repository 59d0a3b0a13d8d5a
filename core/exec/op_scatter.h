/*
 * What operators do that read or write at places which another tensor names, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/rows.h"

/* A walk over the elements of indices, with their places in data. */
struct elements {
	enum data_type index_type;
	enum data_type data_type;
	size_t element_bytes;
	uint32_t axis;
	uint32_t rank;
	/* Of indices. */
	int64_t dims[TENSOR_MAX_RANK];
	/* Of data. */
	int64_t steps[TENSOR_MAX_RANK];
	int64_t dim;
	int64_t data_elements;
	/* How an update and what is there become one; NULL: the update replaces it. */
	row_binary_f *reduce;
	enum row_binary reduction;
};

/* Slices of data, each named by a tuple of indices. */
struct slices {
	enum data_type index_type;
	enum data_type data_type;
	size_t element_bytes;
	/* Tuples in all and for each batch, of `width` indices. */
	int64_t tuples;
	int64_t tuples_per_batch;
	int64_t width;
	/* Elements of a batch of data and of a slice. */
	int64_t batch_elements;
	int64_t slice_elements;
	int64_t data_elements;
	/* Dims and steps of data that the tuple's indices go along. */
	int64_t dims[TENSOR_MAX_RANK];
	int64_t steps[TENSOR_MAX_RANK];
	row_binary_f *reduce;
	enum row_binary reduction;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_scatter_gather_elements;
kernel_run_f op_scatter_elements;
kernel_run_f op_scatter_gather_nd;
kernel_run_f op_scatter_nd;
