/* Rows of the functions that models spend time in, for AVX-512: no division, and what is left of a row at once. */
#include "exec/row_wide.h"

#include <stddef.h>

#include "exec/wide.h"

#if defined(__x86_64__)

enum { LANES = 16 };

WIDE __m512
gelu_erf(__m512 x)
{
	__m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
	return _mm512_fmadd_ps(half, wide_erf(_mm512_mul_ps(x, _mm512_set1_ps(0.70710678f))), half);
}

WIDE __m512
gelu_tanh(__m512 x)
{
	__m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
	__m512 cubic =
		_mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_mul_ps(x, _mm512_set1_ps(0.044715f)));
	__m512 inner = _mm512_mul_ps(_mm512_set1_ps(0.79788456f), _mm512_add_ps(x, cubic));
	return _mm512_fmadd_ps(half, wide_tanh(inner), half);
}

#define ROW(name, expression)                                                                      \
	__attribute__((target("avx512f"))) static void row_##name(                                 \
		void *out, const void *in, int64_t n, float alpha, float beta)                     \
	{                                                                                          \
		__m512 a = _mm512_set1_ps(alpha);                                                  \
		const float *from = in;                                                            \
		float *to = out;                                                                   \
		for (int64_t i = 0; i < n; i += LANES) {                                           \
			__mmask16 there = n - i < LANES ? (__mmask16)((1U << (n - i)) - 1)         \
							: (__mmask16)0xffff;                       \
			__m512 x = _mm512_maskz_loadu_ps(there, from + i);                         \
			_mm512_mask_storeu_ps(to + i, there, expression);                          \
		}                                                                                  \
		(void)a;                                                                           \
		(void)beta;                                                                        \
	}

ROW(sigmoid, wide_sigmoid(x))
ROW(tanh, wide_tanh(x))
ROW(swish, _mm512_mul_ps(x, wide_sigmoid(_mm512_mul_ps(a, x))))
ROW(gelu_erf, gelu_erf(x))
ROW(gelu_tanh, gelu_tanh(x))
ROW(soft_exp, wide_soft_exp(_mm512_sub_ps(x, a)))
ROW(erf, wide_erf(x))

row_unary_f *
row_wide(enum row_unary function)
{
	static row_unary_f *const rows[ROW_UNARY_COUNT] = {
		[ROW_SIGMOID] = row_sigmoid,
		[ROW_TANH] = row_tanh,
		[ROW_SWISH] = row_swish,
		[ROW_GELU_ERF] = row_gelu_erf,
		[ROW_GELU_TANH] = row_gelu_tanh,
		[ROW_SOFT_EXP] = row_soft_exp,
		[ROW_ERF] = row_erf,
	};
	return rows[function];
}
#else
row_unary_f *
row_wide(enum row_unary function)
{
	(void)function;
	return NULL;
}
#endif
