/*
 * Fault points: named places where memory can run out on demand, so that specs and operators see what the node does then.
 * A point that is not armed costs one load of a flag.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* name of the point, and where it stands */
#define FAULT_POINTS(X)                                                                            \
	/* A new chunk of any arena. */                                                            \
	X(ARENA, "fail_arena")                                                                     \
	/* An extent of any pool. */                                                               \
	X(EXTENT, "fail_extent")

enum fault_point {
#define X(name, key) FAULT_POINT_##name,
	FAULT_POINTS(X)
#undef X
		FAULT_POINT_COUNT,
};

/* Let the n-th pass of the point from now strike, 1 being the next one, once; 0: none. Any thread. */
void
fault_point_arm(enum fault_point point, uint32_t n);

/* Count a pass down; true for the one that is to fail. Any thread. */
bool
fault_point_strikes(enum fault_point point);
