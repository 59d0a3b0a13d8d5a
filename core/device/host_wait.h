/*
 * How a host stream's thread waits: it looks for a moment, then sleeps in the kernel. Real time even when the process
 * clock is virtual.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in ns. */
uint64_t
host_now(void);

/* One look's pause; *end is 0 at first. False once spin_ns have gone by since the first call. */
bool
host_spin(uint64_t *end, uint64_t spin_ns);

/* Sleep while *word is value; may return early. */
void
host_sleep(_Atomic uint32_t *word, uint32_t value);

/* Wake all that sleep on word; does not read it, so it may be gone. */
void
host_wake(_Atomic uint32_t *word);

/* Return at host_now() == time or some microseconds later. */
void
host_sleep_until(uint64_t time);
