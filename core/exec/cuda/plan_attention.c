/*
 * Attention as a problem for cuDNN: the graph that its fused engines (FlashAttention-2; Dao, 2023) know, product, scale, mask,
 * softmax as its parts, product. cuDNN says which shapes and types it has engines for; of 16-bit floats only, as of cuDNN 9. The
 * graph is that of a training's forward pass: cuDNN 9.19 has no engine for one with a scale by value that does not give the rows'
 * statistics, too.
 */
#include <stdio.h>
#include <string.h>

#include "exec/cuda/plan_problem.h"
#include "exec/cuda/planner.h"

enum { RANK = ATTENTION_RANK };

/* Dims of the tensors: batch[0], batch[1], then these two. */
static void
set_dims(const struct attention *attention, int64_t rows, int64_t columns, int64_t *dims)
{
	dims[0] = attention->batch[0];
	dims[1] = attention->batch[1];
	dims[2] = rows;
	dims[3] = columns;
}

/* A dimension of 1 may have steps of 0 with us; cuDNN wants none. */
static void
set_strides(const struct attention_steps *steps, int64_t *strides)
{
	for (uint32_t i = 0; i < RANK; i++)
		strides[i] = steps->steps[i] != 0 ? steps->steps[i] : 1;
}

/* Elements from the first to behind the last. */
static int64_t
extent(const int64_t *dims, const int64_t *strides)
{
	int64_t last = 1;
	for (uint32_t i = 0; i < RANK; i++)
		last += (dims[i] - 1) * strides[i];
	return last;
}

/* The mask's dims: 1 where it repeats. */
static void
set_mask_dims(const struct attention *attention, int64_t *dims)
{
	set_dims(attention, attention->rows, attention->columns, dims);
	for (uint32_t i = 0; i < RANK; i++)
		if (attention->mask.steps[i] == 0)
			dims[i] = 1;
}

/* A packed tensor of the scores' rows and so many columns. */
static void
set_packed(const struct attention *attention, int64_t columns, int64_t *dims, int64_t *strides)
{
	int64_t step = 1;
	set_dims(attention, attention->rows, columns, dims);
	for (int i = RANK - 1; i >= 0; i--) {
		strides[i] = step;
		step *= dims[i];
	}
}

/* Of an operand. */
static void
shape_of(const struct attention *attention, enum plan_tensor tensor, int64_t *dims,
	 int64_t *strides)
{
	switch (tensor) {
	case PLAN_TENSOR_Q:
		set_dims(attention, attention->rows, attention->inner, dims);
		set_strides(&attention->q, strides);
		break;
	case PLAN_TENSOR_K:
		set_dims(attention, attention->columns, attention->inner, dims);
		set_strides(&attention->k, strides);
		break;
	case PLAN_TENSOR_V:
		set_dims(attention, attention->columns, attention->width, dims);
		set_strides(&attention->v, strides);
		break;
	case PLAN_TENSOR_MASK:
		set_mask_dims(attention, dims);
		set_strides(&attention->mask, strides);
		break;
	case PLAN_TENSOR_STATS:
		set_packed(attention, 1, dims, strides);
		break;
	default:
		set_dims(attention, attention->rows, attention->width, dims);
		set_strides(&attention->out, strides);
		break;
	}
}

static uint32_t
list(const struct plan_problem *problem, enum plan_tensor *tensors, size_t *bytes)
{
	const struct attention *attention = &problem->attention;
	uint32_t count = 0;
	tensors[count++] = PLAN_TENSOR_Q;
	tensors[count++] = PLAN_TENSOR_K;
	tensors[count++] = PLAN_TENSOR_V;
	tensors[count++] = PLAN_TENSOR_OUT;
	tensors[count++] = PLAN_TENSOR_STATS;
	if (attention->masked)
		tensors[count++] = PLAN_TENSOR_MASK;
	for (uint32_t i = 0; i < count; i++) {
		int64_t dims[RANK], strides[RANK];
		shape_of(attention, tensors[i], dims, strides);
		bytes[i] =
			(size_t)extent(dims, strides) *
			(tensors[i] == PLAN_TENSOR_STATS ? sizeof(float)
							 : data_type_bytes(attention->data_type));
	}
	tensors[count] = PLAN_TENSOR_SCALE;
	bytes[count++] = 0;
	return count;
}

static int
name_tensor(const struct attention *attention, enum plan_tensor tensor, const char *name,
	    char *text, size_t room)
{
	int64_t dims[RANK], strides[RANK];
	shape_of(attention, tensor, dims, strides);
	return snprintf(text, room, " %s%lldx%lldx%lldx%lld/%lld,%lld,%lld,%lld", name,
			(long long)dims[0], (long long)dims[1], (long long)dims[2],
			(long long)dims[3], (long long)strides[0], (long long)strides[1],
			(long long)strides[2], (long long)strides[3]);
}

static void
describe(const struct plan_problem *problem, char *key)
{
	const struct attention *attention = &problem->attention;
	static const struct {
		enum plan_tensor tensor;
		const char *name;
	} named[] = { { PLAN_TENSOR_Q, "q" },
		      { PLAN_TENSOR_K, "k" },
		      { PLAN_TENSOR_V, "v" },
		      { PLAN_TENSOR_OUT, "o" },
		      { PLAN_TENSOR_MASK, "m" } };
	int count = attention->masked ? 5 : 4;
	int at = snprintf(key, PLANNER_KEY_BYTES, "attention %s%s",
			  data_type_name(attention->data_type), planner_times() ? " timed" : "");
	for (int i = 0; i < count && at < PLANNER_KEY_BYTES; i++)
		at += name_tensor(attention, named[i].tensor, named[i].name, key + at,
				  (size_t)(PLANNER_KEY_BYTES - at));
}

/* --- the graph ------------------------------------------------------------------------------------------------------------ */

static cudnnBackendDescriptor_t
add_operand(struct plan_build *build, const struct attention *attention, enum plan_tensor tensor)
{
	int64_t dims[RANK], strides[RANK];
	shape_of(attention, tensor, dims, strides);
	return plan_build_tensor(build, tensor, plan_build_type(attention->data_type), RANK, dims,
				 strides, false);
}

/* K with rows and columns the other way round. */
static cudnnBackendDescriptor_t
add_turned_k(struct plan_build *build, const struct attention *attention)
{
	int64_t dims[RANK], strides[RANK];
	shape_of(attention, PLAN_TENSOR_K, dims, strides);
	const int64_t turned_dims[] = { dims[0], dims[1], dims[3], dims[2] };
	const int64_t turned_strides[] = { strides[0], strides[1], strides[3], strides[2] };
	return plan_build_tensor(build, PLAN_TENSOR_K, plan_build_type(attention->data_type), RANK,
				 turned_dims, turned_strides, false);
}

/* A tensor within the graph, of the scores' rows and so many columns. */
static cudnnBackendDescriptor_t
add_virtual(struct plan_build *build, const struct attention *attention, int64_t columns,
	    cudnnDataType_t type)
{
	int64_t dims[RANK], strides[RANK];
	set_packed(attention, columns, dims, strides);
	return plan_build_tensor(build, plan_build_virtual(build), type, RANK, dims, strides,
				 false);
}

static void
add_product(struct plan_build *build, cudnnBackendDescriptor_t a, cudnnBackendDescriptor_t b,
	    cudnnBackendDescriptor_t c)
{
	cudnnDataType_t type = CUDNN_DATA_FLOAT;
	cudnnBackendDescriptor_t desc = plan_build_create(build, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
	plan_build_set(build, desc, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	plan_build_finalize(build, desc);
	cudnnBackendDescriptor_t operation =
		plan_build_create(build, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_MATMUL_DESC, desc);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
	plan_build_operation(build, operation);
}

/* One number of each row of x; returns them. */
static cudnnBackendDescriptor_t
add_reduction(struct plan_build *build, const struct attention *attention,
	      cudnnReduceTensorOp_t function, cudnnBackendDescriptor_t x)
{
	cudnnDataType_t type = CUDNN_DATA_FLOAT;
	cudnnBackendDescriptor_t y = add_virtual(build, attention, 1, type);
	cudnnBackendDescriptor_t desc =
		plan_build_create(build, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
	plan_build_set(build, desc, CUDNN_ATTR_REDUCTION_OPERATOR,
		       CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &function);
	plan_build_set(build, desc, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	plan_build_finalize(build, desc);
	cudnnBackendDescriptor_t operation =
		plan_build_create(build, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_REDUCTION_DESC, desc);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
	plan_build_link(build, operation, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
	plan_build_operation(build, operation);
	return y;
}

/* An element-wise step on scores; returns its output. */
static cudnnBackendDescriptor_t
add_step(struct plan_build *build, const struct attention *attention, cudnnPointwiseMode_t mode,
	 cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other, cudnnDataType_t type)
{
	cudnnBackendDescriptor_t out = add_virtual(build, attention, attention->columns, type);
	plan_build_pointwise(build, mode, CUDNN_DATA_FLOAT, x, other, out);
	return out;
}

/* The numbers that a gradient would need: the largest score plus the logarithm of the sum. */
static void
add_stats(struct plan_build *build, const struct attention *attention,
	  cudnnBackendDescriptor_t most, cudnnBackendDescriptor_t sum)
{
	int64_t dims[RANK], strides[RANK];
	cudnnDataType_t type = CUDNN_DATA_FLOAT;
	shape_of(attention, PLAN_TENSOR_STATS, dims, strides);
	cudnnBackendDescriptor_t logarithm = add_virtual(build, attention, 1, type);
	cudnnBackendDescriptor_t stats =
		plan_build_tensor(build, PLAN_TENSOR_STATS, type, RANK, dims, strides, false);
	plan_build_pointwise(build, CUDNN_POINTWISE_LOG, type, sum, NULL, logarithm);
	plan_build_pointwise(build, CUDNN_POINTWISE_ADD, type, most, logarithm, stats);
}

/* Each row's softmax, in the tensors' type: the second product reads no other. */
static cudnnBackendDescriptor_t
add_softmax(struct plan_build *build, const struct attention *attention, cudnnBackendDescriptor_t x)
{
	cudnnDataType_t type = CUDNN_DATA_FLOAT;
	cudnnBackendDescriptor_t most = add_reduction(build, attention, CUDNN_REDUCE_TENSOR_MAX, x);
	x = add_step(build, attention, CUDNN_POINTWISE_SUB, x, most, type);
	x = add_step(build, attention, CUDNN_POINTWISE_EXP, x, NULL, type);
	cudnnBackendDescriptor_t sum = add_reduction(build, attention, CUDNN_REDUCE_TENSOR_ADD, x);
	add_stats(build, attention, most, sum);
	return add_step(build, attention, CUDNN_POINTWISE_DIV, x, sum,
			plan_build_type(attention->data_type));
}

static void
add(const struct plan_problem *problem, struct plan_build *build)
{
	const struct attention *attention = &problem->attention;
	static const int64_t ones[RANK] = { 1, 1, 1, 1 };
	cudnnDataType_t type = CUDNN_DATA_FLOAT;
	cudnnBackendDescriptor_t q = add_operand(build, attention, PLAN_TENSOR_Q);
	cudnnBackendDescriptor_t k = add_turned_k(build, attention);
	cudnnBackendDescriptor_t scores = add_virtual(build, attention, attention->columns, type);
	cudnnBackendDescriptor_t scale =
		plan_build_tensor(build, PLAN_TENSOR_SCALE, type, RANK, ones, ones, true);
	add_product(build, q, k, scores);
	scores = add_step(build, attention, CUDNN_POINTWISE_MUL, scores, scale, type);
	if (attention->masked)
		scores = add_step(build, attention, CUDNN_POINTWISE_ADD, scores,
				  add_operand(build, attention, PLAN_TENSOR_MASK), type);
	scores = add_softmax(build, attention, scores);
	add_product(build, scores, add_operand(build, attention, PLAN_TENSOR_V),
		    add_operand(build, attention, PLAN_TENSOR_OUT));
}

const struct plan_kind plan_kind_attention = { "attention", describe, add, list };
