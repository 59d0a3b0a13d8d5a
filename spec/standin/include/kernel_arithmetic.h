/* CUDA's functions of numbers and bits, for kernel_emulation.h. */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

template <typename T>
static inline T
__ldg(const T *address)
{
	return *address;
}

template <typename T, typename F>
static inline T
kernel_bits(F from)
{
	static_assert(sizeof(T) == sizeof(F), "the same bits");
	T to;
	memcpy(&to, &from, sizeof(to));
	return to;
}

static inline float
__int_as_float(int bits)
{
	return kernel_bits<float>(bits);
}
static inline float
__uint_as_float(unsigned bits)
{
	return kernel_bits<float>(bits);
}
static inline int
__float_as_int(float value)
{
	return kernel_bits<int>(value);
}
static inline unsigned
__float_as_uint(float value)
{
	return kernel_bits<unsigned>(value);
}
static inline double
__longlong_as_double(long long bits)
{
	return kernel_bits<double>(bits);
}
static inline long long
__double_as_longlong(double value)
{
	return kernel_bits<long long>(value);
}

static inline float
rsqrtf(float x)
{
	return 1.0f / sqrtf(x);
}
static inline double
rsqrt(double x)
{
	return 1.0 / sqrt(x);
}
static inline float
rsqrt(float x)
{
	return rsqrtf(x);
}
static inline float
__saturatef(float x)
{
	return x > 0.0f ? x < 1.0f ? x : 1.0f : 0.0f;
}
/* libc has these names for itself. */
#define __expf(x) expf(x)
#define __logf(x) logf(x)

static inline float
__fdividef(float x, float y)
{
	return x / y;
}

/* CUDA's min and max take mixed integers; of floats, the one that is a number. */
template <typename A, typename B>
static inline std::common_type_t<A, B>
min(A a, B b)
{
	typedef std::common_type_t<A, B> T;
	if constexpr (std::is_floating_point<T>::value)
		return std::fmin((T)a, (T)b);
	else
		return (T)b < (T)a ? (T)b : (T)a;
}

template <typename A, typename B>
static inline std::common_type_t<A, B>
max(A a, B b)
{
	typedef std::common_type_t<A, B> T;
	if constexpr (std::is_floating_point<T>::value)
		return std::fmax((T)a, (T)b);
	else
		return (T)a < (T)b ? (T)b : (T)a;
}

static inline int
__popc(unsigned x)
{
	return __builtin_popcount(x);
}
static inline int
__clz(int x)
{
	return x == 0 ? 32 : __builtin_clz((unsigned)x);
}
/* The four products of the signed bytes of a and b, and c. */
static inline int
__dp4a(int a, int b, int c)
{
	for (int i = 0; i < 4; i++)
		c += (int8_t)((unsigned)a >> 8 * i) * (int8_t)((unsigned)b >> 8 * i);
	return c;
}
static inline int
__ffs(int x)
{
	return __builtin_ffs(x);
}
static inline long long
clock64()
{
	return 0;
}
