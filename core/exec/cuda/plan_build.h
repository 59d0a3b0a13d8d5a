/*
 * Graphs for cuDNN on their way to a plan: the descriptors made so far, and the first status that was no success, after which
 * nothing is done any more. While the planner is taken.
 */
#pragma once

#include "exec/cuda/plan.h"

enum {
	/* Of one graph and the search for its plan. */
	PLAN_DESCRIPTORS = 48,
	PLAN_OPERATIONS = 12,
	/* What tensors are aligned to, bytes. */
	PLAN_ALIGNMENT = 16,
};

/* Begins as zeros; ends in plan_build_destroy. */
struct plan_build {
	cudnnStatus_t status;
	cudnnBackendDescriptor_t made[PLAN_DESCRIPTORS];
	int count;
	cudnnBackendDescriptor_t operations[PLAN_OPERATIONS];
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
/* Set an attribute that is another descriptor. */
void
plan_build_link(struct plan_build *build, cudnnBackendDescriptor_t descriptor,
		cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t other);
void
plan_build_finalize(struct plan_build *build, cudnnBackendDescriptor_t descriptor);

/* A tensor of the graph; from PLAN_TENSOR_VIRTUAL on a virtual one. by_value: it is one number that the run brings along. */
cudnnBackendDescriptor_t
plan_build_tensor(struct plan_build *build, int64_t id, cudnnDataType_t type, int64_t rank,
		  const int64_t *dims, const int64_t *strides, bool by_value);

/* The number of a new virtual tensor. */
int64_t
plan_build_virtual(struct plan_build *build);

cudnnDataType_t
plan_build_type(enum data_type data_type);

/* An element-wise step of that precision from x, with another operand for those of two (else NULL), to out. */
void
plan_build_pointwise(struct plan_build *build, cudnnPointwiseMode_t mode, cudnnDataType_t precision,
		     cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other,
		     cudnnBackendDescriptor_t out);

/* Finalize an operation and add it to the graph. */
void
plan_build_operation(struct plan_build *build, cudnnBackendDescriptor_t operation);

/* All operations so far, as one graph for that handle. */
cudnnBackendDescriptor_t
plan_build_graph(struct plan_build *build, cudnnHandle_t handle);

/* Destroy all that was made. */
void
plan_build_destroy(struct plan_build *build);
