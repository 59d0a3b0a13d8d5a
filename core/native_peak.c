#include "native_peak.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "exec/parallel.h"
#include "exec/target.h"

enum {
	TRIES = 5,
	/* Sums that do not wait for each other: more than multiply-adds are under way at once. */
	SUMS = 24,
	/* Floats of a sum: the widest register there is. */
	LANES = 16,
	/* Multiply-adds of a try, of every sum. */
	TURNS = 500000,
	MEMORY = 256 << 20,
	MIN_THREADS = 1,
	MAX_THREADS = 1024,
};

struct peak {
	const float *memory;
	int64_t threads;
	/* So that nothing is left out as unused. */
	volatile float sink;
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

/* A GCC vector is of as many registers as it takes; "fma" is what AVX2 has besides. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) &&                             \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FMA_CLONES __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define FMA_CLONES
#endif

/* The sums settle at summand / (1 - factor): a number that no processor needs long for. */
FMA_CLONES static float
burn(float factor, float summand)
{
	lanes sums[SUMS], factors = { 0 }, summands = { 0 };
	float result = 0;
	factors += factor;
	summands += summand;
	for (int k = 0; k < SUMS; k++)
		sums[k] = factors * (float)k;
	for (int i = 0; i < TURNS; i++) {
#pragma GCC unroll 24
		for (int k = 0; k < SUMS; k++)
			sums[k] = sums[k] * factors + summands;
	}
	for (int k = 0; k < SUMS; k++)
		result += sums[k][0];
	return result;
}

TARGET_CLONES static float
read_all(const float *memory, int64_t count)
{
	lanes sums[4] = { { 0 } };
	float result = 0;
	for (int64_t i = 0; i + 4 * LANES <= count; i += 4 * LANES)
		for (int k = 0; k < 4; k++)
			sums[k] += *(const lanes *)(memory + i + k * LANES);
	for (int k = 0; k < 4; k++)
		result += sums[k][0];
	return result;
}

static void
burn_part(void *context, int64_t begin, int64_t end)
{
	struct peak *peak = context;
	for (int64_t i = begin; i < end; i++)
		peak->sink = burn(0.999f, 1e-3f);
}

static void
read_part(void *context, int64_t begin, int64_t end)
{
	struct peak *peak = context;
	int64_t count = MEMORY / (int64_t)sizeof(float);
	int64_t from = count / peak->threads * begin, to = count / peak->threads * end;
	peak->sink = read_all(peak->memory + from, to - from);
}

/* Nanoseconds of the best of some tries. */
static uint64_t
best_of(struct peak *peak, parallel_part_f *part)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < TRIES; i++) {
		uint64_t start = clock_now();
		parallel_for((unsigned)peak->threads, peak->threads, 1, part, peak);
		uint64_t took = clock_now() - start;
		best = took < best ? took : best;
	}
	return best;
}

int
native_peak(lua_State *L)
{
	lua_Integer threads = luaL_checkinteger(L, 1);
	luaL_argcheck(L, threads >= MIN_THREADS && threads <= MAX_THREADS, 1, "threads");
	void *memory = aligned_alloc(LANES * sizeof(float), MEMORY);
	if (memory == NULL) {
		lua_pushnil(L);
		lua_pushliteral(L, "RESOURCE_EXHAUSTED: no memory to read from");
		return 2;
	}
	memset(memory, 0, MEMORY);
	struct peak peak = { .memory = memory, .threads = threads };
	double flops = 2.0 * SUMS * LANES * TURNS * (double)threads;
	lua_createtable(L, 0, 2);
	lua_pushnumber(L, flops * 1e9 / (double)best_of(&peak, burn_part));
	lua_setfield(L, -2, "flops");
	lua_pushnumber(L, (double)MEMORY * 1e9 / (double)best_of(&peak, read_part));
	lua_setfield(L, -2, "bytes");
	free(memory);
	return 1;
}
