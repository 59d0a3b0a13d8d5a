#include "exec/fft.h"

#include <math.h>

static void
find_factors(struct fft *fft)
{
	int64_t rest = fft->length;
	for (int64_t factor = 2; rest > 1; factor++) {
		/* What has no factor up to its root is prime. */
		if (factor * factor > rest)
			factor = rest;
		for (; rest % factor == 0; rest /= factor)
			fft->factors[fft->factor_count++] = factor;
	}
}

int
fft_create(struct fft *fft, int64_t length, struct arena *arena)
{
	*fft = (struct fft){ .length = length };
	fft->roots = arena_calloc(arena, (size_t)length, 2 * sizeof(*fft->roots));
	if (fft->roots == NULL)
		return -1;
	for (int64_t k = 0; k < length; k++) {
		double angle = -2 * M_PI * (double)k / (double)length;
		fft->roots[2 * k] = cos(angle);
		fft->roots[2 * k + 1] = sin(angle);
	}
	find_factors(fft);
	for (uint32_t i = 0; i < fft->factor_count; i++)
		if ((size_t)fft->factors[i] * 2 > fft->work)
			fft->work = (size_t)fft->factors[i] * 2;
	return 0;
}

/* A run, as its steps see it. */
struct transform {
	const struct fft *fft;
	double *work;
	/* -1 for the inverse: of the roots' imaginary parts. */
	double sign;
};

/* to += value * root k, or = for the first. */
static void
accumulate(const struct transform *transform, const double *value, int64_t k, double *to,
	   bool is_first)
{
	double real = transform->fft->roots[2 * k];
	double imaginary = transform->sign * transform->fft->roots[2 * k + 1];
	double a = value[0] * real - value[1] * imaginary;
	double b = value[0] * imaginary + value[1] * real;
	to[0] = is_first ? a : to[0] + a;
	to[1] = is_first ? b : to[1] + b;
}

/* One transform of n = p * m numbers out of p transforms of m that lie behind each other in out. */
static void
combine(const struct transform *transform, double *out, int64_t p, int64_t m)
{
	int64_t length = transform->fft->length, stride = length / (p * m);
	double *terms = transform->work;
	for (int64_t k = 0; k < m; k++) {
		for (int64_t r = 0; r < p; r++)
			accumulate(transform, &out[2 * (r * m + k)], r * k * stride % length,
				   &terms[2 * r], true);
		for (int64_t q = 0; q < p; q++)
			for (int64_t r = 0; r < p; r++)
				accumulate(transform, &terms[2 * r], q * r % p * (length / p),
					   &out[2 * (q * m + k)], r == 0);
	}
}

static void
step(const struct transform *transform, const double *in, int64_t stride, double *out, int64_t n,
     uint32_t level)
{
	if (n == 1) {
		out[0] = in[0];
		out[1] = in[1];
		return;
	}
	int64_t p = transform->fft->factors[level], m = n / p;
	for (int64_t r = 0; r < p; r++)
		step(transform, in + 2 * r * stride, stride * p, out + 2 * r * m, m, level + 1);
	combine(transform, out, p, m);
}

void
fft_run(const struct fft *fft, const double *in, double *out, double *work, bool inverse)
{
	struct transform transform = { .fft = fft, .work = work, .sign = inverse ? -1 : 1 };
	step(&transform, in, 1, out, fft->length, 0);
}
