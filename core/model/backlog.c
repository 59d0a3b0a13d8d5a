#include "model/backlog.h"

#include <assert.h>
#include <stdatomic.h>

void
backlog_create(struct backlog *backlog, uint64_t room)
{
	backlog->room = room;
	atomic_init(&backlog->bytes, 0);
}

bool
backlog_add(struct backlog *backlog, uint64_t bytes)
{
	uint64_t before = atomic_fetch_add_explicit(&backlog->bytes, bytes, memory_order_relaxed);
	if (before + bytes <= backlog->room)
		return true;
	backlog_take(backlog, bytes);
	return false;
}

void
backlog_take(struct backlog *backlog, uint64_t bytes)
{
	assert(atomic_load_explicit(&backlog->bytes, memory_order_relaxed) >= bytes);
	atomic_fetch_sub_explicit(&backlog->bytes, bytes, memory_order_relaxed);
}
