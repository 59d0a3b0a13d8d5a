#include "device/host_core.h"

#include <pthread.h>

void
host_core_create(struct host_core *core)
{
	atomic_init(&core->computes_on, -1);
}

void
host_core_enter(struct host_core *core)
{
	atomic_store_explicit(&core->computes_on, sched_getcpu(), memory_order_relaxed);
}

void
host_core_leave(struct host_core *core)
{
	atomic_store_explicit(&core->computes_on, -1, memory_order_relaxed);
}

void
host_core_avoid(struct host_core *core, const cpu_set_t *allowed)
{
	int taken = atomic_load_explicit(&core->computes_on, memory_order_relaxed);
	if (taken < 0 || taken != sched_getcpu())
		return;
	cpu_set_t others = *allowed;
	CPU_CLR(taken, &others);
	if (CPU_COUNT(&others) > 0)
		pthread_setaffinity_np(pthread_self(), sizeof(others), &others);
}
