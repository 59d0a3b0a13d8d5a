/* Functions of one real number that networks spend time in: none needs a stack. */
#pragma once

#include "exec/cuda/number.cuh"

template <typename R>
static __device__ __forceinline__ R
sigmoid(R x)
{
	return R(1) / (R(1) + exp(-x));
}

template <typename R>
static __device__ __forceinline__ R
softplus(R x)
{
	return (x > 0 ? x : R(0)) + log1p(exp(-fabs(x)));
}

template <typename R>
static __device__ __forceinline__ R
between(R x, R low, R high)
{
	return x < low ? low : x > high ? high : x;
}

template <typename R>
static __device__ __forceinline__ R
common(enum row_unary function, R x, R alpha, R beta)
{
	switch (function) {
	case ROW_RELU:
		return x < 0 ? R(0) : x;
	case ROW_CLIP:
		return between(x, alpha, beta);
	case ROW_LEAKY_RELU:
		return x < 0 ? alpha * x : x;
	case ROW_SIGMOID:
		return sigmoid(x);
	case ROW_TANH:
		return tanh(x);
	case ROW_SWISH:
		return x * sigmoid(alpha * x);
	case ROW_HARD_SWISH:
		return x * between(x / 6 + R(0.5), R(0), R(1));
	case ROW_HARD_SIGMOID:
		return between(alpha * x + beta, R(0), R(1));
	case ROW_GELU_ERF:
		return R(0.5) * x * (1 + erf(x * R(0.70710678118654752)));
	case ROW_GELU_TANH:
		return R(0.5) * x *
		       (1 + tanh(R(0.79788456080286536) * (x + R(0.044715) * x * x * x)));
	case ROW_LINEAR:
		return alpha * x + beta;
	case ROW_EXP:
		return exp(x);
	case ROW_SQRT:
		return sqrt(x);
	case ROW_RECIPROCAL:
		return 1 / x;
	case ROW_NEG:
		return -x;
	case ROW_ABS:
		return fabs(x);
	case ROW_ERF:
		return erf(x);
	default:
		return x;
	}
}

/* Is it one of them? */
static inline bool
is_common(enum row_unary function)
{
	switch (function) {
	case ROW_RELU:
	case ROW_CLIP:
	case ROW_LEAKY_RELU:
	case ROW_SIGMOID:
	case ROW_TANH:
	case ROW_SWISH:
	case ROW_HARD_SWISH:
	case ROW_HARD_SIGMOID:
	case ROW_GELU_ERF:
	case ROW_GELU_TANH:
	case ROW_LINEAR:
	case ROW_EXP:
	case ROW_SQRT:
	case ROW_RECIPROCAL:
	case ROW_NEG:
	case ROW_ABS:
	case ROW_ERF:
		return true;
	default:
		return false;
	}
}
