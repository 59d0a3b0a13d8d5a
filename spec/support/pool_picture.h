/*
 * What pool_map shows, in an array, for specs: C must not call into Lua from compiled code.
 */
#pragma once

#include "device/pool.h"

struct pool_piece {
	uint64_t offset;
	uint64_t bytes;
	/* NULL: free. */
	const void *owner;
};

struct pool_picture {
	struct pool_piece *pieces;
	uint32_t room;
	/* Pieces there are, even when room is less. */
	uint32_t count;
};

void
pool_picture_take(struct pool_picture *picture, const struct pool *pool);
