#include "exec/cuda/plan_build.h"

cudnnBackendDescriptor_t
plan_build_create(struct plan_build *build, cudnnBackendDescriptorType_t type)
{
	cudnnBackendDescriptor_t descriptor = NULL;
	if (build->status == CUDNN_STATUS_SUCCESS && build->count == PLAN_DESCRIPTORS)
		build->status = CUDNN_STATUS_ALLOC_FAILED;
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->status = cudnnBackendCreateDescriptor(type, &descriptor);
	if (build->status != CUDNN_STATUS_SUCCESS)
		return NULL;
	build->made[build->count++] = descriptor;
	return descriptor;
}

void
plan_build_set(struct plan_build *build, cudnnBackendDescriptor_t descriptor,
	       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
	       const void *values)
{
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->status = cudnnBackendSetAttribute(descriptor, name, type, count, values);
}

void
plan_build_link(struct plan_build *build, cudnnBackendDescriptor_t descriptor,
		cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t other)
{
	plan_build_set(build, descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
}

void
plan_build_finalize(struct plan_build *build, cudnnBackendDescriptor_t descriptor)
{
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->status = cudnnBackendFinalize(descriptor);
}

void
plan_build_destroy(struct plan_build *build)
{
	while (build->count != 0)
		cudnnBackendDestroyDescriptor(build->made[--build->count]);
}

cudnnDataType_t
plan_build_type(enum data_type data_type)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT16:
		return CUDNN_DATA_HALF;
	case DATA_TYPE_BFLOAT16:
		return CUDNN_DATA_BFLOAT16;
	case DATA_TYPE_DOUBLE:
		return CUDNN_DATA_DOUBLE;
	default:
		return CUDNN_DATA_FLOAT;
	}
}

int64_t
plan_build_virtual(struct plan_build *build)
{
	return PLAN_TENSOR_VIRTUAL + build->virtuals++;
}

cudnnBackendDescriptor_t
plan_build_tensor(struct plan_build *build, int64_t id, cudnnDataType_t type, int64_t rank,
		  const int64_t *dims, const int64_t *strides, bool by_value)
{
	int64_t alignment = by_value ? (int64_t)sizeof(float) : PLAN_ALIGNMENT;
	bool is_virtual = id >= PLAN_TENSOR_VIRTUAL;
	cudnnBackendDescriptor_t tensor = plan_build_create(build, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, strides);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1,
		       &alignment);
	plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1,
		       &is_virtual);
	if (by_value)
		plan_build_set(build, tensor, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1,
			       &by_value);
	plan_build_finalize(build, tensor);
	return tensor;
}

void
plan_build_operation(struct plan_build *build, cudnnBackendDescriptor_t operation)
{
	plan_build_finalize(build, operation);
	if (build->status == CUDNN_STATUS_SUCCESS && build->operation_count == PLAN_OPERATIONS)
		build->status = CUDNN_STATUS_ALLOC_FAILED;
	if (build->status == CUDNN_STATUS_SUCCESS)
		build->operations[build->operation_count++] = operation;
}

void
plan_build_pointwise(struct plan_build *build, cudnnPointwiseMode_t mode, cudnnDataType_t precision,
		     cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other,
		     cudnnBackendDescriptor_t out)
{
	cudnnBackendDescriptor_t desc =
		plan_build_create(build, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
	plan_build_set(build, desc, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	plan_build_set(build, desc, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1,
		       &precision);
	plan_build_finalize(build, desc);
	cudnnBackendDescriptor_t operation =
		plan_build_create(build, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, desc);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
	if (other != NULL)
		plan_build_link(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, out);
	plan_build_operation(build, operation);
}

cudnnBackendDescriptor_t
plan_build_graph(struct plan_build *build, cudnnHandle_t handle)
{
	cudnnBackendDescriptor_t graph =
		plan_build_create(build, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	plan_build_set(build, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
		       &handle);
	plan_build_set(build, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
		       build->operation_count, build->operations);
	plan_build_finalize(build, graph);
	return graph;
}
