/*
 * Narrow forms of parameters: what lies in host memory and crosses the link as 16 or 8 bits a value, and becomes float again
 * on the device. The forms know nothing of shapes: packed parameters interleave their channels, so that INT8 has a scale for
 * every 64 neighbours, which is finer than one a channel. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum narrow_form {
	/* As they are. */
	NARROW_FP32,
	/* IEEE binary16, rounded to nearest, ties to even. Values beyond its range become its largest. */
	NARROW_FP16,
	/* A float of scale for each block, all of them first, then a signed byte a value: value = scale * byte. */
	NARROW_INT8,
};

enum {
	/* Values that share a scale. */
	NARROW_BLOCK = 64,
};

/* What narrowing changed. */
struct narrow_error {
	/* Sums of squares of the values, and of how far they moved. */
	double values;
	double moved;
};

/* "fp32", "fp16", "int8"; and back, -1 when there is no such form. */
const char *
narrow_name(enum narrow_form form);
int
narrow_from_name(const char *name);

/* Bytes that count floats take. */
size_t
narrow_bytes(enum narrow_form form, size_t count);

/* Write count floats in that form (not FP32); adds to *error what they moved. `to`: narrow_bytes, 4-byte aligned. */
void
narrow_pack(enum narrow_form form, void *to, const float *from, size_t count,
	    struct narrow_error *error);

/* The floats again. to and from do not overlap; both are aligned as floats. */
void
narrow_widen(enum narrow_form form, float *to, const void *from, size_t count);

/* Root of the mean square of what moved over that of the values; 0 when there were none. */
double
narrow_relative_error(const struct narrow_error *error);
