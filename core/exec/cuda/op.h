/*
 * Operators on the GPU: the table beside exec/operator.h's. A family's file op_NAME.c has an entry for each operator that it
 * has kernels for; prepare is as in the operator table and gives UNIMPLEMENTED for types and forms that it has none for,
 * which then run widened to FP32 or, in the end, staged on the host (staged.h).
 */
#pragma once

#include "device/cuda_compute.h"
#include "exec/cuda/kernels.h"
#include "exec/operator.h"

struct cuda_op {
	/* As struct op's; since: entries of the operator table before that are not meant. */
	const char *domain;
	const char *type;
	int since;
	int (*prepare)(struct operator_call *call);
};

struct cuda_family {
	const struct cuda_op *operators;
	size_t count;
};

/* clang-format off */
#define CUDA_FAMILIES(X) \
	X(attention) \
	X(conv) \
	X(deconv) \
	X(element) \
	X(elements) \
	X(integer) \
	X(layout) \
	X(matmul) \
	X(pad) \
	X(pool) \
	X(recurrent) \
	X(scan) \
	X(scatter) \
	X(signal)
/* clang-format on */

#define X(name) extern const struct cuda_family cuda_family_##name;
CUDA_FAMILIES(X)
#undef X

/* The entry for call's operator, NULL when it has none. */
const struct cuda_op *
cuda_op_find(const struct op *op);

/* What the run puts its work on. */
struct cuda_compute *
cuda_op_compute(const struct operands *operands);

/* 0, or -1 with the error set, for what a launcher returned. */
int
cuda_op_launched(const struct operands *operands, cudaError_t status, const char *kernel);

/* UNIMPLEMENTED for that element type. */
int
cuda_op_unsupported(const struct operator_call *call, enum data_type data_type);

/* FP32, FP16, BF16 or FP64? */
bool
cuda_op_is_real(enum data_type data_type);
