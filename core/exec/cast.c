#include "exec/cast.h"

#include <assert.h>
#include <string.h>

#include "exec/half.h"
#include "exec/target.h"

/* X(number of the element type, C type, kind) */
#define NATIVE_TYPES(X)                                                                            \
	X(FLOAT, float, REAL)                                                                      \
	X(DOUBLE, double, REAL)                                                                    \
	X(INT8, int8_t, WHOLE)                                                                     \
	X(INT16, int16_t, WHOLE)                                                                   \
	X(INT32, int32_t, WHOLE)                                                                   \
	X(INT64, int64_t, WHOLE)                                                                   \
	X(UINT8, uint8_t, WHOLE)                                                                   \
	X(UINT16, uint16_t, WHOLE)                                                                 \
	X(UINT32, uint32_t, WHOLE)                                                                 \
	X(UINT64, uint64_t, WHOLE)                                                                 \
	X(BOOL, uint8_t, TRUTH)

/* The same with the type converted to as further arguments. */
#define FROM_TYPES(X, ...)                                                                         \
	X(FLOAT, float, REAL, __VA_ARGS__)                                                         \
	X(DOUBLE, double, REAL, __VA_ARGS__)                                                       \
	X(INT8, int8_t, WHOLE, __VA_ARGS__)                                                        \
	X(INT16, int16_t, WHOLE, __VA_ARGS__)                                                      \
	X(INT32, int32_t, WHOLE, __VA_ARGS__)                                                      \
	X(INT64, int64_t, WHOLE, __VA_ARGS__)                                                      \
	X(UINT8, uint8_t, WHOLE, __VA_ARGS__)                                                      \
	X(UINT16, uint16_t, WHOLE, __VA_ARGS__)                                                    \
	X(UINT32, uint32_t, WHOLE, __VA_ARGS__)                                                    \
	X(UINT64, uint64_t, WHOLE, __VA_ARGS__)                                                    \
	X(BOOL, uint8_t, TRUTH, __VA_ARGS__)

/* The integer's bits; those above 2^63 are an unsigned integer's. */
static inline uint64_t
whole_of(double value)
{
	if (value >= 18446744073709551616.0)
		return UINT64_MAX;
	if (value >= 9223372036854775808.0)
		return (uint64_t)value;
	if (value < -9223372036854775808.0)
		return (uint64_t)INT64_MIN;
	return value == value ? (uint64_t)(int64_t)value : 0;
}

#define REAL_FROM_REAL(type, x) (type)(x)
#define REAL_FROM_WHOLE(type, x) (type)(x)
#define REAL_FROM_TRUTH(type, x) (type)(x)
#define WHOLE_FROM_REAL(type, x) (type) whole_of(x)
#define WHOLE_FROM_WHOLE(type, x) (type)(x)
#define WHOLE_FROM_TRUTH(type, x) (type)(x)
#define TRUTH_FROM_REAL(type, x) (x) != 0
#define TRUTH_FROM_WHOLE(type, x) (x) != 0
#define TRUTH_FROM_TRUTH(type, x) (x)

#define ROW(FROM, from_type, FROM_KIND, TO, to_type, TO_KIND)                                      \
	static void FROM##_to_##TO(void *out, const void *in, int64_t n)                           \
	{                                                                                          \
		const from_type *from = in;                                                        \
		to_type *to = out;                                                                 \
		for (int64_t i = 0; i < n; i++)                                                    \
			to[i] = TO_KIND##_FROM_##FROM_KIND(to_type, from[i]);                      \
	}
#define ROWS_TO(TO, type, KIND) FROM_TYPES(ROW, TO, type, KIND)
NATIVE_TYPES(ROWS_TO)

enum {
	TYPES = DATA_TYPE_BFLOAT16 + 1,
	/* Elements that conversions of 16-bit floats go by. */
	BLOCK = 256,
};

typedef void
row_f(void *out, const void *in, int64_t n);

#define ENTRY(FROM, from_type, FROM_KIND, TO, to_type, TO_KIND)                                    \
	[DATA_TYPE_##TO][DATA_TYPE_##FROM] = FROM##_to_##TO,
#define ENTRIES_TO(TO, type, KIND) FROM_TYPES(ENTRY, TO, type, KIND)
static row_f *const rows[TYPES][TYPES] = { NATIVE_TYPES(ENTRIES_TO) };

static bool
is_half(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
}

static void
load_half(float *out, enum data_type from, const uint16_t *in, int64_t n)
{
	if (from == DATA_TYPE_FLOAT16) {
		half_row_to_float(out, in, n);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		out[i] = half_bfloat_to_float(in[i]);
}

static void
store_half(enum data_type to, uint16_t *out, const float *in, int64_t n)
{
	if (to == DATA_TYPE_FLOAT16) {
		half_row_from_float(out, in, n);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		out[i] = half_bfloat_from_float(in[i]);
}

/* At most BLOCK elements, by way of floats. */
static void
cast_block(enum data_type to, void *out, enum data_type from, const void *in, int64_t n)
{
	float loaded[BLOCK];
	if (is_half(from)) {
		load_half(loaded, from, in, n);
		in = loaded;
		from = DATA_TYPE_FLOAT;
	}
	if (!is_half(to)) {
		rows[to][from](out, in, n);
		return;
	}
	float converted[BLOCK];
	if (from != DATA_TYPE_FLOAT) {
		rows[DATA_TYPE_FLOAT][from](converted, in, n);
		in = converted;
	}
	store_half(to, out, in, n);
}

void
cast_run(enum data_type to, void *out, enum data_type from, const void *in, int64_t n)
{
	if (to == from) {
		if (out != in)
			memcpy(out, in, (size_t)n * data_type_bytes(to));
		return;
	}
	if (!is_half(to) && !is_half(from)) {
		rows[to][from](out, in, n);
		return;
	}
	for (int64_t i = 0; i < n; i += BLOCK)
		cast_block(to, (char *)out + i * (int64_t)data_type_bytes(to), from,
			   (const char *)in + i * (int64_t)data_type_bytes(from),
			   n - i < BLOCK ? n - i : BLOCK);
}

double
cast_get(enum data_type data_type, const void *data, int64_t i)
{
	double value;
	cast_run(DATA_TYPE_DOUBLE, &value, data_type,
		 (const char *)data + i * (int64_t)data_type_bytes(data_type), 1);
	return value;
}

void
cast_set(enum data_type data_type, void *data, int64_t i, double value)
{
	cast_run(data_type, (char *)data + i * (int64_t)data_type_bytes(data_type),
		 DATA_TYPE_DOUBLE, &value, 1);
}
