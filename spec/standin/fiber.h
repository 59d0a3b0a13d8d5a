/*
 * Fibers: stacks that one OS thread goes to and fro between. Sanitizers are told of every change; ThreadSanitizer takes each
 * for a thread of its own and is not told that a change orders anything.
 */
#pragma once

#include <stddef.h>

struct fiber;

/* The calling thread itself as a fiber. */
struct fiber *
fiber_of_thread(void);

/* One that calls run(context) when it is first switched to; run must not return. */
struct fiber *
fiber_new(void (*run)(void *context), void *context);

/* Neither one may be the running one. restart: as new, whatever it was in the midst of. */
void
fiber_restart(struct fiber *fiber);
void
fiber_delete(struct fiber *fiber);

/* Go on in `to`, until somebody switches back to `from`, the running one. */
void
fiber_switch(struct fiber *from, struct fiber *to);

/* For ThreadSanitizer: all that was done before a publish comes before what follows an observe of the same address. */
void
fiber_publish(void *address);
void
fiber_observe(void *address);
