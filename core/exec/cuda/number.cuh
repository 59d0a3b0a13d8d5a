/*
 * Numbers of every element type in kernels: what they are computed as, and functions of two of them.
 */
#pragma once

#include "exec/cuda/kernel.cuh"

/* For each integer type; X(number, C type, unsigned type that arithmetic wraps in) */
#define INTEGERS(X)                                                                                \
	X(INT8, int8_t, uint32_t)                                                                  \
	X(INT16, int16_t, uint32_t)                                                                \
	X(INT32, int32_t, uint32_t)                                                                \
	X(INT64, int64_t, uint64_t)                                                                \
	X(UINT8, uint8_t, uint32_t)                                                                \
	X(UINT16, uint16_t, uint32_t)                                                              \
	X(UINT32, uint32_t, uint32_t)                                                              \
	X(UINT64, uint64_t, uint64_t)

/* What an integer's arithmetic wraps in. */
template <typename T> struct wrap_of {
	typedef uint32_t type;
};
template <> struct wrap_of<int64_t> {
	typedef uint64_t type;
};
template <> struct wrap_of<uint64_t> {
	typedef uint64_t type;
};

/* What integers are told from reals by. */
struct whole;

/* Functions of two reals; what compares gives 0 or 1. */
template <typename R>
static __device__ __forceinline__ R
of_two(enum row_binary function, R x, R y, const R *)
{
	switch (function) {
	case ROW_ADD:
		return x + y;
	case ROW_SUB:
		return x - y;
	case ROW_MUL:
		return x * y;
	case ROW_DIV:
		return x / y;
	case ROW_MAX:
		return x > y || x != x ? x : y;
	case ROW_MIN:
		return x < y || x != x ? x : y;
	case ROW_POW:
		return pow(x, y);
	case ROW_MOD: {
		R rest = fmod(x, y);
		return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
	}
	case ROW_FMOD:
		return fmod(x, y);
	case ROW_PRELU:
		return x < 0 ? x * y : x;
	default:
		return x;
	}
}

template <typename T>
static __device__ __forceinline__ T
divide(T x, T y)
{
	typedef typename wrap_of<T>::type W;
	if (y == 0)
		return 0;
	return T(-1) < T(0) && y == T(-1) ? T(W(0) - W(x)) : T(x / y);
}

template <typename T>
static __device__ __forceinline__ T
remainder_of(T x, T y)
{
	return y == 0 || (T(-1) < T(0) && y == T(-1)) ? T(0) : T(x % y);
}

/* Functions of two integers: by 0 gives 0, the smallest number by -1 wraps. */
template <typename T>
static __device__ __forceinline__ T
of_two(enum row_binary function, T x, T y, const struct whole *)
{
	typedef typename wrap_of<T>::type W;
	switch (function) {
	case ROW_ADD:
		return T(W(x) + W(y));
	case ROW_SUB:
		return T(W(x) - W(y));
	case ROW_MUL:
		return T(W(x) * W(y));
	case ROW_DIV:
		return divide(x, y);
	case ROW_MAX:
		return x > y ? x : y;
	case ROW_MIN:
		return x < y ? x : y;
	case ROW_POW:
		return T(pow((double)x, (double)y));
	case ROW_MOD: {
		T rest = remainder_of(x, y);
		return rest != 0 && (rest < 0) != (y < 0) ? T(rest + y) : rest;
	}
	case ROW_FMOD:
		return remainder_of(x, y);
	case ROW_PRELU:
		return x < 0 ? T(W(x) * W(y)) : x;
	case ROW_AND:
		return x & y;
	case ROW_OR:
		return x | y;
	case ROW_XOR:
		return x ^ y;
	default:
		return x;
	}
}

/* What an element is computed as, and whether as a real or a whole number. */
template <typename T> struct number {
	typedef T type;
	typedef struct whole kind;
	static __device__ __forceinline__ T
	load(T x)
	{
		return x;
	}
	static __device__ __forceinline__ T
	store(T x)
	{
		return x;
	}
};
#define REAL_NUMBER(T, R)                                                                          \
	template <> struct number<T> {                                                             \
		typedef R type;                                                                    \
		typedef R kind;                                                                    \
		static __device__ __forceinline__ R                                                \
		load(T x)                                                                          \
		{                                                                                  \
			return to_real(x);                                                         \
		}                                                                                  \
		static __device__ __forceinline__ T                                                \
		store(R x)                                                                         \
		{                                                                                  \
			return from_real<T>::of(x);                                                \
		}                                                                                  \
	};
REAL_NUMBER(float, float)
REAL_NUMBER(double, double)
REAL_NUMBER(f16, float)
REAL_NUMBER(bf16, float)

/* For elements of each size; X(bytes, C type) */
#define SIZES(X)                                                                                   \
	X(1, uint8_t)                                                                              \
	X(2, uint16_t)                                                                             \
	X(4, uint32_t)                                                                             \
	X(8, uint64_t)

/* Calls put with a value of the largest unit that rows of so many bytes are made of, and can be moved by. */
template <typename F>
static inline void
by_unit(size_t row_bytes, F put)
{
	if (row_bytes % sizeof(uint4) == 0)
		put(uint4{});
	else if (row_bytes % sizeof(uint32_t) == 0)
		put(uint32_t{});
	else if (row_bytes % sizeof(uint16_t) == 0)
		put(uint16_t{});
	else
		put(uint8_t{});
}

/* --- elements of a type that is known at the run --------------------------------------------------------------------- */

/* A number as it is on the way from one type to another: integers keep their bits. */
struct any_number {
	double real;
	uint64_t whole;
	bool is_whole;
};

static __device__ inline any_number
load_any(enum data_type data_type, const void *data, int64_t i)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		return any_number{ ((const float *)data)[i], 0, false };
	case DATA_TYPE_DOUBLE:
		return any_number{ ((const double *)data)[i], 0, false };
	case DATA_TYPE_FLOAT16:
		return any_number{ to_real(((const f16 *)data)[i]), 0, false };
	case DATA_TYPE_BFLOAT16:
		return any_number{ to_real(((const bf16 *)data)[i]), 0, false };
	case DATA_TYPE_UINT64: {
		uint64_t x = ((const uint64_t *)data)[i];
		return any_number{ (double)x, x, true };
	}
	default:
		break;
	}
	int64_t x = 0;
	switch (data_type) {
	case DATA_TYPE_INT8:
		x = ((const int8_t *)data)[i];
		break;
	case DATA_TYPE_INT16:
		x = ((const int16_t *)data)[i];
		break;
	case DATA_TYPE_INT32:
		x = ((const int32_t *)data)[i];
		break;
	case DATA_TYPE_INT64:
		x = ((const int64_t *)data)[i];
		break;
	case DATA_TYPE_UINT16:
		x = ((const uint16_t *)data)[i];
		break;
	case DATA_TYPE_UINT32:
		x = ((const uint32_t *)data)[i];
		break;
	default:
		x = ((const uint8_t *)data)[i];
		break;
	}
	return any_number{ (double)x, (uint64_t)x, true };
}

/* As exec/cast.c: the integer's bits; those above 2^63 are an unsigned integer's. */
static __device__ inline uint64_t
whole_of(double value)
{
	if (value >= 18446744073709551616.0)
		return UINT64_MAX;
	if (value >= 9223372036854775808.0)
		return (uint64_t)value;
	if (value < -9223372036854775808.0)
		return (uint64_t)INT64_MIN;
	return value == value ? (uint64_t)(int64_t)value : 0;
}

/* A whole number goes to float in one rounding. */
static __device__ inline float
float_of(enum data_type from, any_number x)
{
	if (!x.is_whole)
		return (float)x.real;
	return from == DATA_TYPE_UINT64 ? (float)x.whole : (float)(int64_t)x.whole;
}

static __device__ inline void
store_any(enum data_type data_type, void *data, int64_t i, enum data_type from, any_number x)
{
	uint64_t whole = x.is_whole ? x.whole : whole_of(x.real);
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		((float *)data)[i] = float_of(from, x);
		break;
	case DATA_TYPE_DOUBLE:
		((double *)data)[i] = x.real;
		break;
	case DATA_TYPE_FLOAT16:
		((f16 *)data)[i] = from_real<f16>::of(float_of(from, x));
		break;
	case DATA_TYPE_BFLOAT16:
		((bf16 *)data)[i] = from_real<bf16>::of(float_of(from, x));
		break;
	case DATA_TYPE_BOOL:
		((uint8_t *)data)[i] = x.is_whole ? x.whole != 0 : x.real != 0;
		break;
	case DATA_TYPE_INT8:
	case DATA_TYPE_UINT8:
		((uint8_t *)data)[i] = (uint8_t)whole;
		break;
	case DATA_TYPE_INT16:
	case DATA_TYPE_UINT16:
		((uint16_t *)data)[i] = (uint16_t)whole;
		break;
	case DATA_TYPE_INT32:
	case DATA_TYPE_UINT32:
		((uint32_t *)data)[i] = (uint32_t)whole;
		break;
	default:
		((uint64_t *)data)[i] = whole;
		break;
	}
}
