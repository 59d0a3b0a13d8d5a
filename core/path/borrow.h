/*
 * Borrowing a neighbour's link: part of what a job brings comes from the host over the link of another device, whose own work
 * leaves it idle, and from there over the link between both. Main loop. One job at a time borrows a device's link.
 */
#pragma once

#include <stdint.h>

struct job;
struct residency_load;

/*
 * Why a link was not borrowed: the neighbour is lost, is no peer, hangs on the device's own switch,
 * carries a load of its own or another's, has a link of unknown rate, no room for the pieces under
 * way; or the parameters are narrow.
 */
#define BORROW_REFUSALS(X)                                                                         \
	X(lost)                                                                                    \
	X(unlinked)                                                                                \
	X(shared)                                                                                  \
	X(busy)                                                                                    \
	X(unmeasured)                                                                              \
	X(full)                                                                                    \
	X(narrow)

enum borrow_refusal {
#define X(name) BORROW_##name,
	BORROW_REFUSALS(X)
#undef X
		BORROW_REFUSALS_END
};

/* "busy" and so on. */
const char *
borrow_refusal_name(enum borrow_refusal refusal);

/*
 * Let the load, which is begun and not issued, use the peer's link too when the policy said so and it would help. Otherwise it
 * comes as it would have without, and node.status counts why.
 */
void
borrow_for(struct job *job, struct residency_load *load);

/* The job's copies are over, or were never begun: others may borrow the link. */
void
borrow_end(struct job *job);
