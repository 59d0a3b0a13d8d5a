#include <math.h>
#include <stddef.h>

#include "exec/rows.h"
#include "exec/target.h"

/* X(number of the element type, C type, type that arithmetic wraps in) */
#define REALS(X)                                                                                   \
	X(FLOAT, float, float)                                                                     \
	X(DOUBLE, double, double)
#define SIGNED(X)                                                                                  \
	X(INT8, int8_t, uint32_t)                                                                  \
	X(INT16, int16_t, uint32_t)                                                                \
	X(INT32, int32_t, uint32_t)                                                                \
	X(INT64, int64_t, uint64_t)
#define UNSIGNED(X)                                                                                \
	X(UINT8, uint8_t, uint32_t)                                                                \
	X(UINT16, uint16_t, uint32_t)                                                              \
	X(UINT32, uint32_t, uint32_t)                                                              \
	X(UINT64, uint64_t, uint64_t)

/* The vectorised copies are for what models spend time in. */
#define CLONES_FLOAT TARGET_CLONES
#define CLONES_DOUBLE
#define CLONES_INT8
#define CLONES_INT16
#define CLONES_INT32
#define CLONES_INT64
#define CLONES_UINT8
#define CLONES_UINT16
#define CLONES_UINT32
#define CLONES_UINT64
#define CLONES_BOOL

/* One row function; expression is in x and y of C type `type`. */
#define ROW(name, NUMBER, type, result, expression)                                                \
	CLONES_##NUMBER static void name##_##NUMBER(void *out, const void *a, const void *b,       \
						    int64_t n, int64_t step_a, int64_t step_b)     \
	{                                                                                          \
		result *to = out;                                                                  \
		const type *as = a, *bs = b;                                                       \
		if (step_a != 0 && step_b != 0) {                                                  \
			IN_PLACE_LOOP                                                              \
			for (int64_t i = 0; i < n; i++) {                                          \
				type x = as[i], y = bs[i];                                         \
				to[i] = (result)(expression);                                      \
			}                                                                          \
		} else if (step_a != 0) {                                                          \
			type y = bs[0];                                                            \
			IN_PLACE_LOOP                                                              \
			for (int64_t i = 0; i < n; i++) {                                          \
				type x = as[i];                                                    \
				to[i] = (result)(expression);                                      \
			}                                                                          \
		} else {                                                                           \
			type x = as[0];                                                            \
			IN_PLACE_LOOP                                                              \
			for (int64_t i = 0; i < n; i++) {                                          \
				type y = bs[i * step_b];                                           \
				to[i] = (result)(expression);                                      \
			}                                                                          \
		}                                                                                  \
	}

static double
floor_mod(double x, double y)
{
	double rest = fmod(x, y);
	return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

/* x / y and x % y of integers: by 0 gives 0, the smallest number by -1 wraps. */
#define SIGNED_DIV(type, wrap) (y == 0 ? 0 : y == -1 ? (type)((wrap)0 - (wrap)x) : x / y)
#define SIGNED_REM (y == 0 || y == -1 ? 0 : x % y)

#define NUMBER_ROWS(N, type, wrap)                                                                 \
	ROW(add, N, type, type, (wrap)x + (wrap)y)                                                 \
	ROW(sub, N, type, type, (wrap)x - (wrap)y)                                                 \
	ROW(mul, N, type, type, (wrap)x *(wrap)y)                                                  \
	ROW(equal, N, type, uint8_t, x == y)                                                       \
	ROW(less, N, type, uint8_t, x < y)                                                         \
	ROW(less_or_equal, N, type, uint8_t, x <= y)                                               \
	ROW(greater, N, type, uint8_t, x > y)                                                      \
	ROW(greater_or_equal, N, type, uint8_t, x >= y)

/* Max and Min pass NaN on. */
#define REAL_ROWS(N, type, wrap)                                                                   \
	NUMBER_ROWS(N, type, wrap)                                                                 \
	ROW(div, N, type, type, x / y)                                                             \
	ROW(max, N, type, type, x > y || x != x ? x : y)                                           \
	ROW(min, N, type, type, x < y || x != x ? x : y)                                           \
	ROW(mod, N, type, type, floor_mod(x, y))                                                   \
	ROW(fmod, N, type, type, fmod(x, y))                                                       \
	ROW(pow, N, type, type, pow(x, y))                                                         \
	ROW(prelu, N, type, type, x < 0 ? x * y : x)
REALS(REAL_ROWS)

#define INTEGER_ROWS(N, type, wrap)                                                                \
	NUMBER_ROWS(N, type, wrap)                                                                 \
	ROW(max, N, type, type, x > y ? x : y)                                                     \
	ROW(min, N, type, type, x < y ? x : y)                                                     \
	ROW(pow, N, type, type, pow((double)x, (double)y))                                         \
	ROW(and, N, type, type, x &y)                                                              \
	ROW(or, N, type, type, x | y)                                                              \
	ROW(xor, N, type, type, x ^ y)

#define SIGNED_ROWS(N, type, wrap)                                                                 \
	INTEGER_ROWS(N, type, wrap)                                                                \
	ROW(div, N, type, type, SIGNED_DIV(type, wrap))                                            \
	ROW(fmod, N, type, type, SIGNED_REM)                                                       \
	ROW(mod, N, type, type,                                                                    \
	    SIGNED_REM != 0 && (SIGNED_REM < 0) != (y < 0) ? SIGNED_REM + y : SIGNED_REM)          \
	ROW(prelu, N, type, type, x < 0 ? (wrap)x * (wrap)y : (wrap)x)
SIGNED(SIGNED_ROWS)

#define UNSIGNED_ROWS(N, type, wrap)                                                               \
	INTEGER_ROWS(N, type, wrap)                                                                \
	ROW(div, N, type, type, y == 0 ? 0 : x / y)                                                \
	ROW(mod, N, type, type, y == 0 ? 0 : x % y)                                                \
	ROW(fmod, N, type, type, y == 0 ? 0 : x % y)
UNSIGNED(UNSIGNED_ROWS)

ROW(equal, BOOL, uint8_t, uint8_t, x == y)
ROW(and, BOOL, uint8_t, uint8_t, x &&y)
ROW(or, BOOL, uint8_t, uint8_t, x || y)
ROW(xor, BOOL, uint8_t, uint8_t, !x != !y)

enum { TYPES = DATA_TYPE_BFLOAT16 + 1 };

#define NUMBER_ENTRIES(N)                                                                          \
	[ROW_ADD][DATA_TYPE_##N] = add_##N, [ROW_SUB][DATA_TYPE_##N] = sub_##N,                    \
	[ROW_MUL][DATA_TYPE_##N] = mul_##N, [ROW_DIV][DATA_TYPE_##N] = div_##N,                    \
	[ROW_MAX][DATA_TYPE_##N] = max_##N, [ROW_MIN][DATA_TYPE_##N] = min_##N,                    \
	[ROW_POW][DATA_TYPE_##N] = pow_##N, [ROW_MOD][DATA_TYPE_##N] = mod_##N,                    \
	[ROW_FMOD][DATA_TYPE_##N] = fmod_##N, [ROW_EQUAL][DATA_TYPE_##N] = equal_##N,              \
	[ROW_LESS][DATA_TYPE_##N] = less_##N,                                                      \
	[ROW_LESS_OR_EQUAL][DATA_TYPE_##N] = less_or_equal_##N,                                    \
	[ROW_GREATER][DATA_TYPE_##N] = greater_##N,                                                \
	[ROW_GREATER_OR_EQUAL][DATA_TYPE_##N] = greater_or_equal_##N,
#define BIT_ENTRIES(N)                                                                             \
	[ROW_AND][DATA_TYPE_##N] = and_##N, [ROW_OR][DATA_TYPE_##N] = or_##N,                      \
	[ROW_XOR][DATA_TYPE_##N] = xor_##N,

#define PRELU_ENTRY(N, type, wrap) [ROW_PRELU][DATA_TYPE_##N] = prelu_##N,
#define REAL_ENTRY(N, type, wrap) NUMBER_ENTRIES(N)
#define INTEGER_ENTRY(N, type, wrap) NUMBER_ENTRIES(N) BIT_ENTRIES(N)

static row_binary_f *const table[ROW_BINARY_COUNT][TYPES] = {
	REALS(REAL_ENTRY) SIGNED(INTEGER_ENTRY) UNSIGNED(INTEGER_ENTRY) BIT_ENTRIES(BOOL)
		REALS(PRELU_ENTRY) SIGNED(PRELU_ENTRY)[ROW_EQUAL][DATA_TYPE_BOOL] = equal_BOOL,
};

row_binary_f *
row_binary(enum row_binary function, enum data_type data_type)
{
	return table[function][data_type];
}
