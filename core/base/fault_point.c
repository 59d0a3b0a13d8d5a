#include "base/fault_point.h"

#include <stdatomic.h>

/* Passes left until each strikes, 0 when it is not armed. */
static _Atomic uint32_t left[FAULT_POINT_COUNT];

void
fault_point_arm(enum fault_point point, uint32_t n)
{
	atomic_store(&left[point], n);
}

bool
fault_point_strikes(enum fault_point point)
{
	uint32_t now = atomic_load_explicit(&left[point], memory_order_relaxed);
	while (now > 0)
		if (atomic_compare_exchange_weak(&left[point], &now, now - 1))
			return now == 1;
	return false;
}
