/*
 * What a thread does that touches memory which it must not: in a kernel that is CUDA's illegal address, elsewhere a crash
 * that says so when it is a device's.
 */
#pragma once

/* Once, before the first kernel; handlers that were there get what is not ours. */
void
trap_install(void);

/*
 * From now on the calling thread, when it touches what it must not, goes on in `caught` instead, on the stack that it is on;
 * caught must not return. NULL: no more.
 */
void
trap_set(void (*caught)(void));

/* What the calling thread touched last that it must not. */
const void *
trap_address(void);
