/*
 * Rounding of real numbers to quantized integers: to the nearest, halves to even, cut to the type's range.
 */
#pragma once

#include "exec/tensor.h"

/* The least and greatest number of an integer type of at most 32 bits. */
void
quantize_range(enum data_type data_type, double *low, double *high);

/* value, already divided by the scale, as an integer in low … high. */
double
quantize_number(double value, double zero_point, double low, double high);
