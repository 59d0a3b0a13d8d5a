/*
 * Simulated devices: the device seam in virtual time. All of a process's simulated devices share one set of events; whoever
 * drives the simulation moves virtual time by these calls, and completion callbacks run inside them. One thread. Same
 * calls, same times: nothing depends on addresses or on the machine.
 *
 * A copy flows at a rate that is shared max-min fairly with the copies beside it: over the device's own link, over what
 * the devices of its switch share, or over the link between two peers. A launch takes its duration_ns. Device memory is
 * address space alone, and no copy touches either side.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct device;

/* When the next thing happens; UINT64_MAX when nothing is under way. */
uint64_t
sim_next(void);

/* Move time to the next thing and do it. False when nothing is under way. */
bool
sim_step(void);

/* Do all that happens up to that time, and move time there. */
void
sim_run_until(uint64_t time);

/*
 * Rate of copies to `to` from its peer `from`, bytes/s, instead of the smaller of their peer_rates; 0: not connected. Before
 * the first such copy. RESOURCE_EXHAUSTED, INVALID_ARGUMENT when one of them is not simulated.
 */
int
sim_set_peer_rate(struct device *to, struct device *from, uint64_t rate);
