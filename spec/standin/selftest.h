/*
 * Small kernels that show whether the stand-in runs kernels as CUDA means them, written as Tidepool's are. Each function
 * brings its data to device memory, runs on a stream and brings the result back; returns the first cudaError_t.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* *sum of n numbers by shared memory and barriers, and by shuffles and an atomic addition. */
int
standin_sum_shared(const float *values, uint32_t n, float *sum);
int
standin_sum_shuffled(const float *values, uint32_t n, float *sum);

/* to (columns, rows) is the transpose of from (rows, columns), through a tile of shared memory; sides need not fit it. */
int
standin_transpose(const float *from, uint32_t rows, uint32_t columns, float *to);

/* How often each of 256 bytes comes; grid-stride, atomics in shared and device memory. */
int
standin_histogram(const uint8_t *bytes, uint32_t n, uint32_t *counts);

/* Running sums inside each block of 128, in dynamic shared memory. */
int
standin_scan(const int32_t *values, uint32_t n, int32_t *sums);

/* For each number the rank of its lane among those of its warp that have an odd one, -1 for even ones. */
int
standin_odd_ranks(const int32_t *values, uint32_t n, int32_t *ranks);

/* What kernels must not do. */
enum standin_crime {
	STANDIN_CRIME_DIVERGE,
	STANDIN_CRIME_BEYOND,
	STANDIN_CRIME_HOST_POINTER,
	STANDIN_CRIME_FLAT_BARRIER,
	STANDIN_CRIME_TOO_MANY_THREADS,
	/* A block whose threads' registers may not fit: the compiler was not told of its size. */
	STANDIN_CRIME_UNBOUNDED,
	/* None: the compiler was. */
	STANDIN_CRIME_BOUNDED,
	/* A stream that is not the current device's. */
	STANDIN_CRIME_OTHER_DEVICE,
	STANDIN_CRIME_NULL,
	/* A barrier is missing: ThreadSanitizer's to see. */
	STANDIN_CRIME_RACE,
};
int
standin_commit(enum standin_crime crime);

/* The same sums by a graph that was captured over two streams and is replayed; times times the sum of values. */
int
standin_replay(const float *values, uint32_t n, uint32_t times, float *sum);

/* What a broken capture gives: 0 unjoined work, 1 an event from outside, 2 a forbidden call, 3 the wrong thread's end. */
int
standin_break_capture(int how);

/* A program that reads device memory by itself; does not return. */
void
standin_peek(void);
