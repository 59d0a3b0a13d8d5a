/*
 * Graphs for cuDNN on their way to a plan: the descriptors made so far, and the first status that was no success, after which
 * nothing is done any more. While the planner is taken.
 */
#pragma once

#include "exec/cuda/plan.h"

enum {
	/* Of one graph and the search for its plan. */
	PLAN_DESCRIPTORS = 32,
	/* What tensors are aligned to, bytes. */
	PLAN_ALIGNMENT = 16,
};

/* Tensors of a graph by the number that the run names them by; from VIRTUAL on they exist within it only. */
enum plan_tensor {
	PLAN_TENSOR_IN = 1,
	PLAN_TENSOR_WEIGHTS,
	PLAN_TENSOR_OUT,
	PLAN_TENSOR_BIAS,
	PLAN_TENSOR_RESIDUAL,
	PLAN_TENSOR_VIRTUAL = 100,
};

/* Begins as zeros but for conv; ends in plan_build_destroy. */
struct plan_build {
	const struct plan_conv *conv;
	cudnnStatus_t status;
	cudnnBackendDescriptor_t made[PLAN_DESCRIPTORS];
	int count;
	cudnnBackendDescriptor_t operations[4];
	int operation_count;
	/* Numbers given to tensors within the graph. */
	int64_t virtuals;
};

/* As cuDNN's functions of these names; NULL, or nothing done, once something failed. */
cudnnBackendDescriptor_t
plan_build_create(struct plan_build *build, cudnnBackendDescriptorType_t type);
void
plan_build_set(struct plan_build *build, cudnnBackendDescriptor_t descriptor,
	       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
	       const void *values);
void
plan_build_finalize(struct plan_build *build, cudnnBackendDescriptor_t descriptor);

/* The convolution and what follows it as an operation graph for that handle. */
cudnnBackendDescriptor_t
plan_build_graph(struct plan_build *build, cudnnHandle_t handle);

/* Destroy all that was made. */
void
plan_build_destroy(struct plan_build *build);
