#include "exec/narrow.h"

#include <math.h>
#include <string.h>

#include "exec/half.h"
#include "exec/target.h"

enum { INT8_LARGEST = 127 };

static const float fp16_largest = 65504;

static const char *const names[] = { "fp32", "fp16", "int8" };

enum { FORMS = sizeof(names) / sizeof(names[0]) };

const char *
narrow_name(enum narrow_form form)
{
	return names[form];
}

int
narrow_from_name(const char *name)
{
	for (int i = 0; i < FORMS; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

static size_t
blocks_of(size_t count)
{
	return (count + NARROW_BLOCK - 1) / NARROW_BLOCK;
}

size_t
narrow_bytes(enum narrow_form form, size_t count)
{
	if (form == NARROW_FP16)
		return count * sizeof(uint16_t);
	if (form == NARROW_INT8)
		return blocks_of(count) * sizeof(float) + count;
	return count * sizeof(float);
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

static float
clamp_to_fp16(float value)
{
	if (value > fp16_largest)
		return fp16_largest;
	return value < -fp16_largest ? -fp16_largest : value;
}

static void
pack_fp16(uint16_t *to, const float *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] = half_from_float(clamp_to_fp16(from[i]));
}

static float
scale_of(const float *from, size_t count)
{
	float largest = 0;
	for (size_t i = 0; i < count; i++)
		largest = fmaxf(largest, fabsf(from[i]));
	return largest / INT8_LARGEST;
}

static void
pack_block(int8_t *to, const float *from, size_t count, float scale)
{
	for (size_t i = 0; i < count; i++)
		to[i] = (int8_t)(scale == 0 ? 0 : lrintf(from[i] / scale));
}

static void
pack_int8(float *scales, const float *from, size_t count)
{
	int8_t *to = (int8_t *)(scales + blocks_of(count));
	for (size_t at = 0, block = 0; at < count; at += NARROW_BLOCK, block++) {
		size_t part = count - at < NARROW_BLOCK ? count - at : NARROW_BLOCK;
		scales[block] = scale_of(from + at, part);
		pack_block(to + at, from + at, part, scales[block]);
	}
}

/* Compare with what comes out again, a block at a time. */
static void
add_error(enum narrow_form form, const void *packed, const float *from, size_t count,
	  struct narrow_error *error)
{
	const float *scales = packed;
	float block[NARROW_BLOCK];
	for (size_t at = 0; at < count; at += NARROW_BLOCK) {
		size_t part = count - at < NARROW_BLOCK ? count - at : NARROW_BLOCK;
		if (form == NARROW_FP16)
			half_row_to_float(block, (const uint16_t *)packed + at, (int64_t)part);
		for (size_t i = 0; i < part && form == NARROW_INT8; i++)
			block[i] = scales[at / NARROW_BLOCK] *
				   ((const int8_t *)(scales + blocks_of(count)))[at + i];
		for (size_t i = 0; i < part; i++) {
			double moved = (double)block[i] - from[at + i];
			error->values += (double)from[at + i] * from[at + i];
			error->moved += moved * moved;
		}
	}
}

void
narrow_pack(enum narrow_form form, void *to, const float *from, size_t count,
	    struct narrow_error *error)
{
	if (form == NARROW_FP16)
		pack_fp16(to, from, count);
	else
		pack_int8(to, from, count);
	add_error(form, to, from, count, error);
}

double
narrow_relative_error(const struct narrow_error *error)
{
	return error->values > 0 ? sqrt(error->moved / error->values) : 0;
}

/* --- widening ------------------------------------------------------------------------------------------------------ */

static TARGET_CLONES void
widen_block(float *restrict to, const int8_t *restrict from, size_t count, float scale)
{
	for (size_t i = 0; i < count; i++)
		to[i] = scale * (float)from[i];
}

static TARGET_CLONES void
widen_int8(float *restrict to, const float *restrict scales, size_t count)
{
	const int8_t *from = (const int8_t *)(scales + blocks_of(count));
	size_t whole = count / NARROW_BLOCK;
	for (size_t block = 0; block < whole; block++)
		for (size_t i = 0; i < NARROW_BLOCK; i++)
			to[block * NARROW_BLOCK + i] =
				scales[block] * (float)from[block * NARROW_BLOCK + i];
	size_t at = whole * NARROW_BLOCK;
	if (at < count)
		widen_block(to + at, from + at, count - at, scales[whole]);
}

void
narrow_widen(enum narrow_form form, float *to, const void *from, size_t count)
{
	if (form == NARROW_FP16)
		half_row_to_float(to, from, (int64_t)count);
	else if (form == NARROW_INT8)
		widen_int8(to, from, count);
	else
		memcpy(to, from, count * sizeof(float));
}
