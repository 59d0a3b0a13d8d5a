/*
 * Conversion between element types. To an integer from a float: towards zero, then modulo the type's range; NaN gives 0
 * and what is beyond 64 bits is cut to them. To BOOL: not zero.
 */
#pragma once

#include <stdint.h>

#include "exec/tensor.h"

/* Convert n elements; in and out do not overlap unless they are the same and the types are equally wide. */
void
cast_run(enum data_type to, void *out, enum data_type from, const void *in, int64_t n);

/* Element i as a double (beyond 2^53 integers are rounded), and back. For code that is not hot. */
double
cast_get(enum data_type data_type, const void *data, int64_t i);
void
cast_set(enum data_type data_type, void *data, int64_t i, double value);
