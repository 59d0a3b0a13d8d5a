/*
 * Time. Nanoseconds since an arbitrary start, never going back. The simulator puts the whole process on virtual time;
 * scheduler, pool, residency and policies then run on it unchanged.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Now, in ns: CLOCK_MONOTONIC, or the virtual time. Any thread. */
uint64_t
clock_now(void);

/* Switch the process to virtual time starting at `start` ns. Call before any other thread exists. */
void
clock_set_virtual(uint64_t start);

/* Back to CLOCK_MONOTONIC, for specs that are through with virtual time. */
void
clock_set_real(void);

/* Move virtual time to `to` ns; asserts that time is virtual and does not go back. */
void
clock_advance(uint64_t to);

bool
clock_is_virtual(void);
