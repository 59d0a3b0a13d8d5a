/* Elements of tensors and matrices as the libraries' stand-ins read and write them: as floats, or doubles. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum element {
	ELEMENT_FLOAT,
	ELEMENT_DOUBLE,
	ELEMENT_HALF,
	ELEMENT_BFLOAT16,
	ELEMENT_INT8,
	ELEMENT_INT32,
};

size_t
element_bytes(enum element element);

/* Element i of data; a new value for it, rounded to nearest, ties to even. */
double
element_load(enum element element, const void *data, int64_t i);
void
element_store(enum element element, void *data, int64_t i, double value);

/* count elements from the first on. */
void
element_doubles(enum element element, const void *data, int64_t count, double *to);
void
element_floats(enum element element, const void *data, int64_t count, float *to);

/* A float as Tensor Cores take it for TF32: ten bits of it. */
float
element_tf32(float value);

/* value as an element of that kind keeps it. */
float
element_rounded(enum element element, float value);

#ifdef __cplusplus
}
#endif
