/*
 * Functions of 16 floats at once, for our kernels for AVX-512. Include it where panels_supported() is asked first. The
 * polynomials are those of row_unary.c.
 */
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE static inline __attribute__((always_inline, target("avx512f")))

/* exp(x), exact to a few units of the last digit, where the result is a float. */
WIDE __m512
wide_near_exp(__m512 x)
{
	__m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)),
					_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	__m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), x);
	r = _mm512_fnmadd_ps(k, _mm512_set1_ps(-2.12194440e-4f), r);
	__m512 p = _mm512_set1_ps(1.395060030e-03f);
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.368953708e-03f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.166620417e-02f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.666651830e-01f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.000000096e-01f));
	p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, _mm512_set1_ps(1)));
	return _mm512_scalef_ps(p, k);
}

/* exp(x) for x <= 0; 0 where that is no normal number. */
WIDE __m512
wide_soft_exp(__m512 x)
{
	__mmask16 gone = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.33654f), _CMP_LT_OQ);
	return _mm512_mask_mov_ps(wide_near_exp(x), gone, _mm512_setzero_ps());
}

/* exp(x), clamped where the result leaves the range of floats. */
WIDE __m512
wide_exp(__m512 x)
{
	__m512 high = _mm512_set1_ps(88.72283f), low = _mm512_set1_ps(-104.0f);
	return wide_near_exp(_mm512_min_ps(high, _mm512_max_ps(low, x)));
}

/* 1 / x: the processor's 14 bits and a step of Newton's, half the time of a division. For x of 1 and more. */
WIDE __m512
wide_inverse(__m512 x)
{
	__m512 y = _mm512_rcp14_ps(x);
	return _mm512_mul_ps(y, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(2)));
}

WIDE __m512
wide_sigmoid(__m512 x)
{
	__m512 one = _mm512_set1_ps(1);
	__m512 minus = _mm512_sub_ps(_mm512_setzero_ps(), x);
	return wide_inverse(_mm512_add_ps(one, wide_exp(minus)));
}

/* Near 0 x + x^3 P(x^2), where the other form loses digits. */
WIDE __m512
wide_tanh(__m512 x)
{
	__m512 one = _mm512_set1_ps(1), two = _mm512_set1_ps(2);
	__m512 s = _mm512_mul_ps(x, x);
	__m512 p = _mm512_set1_ps(-5.603905468e-03f);
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(2.055171067e-02f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-5.371410423e-02f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(1.333115276e-01f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-3.333327208e-01f));
	__m512 near = _mm512_fmadd_ps(_mm512_mul_ps(x, s), p, x);
	__m512 size = _mm512_abs_ps(x);
	__m512 power = wide_exp(_mm512_mul_ps(_mm512_set1_ps(-2), size));
	__m512 inverse = wide_inverse(_mm512_add_ps(power, one));
	__m512 far = _mm512_fnmadd_ps(_mm512_mul_ps(two, power), inverse, one);
	__mmask16 is_negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
	far = _mm512_mask_sub_ps(far, is_negative, _mm512_setzero_ps(), far);
	__mmask16 is_near = _mm512_cmp_ps_mask(size, _mm512_set1_ps(0.625f), _CMP_LT_OQ);
	return _mm512_mask_mov_ps(far, is_near, near);
}

/* |x| < 1: x + x P(x^2). Else 1 - exp(Q(|x|)) with the sign of x; from 4 on that is 1. */
WIDE __m512
wide_erf(__m512 x)
{
	__m512 one = _mm512_set1_ps(1), s = _mm512_mul_ps(x, x), size = _mm512_abs_ps(x);
	__m512 p = _mm512_set1_ps(7.889119535e-05f);
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-8.020841281e-04f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(5.189535339e-03f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-2.685444459e-02f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(1.128360018e-01f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-3.761262714e-01f));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(1.283791659e-01f));
	__m512 near = _mm512_fmadd_ps(x, p, x);
	__m512 a = _mm512_min_ps(size, _mm512_set1_ps(4));
	__m512 q = _mm512_set1_ps(-2.144559262e-05f);
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(4.385302207e-04f));
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-4.190857021e-03f));
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(2.517181176e-02f));
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-1.083615567e-01f));
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-6.332724101e-01f));
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-1.129552043e+00f));
	q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(1.824604984e-04f));
	__m512 far = _mm512_sub_ps(one, wide_exp(q));
	/* What is no number is near, and so stays none. */
	__mmask16 is_far = _mm512_cmp_ps_mask(size, one, _CMP_GE_OQ);
	__mmask16 is_negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
	far = _mm512_mask_sub_ps(far, is_negative, _mm512_setzero_ps(), far);
	return _mm512_mask_mov_ps(near, is_far, far);
}
#endif
