/*
 * What Einsum and Det do, for every backend.
 */
#pragma once

#include "exec/operator.h"

enum {
	OP_EINSUM_OPERANDS = 8,
	OP_EINSUM_LABELS = 2 * TENSOR_MAX_RANK,
	/* Labels of the dimensions that an ellipsis stands for; above those of letters. */
	OP_EINSUM_ELLIPSIS = 128,
};

/* Labels of one term's dimensions, the ellipsis spelled out. */
struct einsum_term {
	uint32_t rank;
	unsigned char labels[TENSOR_MAX_RANK];
};

struct einsum_equation {
	uint32_t operands;
	struct einsum_term in[OP_EINSUM_OPERANDS];
	struct einsum_term out;
	/* Dimensions that the ellipsis stands for in the widest operand. */
	uint32_t ellipsis;
	/* Length of each label; -1 when no operand has it. */
	int64_t dims[OP_EINSUM_ELLIPSIS + TENSOR_MAX_RANK];
};

/*
 * Nested loops: outer ones over the output's labels, inner ones over those that are summed. The steps of each operand for
 * each loop; the last summed loop is a row.
 */
struct einsum {
	enum data_type data_type;
	uint32_t operands;
	uint32_t out_rank;
	uint32_t sum_rank;
	int64_t dims[OP_EINSUM_LABELS];
	int64_t steps[OP_EINSUM_OPERANDS][OP_EINSUM_LABELS];
	int64_t sum_rows;
	unsigned threads;
};

struct det {
	enum data_type data_type;
	int64_t matrices;
	int64_t n;
};

/* Read the node's equation for its inputs' types. -1 with the error set. */
int
op_einsum_read(const struct operator_call *call, struct einsum_equation *equation);

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_einsum_run;
kernel_run_f op_einsum_det;
