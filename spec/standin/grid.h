/*
 * Kernels on the CPU: a grid's blocks run one after the other on the stream's thread, the threads of a block in an order that
 * no kernel may rely on. A thread that meets a barrier or a shuffle stays on its fiber until the others are there; before
 * that, a thread costs a call. C, and C++ for <kernel_emulation.h>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_runtime_api.h"

enum {
	GRID_WARP = 32,
	GRID_MAX_BLOCK = 1024,
	GRID_MAX_SHARED = 48 << 10,
	GRID_MAX_PARAMETERS = 4 << 10,
};

/* CUDA's uint3. */
struct grid_index {
	unsigned x;
	unsigned y;
	unsigned z;
};

/* The running thread's place. */
struct grid_place {
	struct grid_index thread;
	struct grid_index block;
	struct grid_index block_size;
	struct grid_index grid_size;
};

#ifdef __cplusplus
extern "C" {
#endif

extern __thread struct grid_place grid_place;

/* One launch. Its closure is copied, bit by bit; the pointers among its parameters are checked. */
struct grid_launch {
	const char *kernel;
	struct grid_index grid;
	struct grid_index block;
	size_t shared;
	cudaStream_t stream;
	/* Its threads do not work together. */
	bool is_flat;
	/* The compiler was told how many threads a block has, so that their registers fit. */
	bool is_bounded;
	/* Runs one thread. */
	void (*thread)(const void *closure);
	const void *closure;
	size_t bytes;
	/* As many as it has parameters; NULL for those that are none. */
	const void *const *pointers;
	size_t pointer_count;
};

/* Put it on its stream; what is wrong with it is for cudaGetLastError. */
void
grid_put(const struct grid_launch *launch);

/* Run it now, on the calling thread. */
cudaError_t
grid_run(const struct grid_launch *launch);

/* --- inside a kernel ------------------------------------------------------------------------------------------------ */

/* The block's dynamic shared memory. */
void *
grid_shared(void);

/* All threads of the block meet; how many of them said so. */
int
grid_barrier(bool said);

/* What lanes of a warp do together. */
enum grid_meeting {
	GRID_MEET_ONLY,
	GRID_MEET_SHUFFLE,
	GRID_MEET_BALLOT,
};

/*
 * The lanes in mask meet. Shuffle: the value that lane `from` gave; ballot: a bit for each lane whose value is not 0, but
 * none of lanes outside the mask.
 */
uint64_t
grid_meet(enum grid_meeting kind, uint32_t mask, uint64_t value, unsigned from);

/* The running thread's lane. */
unsigned
grid_lane(void);

/* Lanes of the warp that have not ended. */
uint32_t
grid_active(void);

#ifdef __cplusplus
}
#endif
