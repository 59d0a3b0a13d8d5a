#include <math.h>
#include <stddef.h>

#include "exec/panels.h"
#include "exec/row_wide.h"
#include "exec/rows.h"
#include "exec/target.h"

/*
 * The polynomials below are minimax fits (Chebyshev nodes, Lawson's reweighting) made for this file; each is good to a few
 * units in the last place of a float, and unlike the C library's functions they vectorise.
 */

/* exp(x) = 2^k exp(r), |r| <= ln 2 / 2, exp(r) = 1 + r + r^2 P(r). */
static inline float
fast_exp(float x)
{
	const float log2e = 1.44269504088896341f;
	/* ln 2 in two pieces, the first with few bits, so that k times it is exact. */
	const float ln2_high = 0.693359375f;
	const float ln2_low = -2.12194440e-4f;
	/* exp(88.7) is near the largest float, exp(-104) rounds to 0. */
	float clamped = x > 88.72283f ? 88.72283f : x < -104.0f ? -104.0f : x;
	float k = rintf(clamped * log2e);
	float r = clamped - k * ln2_high - k * ln2_low;
	float p = 1.395060030e-03f;
	p = p * r + 8.368953708e-03f;
	p = p * r + 4.166620417e-02f;
	p = p * r + 1.666651830e-01f;
	p = p * r + 5.000000096e-01f;
	p = p * r * r + r + 1.0f;
	/* 2^k in two factors, so that results near both ends of the range come out. NaN is no integer. */
	int32_t whole = (int32_t)(x != x ? 0.0f : k);
	int32_t half = whole >> 1;
	union {
		int32_t i;
		float f;
	} a = { (half + 127) << 23 }, b = { (whole - half + 127) << 23 };
	return x > 88.72283f ? INFINITY : p * a.f * b.f;
}

/*
 * As fast_exp for x <= 0, with 0 for what has no normal float: a masked score costs a processor some hundred cycles when its
 * exponential is a denormal number.
 */
static inline float
soft_exp(float x)
{
	const float log2e = 1.44269504088896341f;
	const float ln2_high = 0.693359375f;
	const float ln2_low = -2.12194440e-4f;
	const float lowest = -87.33654f;
	float clamped = x < lowest ? lowest : x;
	float k = rintf(clamped * log2e);
	float r = clamped - k * ln2_high - k * ln2_low;
	float p = 1.395060030e-03f;
	p = p * r + 8.368953708e-03f;
	p = p * r + 4.166620417e-02f;
	p = p * r + 1.666651830e-01f;
	p = p * r + 5.000000096e-01f;
	p = p * r * r + r + 1.0f;
	union {
		int32_t i;
		float f;
	} power = { ((int32_t)k + 127) << 23 };
	return x < lowest ? 0.0f : p * power.f;
}

static inline float
fast_sigmoid(float x)
{
	return 1.0f / (1.0f + fast_exp(-x));
}

/* Near 0, where 1 - 2 / (exp(2x) + 1) loses digits, x + x^3 P(x^2). */
static inline float
fast_tanh(float x)
{
	float s = x * x;
	float p = -5.603905468e-03f;
	p = p * s + 2.055171067e-02f;
	p = p * s + -5.371410423e-02f;
	p = p * s + 1.333115276e-01f;
	p = p * s + -3.333327208e-01f;
	float near = x + x * s * p;
	float far = 1.0f - 2.0f / (fast_exp(2.0f * x) + 1.0f);
	return fabsf(x) < 0.625f ? near : far;
}

/* |x| < 1: x + x P(x^2). Else 1 - exp(Q(|x|)) with the sign of x; from 4 on that is 1. */
static inline float
fast_erf(float x)
{
	float s = x * x;
	float p = 7.889119535e-05f;
	p = p * s + -8.020841281e-04f;
	p = p * s + 5.189535339e-03f;
	p = p * s + -2.685444459e-02f;
	p = p * s + 1.128360018e-01f;
	p = p * s + -3.761262714e-01f;
	p = p * s + 1.283791659e-01f;
	float near = x + x * p;
	float a = fabsf(x) > 4.0f ? 4.0f : fabsf(x);
	float q = -2.144559262e-05f;
	q = q * a + 4.385302207e-04f;
	q = q * a + -4.190857021e-03f;
	q = q * a + 2.517181176e-02f;
	q = q * a + -1.083615567e-01f;
	q = q * a + -6.332724101e-01f;
	q = q * a + -1.129552043e+00f;
	q = q * a + 1.824604984e-04f;
	float far = copysignf(1.0f - fast_exp(q), x);
	return fabsf(x) < 1.0f || x != x ? near : far;
}

static inline float
fast_softplus(float x)
{
	return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x)));
}

#define ROW(name, NUMBER, type, clones, expression)                                                \
	clones static void name##_##NUMBER(void *out, const void *in, int64_t n, float alpha,      \
					   float beta)                                             \
	{                                                                                          \
		type *to = out;                                                                    \
		const type *from = in;                                                             \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < n; i++) {                                                  \
			type x = from[i];                                                          \
			to[i] = (type)(expression);                                                \
		}                                                                                  \
	}
#define FLOAT_ROW(name, expression) ROW(name, FLOAT, float, TARGET_CLONES, expression)
#define DOUBLE_ROW(name, expression) ROW(name, DOUBLE, double, , expression)

/* X(ROW_ name, function, expression for float, expression for double; x is the element) */
#define REAL_FUNCTIONS(X)                                                                          \
	X(RELU, relu, x < 0 ? 0 : x, x < 0 ? 0 : x)                                                \
	X(CLIP, clip, x<alpha ? alpha : x> beta ? beta : x, x<alpha ? alpha : x> beta ? beta : x)  \
	X(LEAKY_RELU, leaky_relu, x < 0 ? alpha * x : x, x < 0 ? alpha * x : x)                    \
	X(ELU, elu, x < 0 ? alpha * expm1f(x) : x, x < 0 ? alpha * expm1(x) : x)                   \
	X(SELU, selu, alpha *(x > 0 ? x : beta * expm1f(x)), alpha *(x > 0 ? x : beta * expm1(x))) \
	X(CELU, celu, x < 0 ? alpha * expm1f(x / alpha) : x, x < 0 ? alpha * expm1(x / alpha) : x) \
	X(SIGMOID, sigmoid, fast_sigmoid(x), 1 / (1 + exp(-x)))                                    \
	X(TANH, tanh, fast_tanh(x), tanh(x))                                                       \
	X(SWISH, swish, x *fast_sigmoid(alpha *x), x / (1 + exp(-alpha * x)))                      \
	X(HARD_SWISH, hard_swish, x *fminf(fmaxf(x *(1.0f / 6) + 0.5f, 0), 1),                     \
	  x *fmin(fmax(x / 6 + 0.5, 0), 1))                                                        \
	X(HARD_SIGMOID, hard_sigmoid, fminf(fmaxf(alpha *x + beta, 0), 1),                         \
	  fmin(fmax(alpha *x + beta, 0), 1))                                                       \
	X(GELU_ERF, gelu_erf, 0.5f * x * (1 + fast_erf(x * 0.70710678f)),                          \
	  0.5 * x * (1 + erf(x * M_SQRT1_2)))                                                      \
	X(GELU_TANH, gelu_tanh,                                                                    \
	  0.5f * x * (1 + fast_tanh(0.79788456f * (x + 0.044715f * x * x * x))),                   \
	  0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))))                       \
	X(LINEAR, linear, alpha *x + beta, alpha * x + beta)                                       \
	X(SOFTPLUS, softplus, fast_softplus(x), log1p(exp(-fabs(x))) + fmax(x, 0))                 \
	X(SOFTSIGN, softsign, x / (1 + fabsf(x)), x / (1 + fabs(x)))                               \
	X(THRESHOLD, threshold, x > alpha ? x : 0, x > alpha ? x : 0)                              \
	X(MISH, mish, x *fast_tanh(fast_softplus(x)), x *tanh(log1p(exp(x))))                      \
	X(SOFT_EXP, soft_exp, soft_exp(x - alpha), exp(x - alpha))                                 \
	X(EXP, exp, fast_exp(x), exp(x))                                                           \
	X(LOG, log, logf(x), log(x))                                                               \
	X(SQRT, sqrt, sqrtf(x), sqrt(x))                                                           \
	X(RECIPROCAL, reciprocal, 1 / x, 1 / x)                                                    \
	X(FLOOR, floor, floorf(x), floor(x))                                                       \
	X(CEIL, ceil, ceilf(x), ceil(x))                                                           \
	X(ROUND, round, rintf(x), rint(x))                                                         \
	X(ERF, erf, fast_erf(x), erf(x))                                                           \
	X(SIN, sin, sinf(x), sin(x))                                                               \
	X(COS, cos, cosf(x), cos(x))                                                               \
	X(TAN, tan, tanf(x), tan(x))                                                               \
	X(ASIN, asin, asinf(x), asin(x))                                                           \
	X(ACOS, acos, acosf(x), acos(x))                                                           \
	X(ATAN, atan, atanf(x), atan(x))                                                           \
	X(SINH, sinh, sinhf(x), sinh(x))                                                           \
	X(COSH, cosh, coshf(x), cosh(x))                                                           \
	X(ASINH, asinh, asinhf(x), asinh(x))                                                       \
	X(ACOSH, acosh, acoshf(x), acosh(x))                                                       \
	X(ATANH, atanh, atanhf(x), atanh(x))                                                       \
	X(NEG, neg, -x, -x)                                                                        \
	X(ABS, abs, fabsf(x), fabs(x))                                                             \
	X(SIGN, sign, (x > 0) - (x < 0), (x > 0) - (x < 0))

#define REAL_ROWS(NAME, name, as_float, as_double)                                                 \
	FLOAT_ROW(name, as_float)                                                                  \
	DOUBLE_ROW(name, as_double)
REAL_FUNCTIONS(REAL_ROWS)

/* X(number of the element type, C type, type that arithmetic wraps in) */
#define INTEGERS(X)                                                                                \
	X(INT8, int8_t, uint32_t)                                                                  \
	X(INT16, int16_t, uint32_t)                                                                \
	X(INT32, int32_t, uint32_t)                                                                \
	X(INT64, int64_t, uint64_t)                                                                \
	X(UINT8, uint8_t, uint32_t)                                                                \
	X(UINT16, uint16_t, uint32_t)                                                              \
	X(UINT32, uint32_t, uint32_t)                                                              \
	X(UINT64, uint64_t, uint64_t)

#define INTEGER_ROWS(N, type, wrap)                                                                \
	ROW(relu, N, type, , x > 0 ? x : 0)                                                        \
	ROW(neg, N, type, , (wrap)0 - (wrap)x)                                                     \
	ROW(abs, N, type, , x > 0 ? (wrap)x : (wrap)0 - (wrap)x)                                   \
	ROW(sign, N, type, , x > 0 ? 1 : x == 0 ? 0 : -1)                                          \
	ROW(bitwise_not, N, type, , ~x)
INTEGERS(INTEGER_ROWS)

ROW(not, BOOL, uint8_t, , x == 0)

enum { TYPES = DATA_TYPE_BFLOAT16 + 1 };

#define REAL_ENTRIES(NAME, name, as_float, as_double)                                              \
	[ROW_##NAME][DATA_TYPE_FLOAT] = name##_FLOAT,                                              \
	[ROW_##NAME][DATA_TYPE_DOUBLE] = name##_DOUBLE,
#define INTEGER_ENTRIES(N, type, wrap)                                                             \
	[ROW_RELU][DATA_TYPE_##N] = relu_##N, [ROW_NEG][DATA_TYPE_##N] = neg_##N,                  \
	[ROW_ABS][DATA_TYPE_##N] = abs_##N, [ROW_SIGN][DATA_TYPE_##N] = sign_##N,                  \
	[ROW_BITWISE_NOT][DATA_TYPE_##N] = bitwise_not_##N,

static row_unary_f *const table[ROW_UNARY_COUNT][TYPES] = {
	REAL_FUNCTIONS(REAL_ENTRIES) INTEGERS(INTEGER_ENTRIES)[ROW_NOT][DATA_TYPE_BOOL] = not_BOOL,
};

row_unary_f *
row_unary(enum row_unary function, enum data_type data_type)
{
	if (data_type == DATA_TYPE_FLOAT && panels_supported() && row_wide(function) != NULL)
		return row_wide(function);
	return table[function][data_type];
}
