#include "spec/support/pool_picture.h"

static void
add_piece(void *context, uint64_t offset, uint64_t bytes, const void *owner)
{
	struct pool_picture *picture = context;
	if (picture->count < picture->room)
		picture->pieces[picture->count] = (struct pool_piece){ offset, bytes, owner };
	picture->count++;
}

void
pool_picture_take(struct pool_picture *picture, const struct pool *pool)
{
	picture->count = 0;
	pool_map(pool, add_piece, picture);
}
