/*
 * Functions of 16 floats at once, for our kernels for AVX-512. Include it where panels_supported() is asked first. The
 * polynomials are those of row_unary.c.
 */
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE static inline __attribute__((always_inline, target("avx512f")))

/* exp(x) for x <= 0; 0 where that is no normal number. */
WIDE __m512
wide_soft_exp(__m512 x)
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
	__mmask16 gone = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.33654f), _CMP_LT_OQ);
	return _mm512_mask_mov_ps(_mm512_scalef_ps(p, k), gone, _mm512_setzero_ps());
}
#endif
