#include "base/histogram.h"

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

/* Values below SUB have a bucket each; above, SUB buckets for every power of two. */
static uint32_t
bucket_of(uint64_t value)
{
	if (value < SUB)
		return (uint32_t)value;
	uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	uint32_t bucket = ((shift + 1) << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift) - SUB;
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value that falls into the bucket. */
static uint64_t
bucket_end(uint32_t bucket)
{
	if (bucket < SUB)
		return bucket;
	uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return ((uint64_t)((bucket & (SUB - 1)) + SUB + 1) << shift) - 1;
}

void
histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->sum += value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[bucket_of(value)]++;
}

uint64_t
histogram_quantile(const struct histogram *histogram, double q)
{
	double wanted = q * (double)histogram->count;
	uint64_t seen = 0;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > 0 && (double)seen >= wanted)
			return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
	}
	return histogram->max;
}

uint64_t
histogram_mean(const struct histogram *histogram)
{
	return histogram->count == 0 ? 0 : histogram->sum / histogram->count;
}
