/*
 * Cores of host streams. A copy engine takes no time from what computes, so the threads that stand for one keep off the core
 * where their device computes: the scheduler puts both on one for tens of ms at a time when others have just woken them.
 */
#pragma once

#include <sched.h>
#include <stdatomic.h>

/* The core on which a device computes; any thread. */
struct host_core {
	/* -1: it does not. */
	atomic_int computes_on;
};

void
host_core_create(struct host_core *core);

/* The compute stream's thread: it begins to run something here, or has ended. */
void
host_core_enter(struct host_core *core);
void
host_core_leave(struct host_core *core);

/* Another stream's thread, before it works for some time: go where the device does not compute, of the cores in `allowed`. */
void
host_core_avoid(struct host_core *core, const cpu_set_t *allowed);
