#include "exec/panels_tile.h"

#include <assert.h>
#include <stddef.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum {
	/* How far ahead B is brought into the first cache, in k. */
	AHEAD = 6,
};

#define INLINE static inline __attribute__((always_inline, target("avx512f")))

INLINE void
begin(__m512 (*sums)[2], const struct panels_tile *tile, int rows)
{
	__m512 zero = _mm512_setzero_ps();
	__m512 left = tile->bias != NULL ? _mm512_loadu_ps(tile->bias) : zero;
	__m512 right = tile->bias != NULL ? _mm512_loadu_ps(tile->bias + PANELS_BLOCK) : zero;
#pragma GCC unroll 14
	for (int r = 0; r < rows; r++) {
		const float *c = tile->c + r * tile->c_row;
		sums[r][0] = tile->first ? left : _mm512_loadu_ps(c);
		sums[r][1] = tile->first ? right : _mm512_loadu_ps(c + tile->c_block);
	}
}

/* Add what 16 k give. */
INLINE void
add_block(__m512 (*sums)[2], const float *a, const float *b, const char *ahead, int64_t step,
	  int rows)
{
#pragma GCC unroll 4
	for (int k = 0; k < PANELS_BLOCK; k++, b += PANELS_WIDTH) {
		__m512 left = _mm512_load_ps(b), right = _mm512_load_ps(b + PANELS_BLOCK);
		_mm_prefetch((const char *)(b + AHEAD * PANELS_WIDTH), _MM_HINT_T0);
		_mm_prefetch((const char *)(b + AHEAD * PANELS_WIDTH + PANELS_BLOCK), _MM_HINT_T0);
		if (k % 2 == 0)
			_mm_prefetch(ahead + k / 2 * step, _MM_HINT_T1);
#pragma GCC unroll 14
		for (int r = 0; r < rows; r++) {
			__m512 factor = _mm512_set1_ps(a[r * PANELS_BLOCK + k]);
			sums[r][0] = _mm512_fmadd_ps(factor, left, sums[r][0]);
			sums[r][1] = _mm512_fmadd_ps(factor, right, sums[r][1]);
		}
	}
}

/* Comparisons let what is no number through: they give their second operand then. */
INLINE void
finish(__m512 (*sums)[2], const struct panels_tile *tile, int rows)
{
	__m512 low = _mm512_set1_ps(tile->low), high = _mm512_set1_ps(tile->high);
#pragma GCC unroll 14
	for (int r = 0; r < rows; r++) {
		if (tile->sum != NULL) {
			const float *sum = tile->sum + r * tile->c_row;
			sums[r][0] = _mm512_add_ps(sums[r][0], _mm512_loadu_ps(sum));
			sums[r][1] =
				_mm512_add_ps(sums[r][1], _mm512_loadu_ps(sum + tile->c_block));
		}
		sums[r][0] = _mm512_min_ps(high, _mm512_max_ps(low, sums[r][0]));
		sums[r][1] = _mm512_min_ps(high, _mm512_max_ps(low, sums[r][1]));
	}
}

/* Begin to bring the lines that two rows of the result will go to; each is up to three, where rows are not aligned. */
INLINE void
await_result(const struct panels_tile *tile, int64_t row, int rows)
{
	for (int64_t r = row; r < row + 2 && r < rows; r++) {
		const float *c = tile->c + r * tile->c_row;
		__builtin_prefetch(c, 1);
		__builtin_prefetch(c + tile->c_block, 1);
		__builtin_prefetch(c + tile->c_block + PANELS_BLOCK - 1, 1);
	}
}

INLINE void
run(const struct panels_tile *tile, int rows)
{
	enum { STEPS = PANELS_BLOCK / 2 };
	__m512 sums[PANELS_ROWS][2];
	const float *a = tile->a, *b = tile->b;
	const char *ahead = tile->ahead;
	begin(sums, tile, rows);
	for (int64_t i = 0; i < tile->blocks; i++) {
		if (tile->far)
			await_result(tile, 2 * i, rows);
		add_block(sums, a, b, ahead, tile->ahead_step, rows);
		a += tile->a_block;
		b += PANELS_BLOCK * PANELS_WIDTH;
		ahead += STEPS * tile->ahead_step;
	}
	if (tile->last)
		finish(sums, tile, rows);
#pragma GCC unroll 14
	for (int r = 0; r < rows; r++) {
		float *c = tile->c + r * tile->c_row;
		_mm512_storeu_ps(c, sums[r][0]);
		_mm512_storeu_ps(c + tile->c_block, sums[r][1]);
	}
}

__attribute__((target("avx512f"))) void
panels_scale(float *to, const float *from, int64_t rows, const float *factors,
	     const float *summands, float low)
{
	__m512 factor = _mm512_loadu_ps(factors), summand = _mm512_loadu_ps(summands);
	__m512 least = _mm512_set1_ps(low);
	for (int64_t i = 0; i < rows * PANELS_BLOCK; i += PANELS_BLOCK) {
		__m512 x = _mm512_fmadd_ps(_mm512_loadu_ps(from + i), factor, summand);
		_mm512_store_ps(to + i, _mm512_max_ps(least, x));
	}
}

#define HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

#define X(rows)                                                                                    \
	__attribute__((target("avx512f"))) static void run_##rows(const struct panels_tile *tile)  \
	{                                                                                          \
		run(tile, rows);                                                                   \
	}
HEIGHTS(X)
#undef X

panels_tile_f *
panels_tile(int64_t rows)
{
#define X(rows) run_##rows,
	static panels_tile_f *const tiles[] = { NULL, HEIGHTS(X) };
#undef X
	assert(rows >= 1 && rows <= PANELS_ROWS);
	return tiles[rows];
}
#else
void
panels_scale(float *to, const float *from, int64_t rows, const float *factors,
	     const float *summands, float low)
{
	assert(!"panels_supported");
	(void)to;
	(void)from;
	(void)rows;
	(void)factors;
	(void)summands;
	(void)low;
}

panels_tile_f *
panels_tile(int64_t rows)
{
	assert(!"panels_supported");
	(void)rows;
	return NULL;
}
#endif
