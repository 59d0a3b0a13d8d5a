/*
 * The discrete Fourier transform of any length, in double precision: by the prime factors of the length (Cooley and Tukey,
 * 1965), so that lengths of small factors are fast and a prime one takes its square.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum { FFT_FACTORS_MAX = 64 };

/* Ready for transforms of one length; read only then. Complex numbers are two doubles. */
struct fft {
	int64_t length;
	uint32_t factor_count;
	int64_t factors[FFT_FACTORS_MAX];
	/* exp(-2 pi i k / length) for each k. */
	double *roots;
	/* Doubles that a run wants to work in. */
	size_t work;
};

/* length: from 1. Memory is the arena's. -1: there is none. */
int
fft_create(struct fft *fft, int64_t length, struct arena *arena);

/* out, of length complex numbers, becomes the transform of in; inverse: the inverse one, times length. in and out differ. */
void
fft_run(const struct fft *fft, const double *in, double *out, double *work, bool inverse);
