/*
 * Histogram of durations with a relative error below 1/32: log-linear buckets as in HdrHistogram (Gil Tene), 0 to 2^42 ns.
 * One thread at a time.
 */
#pragma once

#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 5,
	HISTOGRAM_BUCKETS = (42 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

struct histogram {
	uint64_t count;
	/* Sum of all values. */
	uint64_t sum;
	uint64_t max;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void
histogram_add(struct histogram *histogram, uint64_t value);

/* The smallest value v such that the share of values <= v is at least q (0 … 1); 0 when empty. */
uint64_t
histogram_quantile(const struct histogram *histogram, double q);

/* 0 when empty. */
uint64_t
histogram_mean(const struct histogram *histogram);
