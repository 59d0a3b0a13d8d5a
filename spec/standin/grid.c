#include "grid.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "fiber.h"
#include "trap.h"

#if defined(STANDIN_TSAN)
/* A fiber a thread, so that races between threads that meet no barrier are seen, too. */
#define THREADS_A_TURN 1
#else
#define THREADS_A_TURN UINT32_MAX
#endif

__thread struct grid_place grid_place;

enum {
	WARPS = GRID_MAX_BLOCK / GRID_WARP,
	/* Fibers that take turns even where one would do. */
	LEAST_FIBERS = 4,
};

enum state {
	/* Not begun, or it runs. */
	STATE_BUSY,
	STATE_AT_BARRIER,
	STATE_AT_MEETING,
	/* It may go on. */
	STATE_READY,
	STATE_ENDED,
};

/* One thread of the block. */
struct task {
	enum state state;
	struct fiber *fiber;
	/* What it came to the barrier or meeting with. */
	enum grid_meeting kind;
	uint32_t mask;
	uint64_t value;
	unsigned from;
	/* What it leaves with. */
	uint64_t result;
};

/* What an OS thread runs kernels with. */
struct grid {
	const struct grid_launch *launch;
	struct fiber *scheduler;
	/* Fibers without a thread: a ring. */
	struct fiber *idle[GRID_MAX_BLOCK + 1];
	uint32_t first_idle;
	uint32_t idle_count;
	uint32_t fiber_count;
	struct fiber *running;
	/* The present block. */
	struct task tasks[GRID_MAX_BLOCK];
	uint32_t count;
	uint32_t begun;
	uint32_t ended;
	/* The order of its threads: (factor * i + shift) mod count. */
	uint32_t factor;
	uint32_t shift;
	uint32_t current;
	/* Met an error: nothing more of this kernel is run. */
	cudaError_t error;
	/* What ThreadSanitizer knows barriers, warps and the block's begin and end by. */
	char barrier_mark;
	char warp_marks[WARPS];
	char begin_mark;
	char end_mark;
	_Alignas(16) unsigned char shared[GRID_MAX_SHARED];
};

static pthread_key_t grid_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- the OS thread's ------------------------------------------------------------------------------------------------ */

static void
grid_delete(void *context)
{
	struct grid *grid = context;
	for (; grid->idle_count > 0; grid->idle_count--) {
		fiber_delete(grid->idle[grid->first_idle]);
		grid->first_idle = (grid->first_idle + 1) % (GRID_MAX_BLOCK + 1);
	}
	fiber_delete(grid->scheduler);
	free(grid);
}

static void
create_key(void)
{
	pthread_key_create(&grid_key, grid_delete);
	trap_install();
}

static struct grid *
grid_here(void)
{
	pthread_once(&once, create_key);
	struct grid *grid = pthread_getspecific(grid_key);
	if (grid == NULL) {
		grid = calloc(1, sizeof(*grid));
		grid->scheduler = fiber_of_thread();
		pthread_setspecific(grid_key, grid);
	}
	return grid;
}

/* --- threads on fibers ---------------------------------------------------------------------------------------------- */

static void
enter_thread(const struct grid *grid, uint32_t index)
{
	const struct grid_index *size = &grid->launch->block;
	grid_place.thread = (struct grid_index){ index % size->x, index / size->x % size->y,
						 index / size->x / size->y };
}

/* The next thread to begin; false: all have. */
static bool
begin_thread(struct grid *grid)
{
	if (grid->begun == grid->count || grid->error != cudaSuccess)
		return false;
	uint32_t index =
		(uint32_t)(((uint64_t)grid->factor * grid->begun++ + grid->shift) % grid->count);
	grid->current = index;
	enter_thread(grid, index);
	return true;
}

/* What a fiber does: threads that were not begun, then nothing until there are more. */
static void
run_fiber(void *context)
{
	struct grid *grid = context;
	for (;;) {
		for (uint32_t turn = 0; turn < THREADS_A_TURN && begin_thread(grid); turn++) {
			fiber_observe(&grid->begin_mark);
			grid->launch->thread(grid->launch->closure);
			fiber_publish(&grid->end_mark);
			grid->tasks[grid->current].state = STATE_ENDED;
			grid->ended++;
		}
		struct fiber *self = grid->running;
		grid->idle[(grid->first_idle + grid->idle_count++) % (GRID_MAX_BLOCK + 1)] = self;
		fiber_switch(self, grid->scheduler);
	}
}

static struct fiber *
take_fiber(struct grid *grid)
{
	if (grid->idle_count == 0 || (THREADS_A_TURN == 1 && grid->fiber_count < LEAST_FIBERS)) {
		grid->fiber_count++;
		return fiber_new(run_fiber, grid);
	}
	struct fiber *fiber = grid->idle[grid->first_idle];
	grid->first_idle = (grid->first_idle + 1) % (GRID_MAX_BLOCK + 1);
	grid->idle_count--;
	return fiber;
}

/* From the scheduler: go on in fiber until it waits. */
static void
resume(struct grid *grid, struct fiber *fiber)
{
	grid->running = fiber;
	fiber_switch(grid->scheduler, fiber);
	grid->running = NULL;
}

/* From a thread: wait until the scheduler finds it STATE_READY. */
static struct task *
wait_in(struct grid *grid, enum state state)
{
	uint32_t index = grid->current;
	struct task *task = &grid->tasks[index];
	task->state = state;
	task->fiber = grid->running;
	fiber_switch(task->fiber, grid->scheduler);
	grid->current = index;
	enter_thread(grid, index);
	return task;
}

/* --- barriers and meetings ------------------------------------------------------------------------------------------ */

/* The kernel has done what none may. Does not return when called by a thread of it. */
static void
fail_kernel(struct grid *grid, const char *what)
{
	const struct grid_index *thread = &grid_place.thread, *block = &grid_place.block;
	grid->error = cudaErrorLaunchFailure;
	call_misuse(cudaErrorLaunchFailure, "%s, thread %u,%u,%u of block %u,%u,%u: %s",
		    grid->launch->kernel, thread->x, thread->y, thread->z, block->x, block->y,
		    block->z, what);
	fiber_publish(&grid->end_mark);
	if (grid->running != NULL)
		wait_in(grid, STATE_BUSY);
}

int
grid_barrier(bool said)
{
	struct grid *grid = grid_here();
	if (grid->launch->is_flat)
		fail_kernel(grid, "a barrier in a kernel launched as flat");
	grid->tasks[grid->current].value = said;
	fiber_publish(&grid->barrier_mark);
	struct task *task = wait_in(grid, STATE_AT_BARRIER);
	fiber_observe(&grid->barrier_mark);
	return (int)task->result;
}

/* All threads stand at the barrier, or some never will. */
static bool
open_barrier(struct grid *grid)
{
	uint64_t said = 0;
	for (uint32_t i = 0; i < grid->count; i++) {
		if (grid->tasks[i].state != STATE_AT_BARRIER)
			return false;
		said += grid->tasks[i].value;
	}
	for (uint32_t i = 0; i < grid->count; i++) {
		grid->tasks[i].result = said;
		grid->tasks[i].state = STATE_READY;
	}
	return true;
}

unsigned
grid_lane(void)
{
	return grid_here()->current % GRID_WARP;
}

uint32_t
grid_active(void)
{
	struct grid *grid = grid_here();
	uint32_t first = grid->current / GRID_WARP * GRID_WARP, active = 0;
	for (uint32_t i = first; i < first + GRID_WARP && i < grid->count; i++)
		active |= (uint32_t)(grid->tasks[i].state != STATE_ENDED) << (i - first);
	return active;
}

static bool
has_met(const struct task *task, uint32_t mask, enum grid_meeting kind)
{
	return task->state == STATE_AT_MEETING && task->mask == mask && task->kind == kind;
}

/* When all lanes of mask are there: what each of them gets. warp: its first task. */
static void
hold_meeting(struct task *warp, uint32_t mask, enum grid_meeting kind)
{
	uint32_t ballot = 0;
	for (unsigned lane = 0; lane < GRID_WARP; lane++) {
		if ((mask >> lane & 1) == 0)
			continue;
		if (!has_met(&warp[lane], mask, kind))
			return;
		ballot |= (uint32_t)(warp[lane].value != 0) << lane;
	}
	for (unsigned lane = 0; lane < GRID_WARP; lane++) {
		if ((mask >> lane & 1) == 0)
			continue;
		warp[lane].result =
			kind == GRID_MEET_SHUFFLE ? warp[warp[lane].from].value : ballot;
		warp[lane].state = STATE_READY;
	}
}

uint64_t
grid_meet(enum grid_meeting kind, uint32_t mask, uint64_t value, unsigned from)
{
	struct grid *grid = grid_here();
	unsigned lane = grid->current % GRID_WARP;
	uint32_t warp = grid->current / GRID_WARP;
	if (grid->launch->is_flat)
		fail_kernel(grid, "lanes meet in a kernel launched as flat");
	if ((mask >> lane & 1) == 0)
		fail_kernel(grid, "a lane's mask has not the lane itself");
	if (kind == GRID_MEET_SHUFFLE && (mask >> from & 1) == 0)
		fail_kernel(grid, "a value is taken from a lane that is not in the mask");
	struct task *task = &grid->tasks[grid->current];
	task->kind = kind;
	task->mask = mask;
	task->value = value;
	task->from = from;
	fiber_publish(&grid->warp_marks[warp]);
	wait_in(grid, STATE_AT_MEETING);
	fiber_observe(&grid->warp_marks[warp]);
	return task->result;
}

void *
grid_shared(void)
{
	return grid_here()->shared;
}

/* --- a block -------------------------------------------------------------------------------------------------------- */

/* Let those go on that may; false: none may. */
static bool
resume_ready(struct grid *grid)
{
	bool any = false;
	for (uint32_t i = 0; i < grid->count && grid->error == cudaSuccess; i++) {
		uint32_t index =
			(uint32_t)(((uint64_t)grid->factor * i + grid->shift) % grid->count);
		struct task *task = &grid->tasks[index];
		if (task->state != STATE_READY)
			continue;
		task->state = STATE_BUSY;
		any = true;
		resume(grid, task->fiber);
	}
	return any;
}

static void
hold_meetings(struct grid *grid)
{
	for (uint32_t i = 0; i < grid->count; i++) {
		const struct task *task = &grid->tasks[i];
		if (task->state == STATE_AT_MEETING)
			hold_meeting(&grid->tasks[i / GRID_WARP * GRID_WARP], task->mask,
				     task->kind);
	}
}

/* After an error: fibers that stand in the midst of a thread begin anew. */
static void
abandon(struct grid *grid)
{
	fiber_observe(&grid->barrier_mark);
	for (int warp = 0; warp < WARPS; warp++)
		fiber_observe(&grid->warp_marks[warp]);
	for (uint32_t i = 0; i < grid->count; i++) {
		struct task *task = &grid->tasks[i];
		if (task->fiber == NULL || task->state == STATE_ENDED)
			continue;
		fiber_restart(task->fiber);
		grid->idle[(grid->first_idle + grid->idle_count++) % (GRID_MAX_BLOCK + 1)] =
			task->fiber;
	}
}

static void
run_block(struct grid *grid)
{
	memset(grid->tasks, 0, grid->count * sizeof(grid->tasks[0]));
	grid->begun = grid->ended = 0;
	fiber_publish(&grid->begin_mark);
	while (grid->begun < grid->count && grid->error == cudaSuccess)
		resume(grid, take_fiber(grid));
	while (grid->ended < grid->count && grid->error == cudaSuccess) {
		hold_meetings(grid);
		if (!resume_ready(grid) && !open_barrier(grid))
			fail_kernel(grid, "threads wait for others that do not come");
	}
	fiber_observe(&grid->end_mark);
	if (grid->error != cudaSuccess)
		abandon(grid);
}

/* --- a grid --------------------------------------------------------------------------------------------------------- */

static uint32_t
common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* An order of count things that depends on seed: a factor without a common divisor with count, and a shift. */
static void
choose_order(uint64_t seed, uint32_t count, uint32_t *factor, uint32_t *shift)
{
	uint64_t mixed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	*shift = (uint32_t)(mixed >> 33) % count;
	*factor = (uint32_t)(mixed >> 13) % count;
	while (common_divisor(*factor, count) != 1)
		*factor = (*factor + 1) % (count + 1);
}

/* Where a thread that touches what it must not goes on; see trap.h. */
static void
trapped(void)
{
	struct grid *grid = grid_here();
	const struct grid_index *thread = &grid_place.thread, *block = &grid_place.block;
	call_note("%s, thread %u,%u,%u of block %u,%u,%u: an illegal address: %p",
		  grid->launch->kernel, thread->x, thread->y, thread->z, block->x, block->y,
		  block->z, trap_address());
	grid->error = cudaErrorIllegalAddress;
	fiber_publish(&grid->end_mark);
	wait_in(grid, STATE_BUSY);
}

cudaError_t
grid_run(const struct grid_launch *launch)
{
	struct grid *grid = grid_here();
	const struct grid_index *size = &launch->grid;
	uint64_t blocks = (uint64_t)size->x * size->y * size->z;
	uint32_t factor, shift;
	grid->launch = launch;
	grid->error = cudaSuccess;
	grid->count = launch->block.x * launch->block.y * launch->block.z;
	grid_place.block_size = launch->block;
	grid_place.grid_size = launch->grid;
	choose_order(blocks, size->x, &factor, &shift);
	trap_set(trapped);
	for (uint64_t i = 0; i < blocks && grid->error == cudaSuccess; i++) {
		uint64_t x = (factor * (i % size->x) + shift) % size->x;
		grid_place.block =
			(struct grid_index){ (unsigned)x, (unsigned)(i / size->x % size->y),
					     (unsigned)(i / size->x / size->y) };
		choose_order(i, grid->count, &grid->factor, &grid->shift);
		run_block(grid);
	}
	trap_set(NULL);
	return grid->error;
}
