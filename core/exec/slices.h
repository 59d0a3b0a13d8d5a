/*
 * Slices of host tensors along one axis, and tensors put behind each other: for what the interpreter runs (Scan, sequences).
 */
#pragma once

#include "base/arena.h"
#include "exec/graph.h"

/* Rows `first` … first + count - 1 of the axis (0 … rank - 1), as a tensor of its own in arena. -1: no memory. */
int
slices_take(const struct constant *from, uint32_t axis, int64_t first, int64_t count,
	    struct arena *arena, struct constant *to);

/* As slices_take of one row, the axis being gone. */
int
slices_row(const struct constant *from, uint32_t axis, int64_t row, struct arena *arena,
	   struct constant *to);

/*
 * The tensors behind each other along an axis of theirs; is_new: along a new one, for which they must be of one type.
 * INVALID_ARGUMENT when they do not fit.
 */
int
slices_join(const struct constant *parts, int64_t count, uint32_t axis, bool is_new,
	    struct arena *arena, struct constant *to);
