#include "base/clock.h"

#include <assert.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

static bool is_virtual;
static uint64_t virtual_now;

uint64_t
clock_now(void)
{
	if (is_virtual)
		return virtual_now;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void
clock_set_virtual(uint64_t start)
{
	is_virtual = true;
	virtual_now = start;
}

void
clock_set_real(void)
{
	is_virtual = false;
}

void
clock_advance(uint64_t to)
{
	assert(is_virtual && to >= virtual_now);
	virtual_now = to;
}

bool
clock_is_virtual(void)
{
	return is_virtual;
}
