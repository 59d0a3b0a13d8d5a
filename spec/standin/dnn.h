/*
 * cuDNN's graphs as the stand-in keeps them: descriptors are checked when they are finalized and become these, copies of each
 * other, so that none needs another to live on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cudnn.h"
#include "gpu.h"

enum {
	DNN_MAX_RANK = 8,
	DNN_MAX_OPERATIONS = 12,
	DNN_MAX_TENSORS = 16,
	/* What engines use. */
	DNN_WORKSPACE_BYTES = 64 << 10,
};

struct cudnnContext {
	struct handle handle;
	/* NULL until it is set. */
	cudaStream_t stream;
};

struct dnn_tensor {
	cudnnDataType_t type;
	int64_t rank;
	int64_t dims[DNN_MAX_RANK];
	int64_t strides[DNN_MAX_RANK];
	int64_t id;
	int64_t alignment;
	bool is_virtual;
	/* A float of the host's, which is read when the plan is executed. */
	bool is_by_value;
};

struct dnn_conv {
	cudnnDataType_t compute;
	cudnnConvolutionMode_t mode;
	int64_t spatial;
	int64_t begin[DNN_MAX_RANK];
	int64_t end[DNN_MAX_RANK];
	int64_t stride[DNN_MAX_RANK];
	int64_t dilation[DNN_MAX_RANK];
};

enum dnn_kind {
	DNN_CONV,
	/* The gradient by the input: x is dy, y is dx. */
	DNN_CONV_BACKWARD,
	DNN_POINTWISE,
	/* y = x w, batches of matrices. */
	DNN_MATMUL,
	/* y is 1 where x is reduced. */
	DNN_REDUCTION,
};

struct dnn_operation {
	enum dnn_kind kind;
	/* w: weights, or the second operand (rank 0: none). */
	struct dnn_tensor x;
	struct dnn_tensor w;
	struct dnn_tensor y;
	struct dnn_conv conv;
	cudnnPointwiseMode_t mode;
	cudnnReduceTensorOp_t reduction;
};

struct dnn_graph {
	struct dnn_operation operations[DNN_MAX_OPERATIONS];
	int64_t count;
};

/* A graph, and how it is computed. */
struct dnn_plan {
	struct dnn_graph graph;
	/* Inputs as TF32. */
	bool is_rounded;
};

/* Addresses for a run. */
struct dnn_pack {
	int64_t count;
	int64_t ids[DNN_MAX_TENSORS];
	void *addresses[DNN_MAX_TENSORS];
	/* Of those that are given by value. */
	float values[DNN_MAX_TENSORS];
	void *workspace;
};

/* Does the graph make sense, and is it one that engines are for? */
cudnnStatus_t
dnn_graph_check(const struct dnn_graph *graph);
bool
dnn_graph_is_supported(const struct dnn_graph *graph);

/* Has such a graph of FP32 an engine that does not round its inputs? */
bool
dnn_graph_is_exact(const struct dnn_graph *graph);

/* Is every tensor of the plan that is not virtual given, aligned, and device memory of the stream's device? */
cudnnStatus_t
dnn_pack_check(const struct dnn_plan *plan, const struct dnn_pack *pack, cudaStream_t stream);

/* Take the numbers that the plan wants by value from the host's memory. */
void
dnn_pack_take_values(const struct dnn_plan *plan, struct dnn_pack *pack);

/* A run, on the stream's thread. */
struct dnn_run {
	struct dnn_plan plan;
	struct dnn_pack pack;
};
void
dnn_run(const void *run);

int64_t
dnn_tensor_elements(const struct dnn_tensor *tensor);
