#include "path/loop.h"

#include "base/clock.h"
#include "path/engine.h"

enum {
	/* A client that asks again at once is back within this time, the wake-up on its side included. */
	SPIN_NS = 60 * 1000,
	/* After so many vain spins in a row the loop spins only once in 2^so-many chances. */
	PATIENCE_MAX = 7,
};

struct spinning {
	/* Vain spins in a row, up to PATIENCE_MAX; and chances to let pass before the next spin. */
	uint32_t vain;
	uint32_t skips;
};

/* Look for work until some comes or the time is over; 1 when some came. */
static int
spin(struct engine *engine)
{
	uint64_t seen = engine->activity, end = clock_now() + SPIN_NS;
	while (!engine->stopping && engine->activity == seen && clock_now() < end) {
		uv_run(&engine->loop, UV_RUN_NOWAIT);
		__builtin_ia32_pause();
	}
	return engine->activity != seen;
}

/* 1 when it is worth to look around once more before sleeping. */
static int
look_around(struct engine *engine, struct spinning *state)
{
	if (state->skips > 0) {
		state->skips--;
		return 0;
	}
	if (spin(engine)) {
		state->vain = 0;
		return 1;
	}
	if (state->vain < PATIENCE_MAX)
		state->vain++;
	state->skips = (1u << state->vain) - 1;
	return 0;
}

void
loop_run(struct engine *engine)
{
	struct spinning state = { 0 };
	while (!engine->stopping) {
		uint64_t seen = engine->activity;
		uv_run(&engine->loop, UV_RUN_ONCE);
		if (engine->activity == seen)
			continue;
		while (!engine->stopping && look_around(engine, &state)) {
		}
	}
}
