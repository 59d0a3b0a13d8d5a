/* How numbers are quantized. */
#pragma once

#include "exec/cuda/number.cuh"

/* The least and greatest number of an integer type of at most 32 bits. */
struct range_of {
	double low;
	double high;
};

static struct range_of
range_of_type(enum data_type data_type)
{
	bool is_signed = data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_INT16 ||
			 data_type == DATA_TYPE_INT32;
	double values = ldexp(1, 8 * (int)data_type_bytes(data_type));
	double low = is_signed ? -values / 2 : 0;
	return { low, low + values - 1 };
}

/* Already divided by the scale: to the nearest, halves to even, cut to the range. */
static __device__ __forceinline__ double
round_to(double value, double zero_point, const struct range_of &range)
{
	double rounded = rint(value) + zero_point;
	return rounded < range.low ? range.low : rounded > range.high ? range.high : rounded;
}
