/*
 * Rows: the innermost loops of element-wise operators, one a function and element type, written so that the compiler
 * vectorises them for each instruction set.
 */
#pragma once

#include <stdint.h>

#include "exec/tensor.h"

/* out[i] = f(a[i * step_a], b[i * step_b]) for n elements; steps are 0 or 1. out may be a or b. */
typedef void
row_binary_f(void *out, const void *a, const void *b, int64_t n, int64_t step_a, int64_t step_b);

/* out[i] = f(in[i]); alpha and beta are the function's own parameters. out may be in. */
typedef void
row_unary_f(void *out, const void *in, int64_t n, float alpha, float beta);

enum row_binary {
	ROW_ADD,
	ROW_SUB,
	ROW_MUL,
	ROW_DIV,
	ROW_MAX,
	ROW_MIN,
	ROW_POW,
	/* Sign of the divisor. */
	ROW_MOD,
	/* Sign of the dividend. */
	ROW_FMOD,
	/* a < 0 ? a * b : a */
	ROW_PRELU,
	/* These give BOOL. */
	ROW_EQUAL,
	ROW_LESS,
	ROW_LESS_OR_EQUAL,
	ROW_GREATER,
	ROW_GREATER_OR_EQUAL,
	/* Integers and BOOL. */
	ROW_AND,
	ROW_OR,
	ROW_XOR,
	ROW_BINARY_COUNT,
};

enum row_unary {
	ROW_RELU,
	/* min(max(x, alpha), beta) */
	ROW_CLIP,
	ROW_LEAKY_RELU,
	ROW_ELU,
	/* alpha and beta: scale and inner alpha. */
	ROW_SELU,
	ROW_CELU,
	ROW_SIGMOID,
	ROW_TANH,
	/* x * sigmoid(alpha x) */
	ROW_SWISH,
	ROW_HARD_SWISH,
	ROW_HARD_SIGMOID,
	ROW_GELU_ERF,
	ROW_GELU_TANH,
	/* alpha x + beta */
	ROW_LINEAR,
	ROW_SOFTPLUS,
	ROW_SOFTSIGN,
	/* x > alpha ? x : 0 */
	ROW_THRESHOLD,
	ROW_MISH,
	ROW_EXP,
	/* exp(x - alpha) of what is not above alpha; 0 where that is no normal number. */
	ROW_SOFT_EXP,
	ROW_LOG,
	ROW_SQRT,
	ROW_RECIPROCAL,
	ROW_NEG,
	ROW_ABS,
	ROW_SIGN,
	ROW_FLOOR,
	ROW_CEIL,
	/* Halves to even. */
	ROW_ROUND,
	ROW_ERF,
	ROW_SIN,
	ROW_COS,
	ROW_TAN,
	ROW_ASIN,
	ROW_ACOS,
	ROW_ATAN,
	ROW_SINH,
	ROW_COSH,
	ROW_ASINH,
	ROW_ACOSH,
	ROW_ATANH,
	ROW_NOT,
	ROW_BITWISE_NOT,
	ROW_UNARY_COUNT,
};

/* The function for that element type, NULL when there is none. */
row_binary_f *
row_binary(enum row_binary function, enum data_type data_type);
row_unary_f *
row_unary(enum row_unary function, enum data_type data_type);
