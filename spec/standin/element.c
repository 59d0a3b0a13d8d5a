#include "element.h"

#include <math.h>
#include <string.h>

size_t
element_bytes(enum element element)
{
	static const size_t bytes[] = { 4, 8, 2, 2, 1, 4 };
	return bytes[element];
}

static float
float_of(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t
bits_of(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static double
from_half(uint16_t half)
{
	int exponent = half >> 10 & 31, digits = half & 1023;
	double value;
	if (exponent == 31)
		value = digits == 0 ? INFINITY : NAN;
	else if (exponent == 0)
		value = ldexp(digits, -24);
	else
		value = ldexp(digits + 1024, exponent - 25);
	return (half & 0x8000) != 0 ? -value : value;
}

/* By the number's own scale: rint rounds ties to even. */
static uint16_t
to_half(double value)
{
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	double size = fabs(value);
	if (isnan(value))
		return 0x7e00;
	int exponent;
	frexp(size, &exponent);
	if (exponent < -13)
		exponent = -13;
	double digits = rint(ldexp(size, 11 - exponent));
	if (size == 0 || digits == 0)
		return sign;
	if (exponent > 16 || ldexp(digits, exponent - 11) >= 65520)
		return sign | 0x7c00;
	return (uint16_t)(sign + ((exponent + 13) << 10) + (int)digits);
}

static uint16_t
to_bfloat16(float value)
{
	uint32_t bits = bits_of(value);
	if (isnan(value))
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double
element_load(enum element element, const void *data, int64_t i)
{
	switch (element) {
	case ELEMENT_DOUBLE:
		return ((const double *)data)[i];
	case ELEMENT_HALF:
		return from_half(((const uint16_t *)data)[i]);
	case ELEMENT_BFLOAT16:
		return float_of((uint32_t)((const uint16_t *)data)[i] << 16);
	case ELEMENT_INT8:
		return ((const int8_t *)data)[i];
	case ELEMENT_INT32:
		return ((const int32_t *)data)[i];
	default:
		return ((const float *)data)[i];
	}
}

void
element_store(enum element element, void *data, int64_t i, double value)
{
	switch (element) {
	case ELEMENT_DOUBLE:
		((double *)data)[i] = value;
		break;
	case ELEMENT_HALF:
		((uint16_t *)data)[i] = to_half(value);
		break;
	case ELEMENT_BFLOAT16:
		((uint16_t *)data)[i] = to_bfloat16((float)value);
		break;
	case ELEMENT_INT8:
		((int8_t *)data)[i] = (int8_t)value;
		break;
	case ELEMENT_INT32:
		((int32_t *)data)[i] = (int32_t)value;
		break;
	default:
		((float *)data)[i] = (float)value;
	}
}

void
element_doubles(enum element element, const void *data, int64_t count, double *to)
{
	const float *floats = data;
	if (element == ELEMENT_DOUBLE) {
		memcpy(to, data, sizeof(double) * (size_t)count);
	} else if (element == ELEMENT_FLOAT) {
		for (int64_t i = 0; i < count; i++)
			to[i] = floats[i];
	} else {
		for (int64_t i = 0; i < count; i++)
			to[i] = element_load(element, data, i);
	}
}

void
element_floats(enum element element, const void *data, int64_t count, float *to)
{
	if (element == ELEMENT_FLOAT) {
		memcpy(to, data, sizeof(float) * (size_t)count);
	} else {
		for (int64_t i = 0; i < count; i++)
			to[i] = (float)element_load(element, data, i);
	}
}

float
element_tf32(float value)
{
	uint32_t bits = bits_of(value);
	return isfinite(value) ? float_of((bits + 0x1000) & ~UINT32_C(0x1fff)) : value;
}

float
element_rounded(enum element element, float value)
{
	double held;
	element_store(element, &held, 0, value);
	return (float)element_load(element, &held, 0);
}
