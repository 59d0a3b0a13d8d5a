/*
 * Conversions of 16-bit floats. To them: round to nearest, ties to even; NaN stays NaN.
 */
#pragma once

#include <stdint.h>

/* IEEE 754 binary16 (FLOAT16). */
uint16_t
half_from_float(float value);

/* The upper half of a binary32 (BFLOAT16). */
float
half_bfloat_to_float(uint16_t bfloat);
uint16_t
half_bfloat_from_float(float value);

/* n elements; out and in do not overlap. */
void
half_row_to_float(float *out, const uint16_t *in, int64_t n);
void
half_row_from_float(uint16_t *out, const float *in, int64_t n);
