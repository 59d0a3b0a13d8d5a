#include "exec/half.h"

#include "exec/target.h"

union bits {
	float f;
	uint32_t u;
};

/*
 * Scale by 2^112 what has the half's exponent and mantissa in place: that also puts subnormals right. An exponent of all
 * ones is infinity or NaN in both.
 */
static inline float
to_float(uint16_t half)
{
	const union bits scale = { .u = (uint32_t)(127 + 112) << 23 };
	union bits value = { .u = (uint32_t)(half & 0x7fff) << 13 };
	union bits special = { .u = value.u | 0x7f800000 };
	value.f *= scale.f;
	value.u = (half & 0x7c00) == 0x7c00 ? special.u : value.u;
	value.u |= (uint32_t)(half & 0x8000) << 16;
	return value.f;
}

/*
 * Below the smallest normal half the sum with a magic number makes the adder round at the right bit; above it the
 * mantissa is rounded by adding half a unit less one, plus its own last bit.
 */
static inline uint16_t
from_float(float f)
{
	const union bits magic = { .u = (uint32_t)126 << 23 };
	union bits value = { .f = f };
	uint32_t sign = value.u >> 16 & 0x8000;
	value.u &= 0x7fffffff;
	uint32_t rounded = (value.u - ((uint32_t)112 << 23) + 0xfff + (value.u >> 13 & 1)) >> 13;
	union bits small = { .f = value.f + magic.f };
	uint32_t tiny = small.u - magic.u;
	uint32_t special = value.u > 0x7f800000 ? 0x7e00 : 0x7c00;
	uint32_t half = value.u < (uint32_t)113 << 23 ? tiny : rounded;
	/* 65520 and more round to infinity. */
	half = value.u >= 0x477ff000 ? special : half;
	return (uint16_t)(sign | half);
}

uint16_t
half_from_float(float value)
{
	return from_float(value);
}

float
half_bfloat_to_float(uint16_t bfloat)
{
	union bits value = { .u = (uint32_t)bfloat << 16 };
	return value.f;
}

uint16_t
half_bfloat_from_float(float f)
{
	union bits value = { .f = f };
	if (f != f)
		return (uint16_t)(value.u >> 16 | 0x40);
	return (uint16_t)((value.u + 0x7fff + (value.u >> 16 & 1)) >> 16);
}

TARGET_CLONES void
half_row_to_float(float *out, const uint16_t *in, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = to_float(in[i]);
}

TARGET_CLONES void
half_row_from_float(uint16_t *out, const float *in, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = from_float(in[i]);
}
