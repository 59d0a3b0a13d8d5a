/*
 * Guard: runs code of a Lua state that may never return, and comes back all the same, on the same thread.
 *
 * A count hook does not stop Lua that LuaJIT has compiled, so time is kept from outside. Entering and leaving a guarded
 * call each raise an atomic ticket; no clock is read and no system call made. A watchdog thread looks at the ticket every
 * GUARD_POLL_MS and, when one call has used up its processor time, sends a signal to the guarded thread. The handler jumps out
 * of the call (siglongjmp); the Lua state is then in the middle of anything, so it is abandoned, never entered or closed
 * again. That is sound only where the interrupted code holds no lock of the process. LuaJIT's own code and the machine
 * code that it makes hold none, nor do libc's memory functions, where a search of a huge string spends its time.
 * Elsewhere (the unwinder that Lua errors go through takes locks) the handler lets the code go on, and the watchdog
 * signals again a moment later: no loop is elsewhere for long.
 *
 * A read outside the views (SIGSEGV, SIGBUS in LuaJIT's or compiled code) ends a guarded call in the same way.
 *
 * When nothing was called for a second the watchdog sleeps until the next call, which then makes one system call to wake it.
 */
#pragma once

#include <stdint.h>

struct guard;

enum { GUARD_POLL_MS = 10 };

enum guard_end {
	GUARD_RETURNED,
	/* It used up its time. */
	GUARD_OVERDUE,
	/* It touched memory that is not there. */
	GUARD_CRASHED,
};

/* A guard for the calling thread, whose calls may use timeout_ns of processor time each. NULL with the error set. */
struct guard *
guard_new(uint64_t timeout_ns);

/* On the thread that made it, outside of its calls. */
void
guard_delete(struct guard *guard);

/*
 * Call body. Only GUARD_RETURNED means that it returned; else whatever it held is lost: it may not own memory, locks or
 * files outside of the Lua state. Guarded calls do not nest on one thread.
 */
enum guard_end
guard_run(struct guard *guard, void (*body)(void *argument), void *argument);
