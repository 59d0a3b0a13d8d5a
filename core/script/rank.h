/*
 * Ranks: which worker gives way to which others. The zygote's side: it gives workers their ranks, and a worker gives itself the one that
 * it starts with. What the kernel refuses is left as it is.
 *
 * A worker in the way of others is so for longer than its rank says: the kernel does not leave what it does for a process (pages that are
 * touched first or unmapped, an end) in the midst, and to interrupt another processor takes a virtual machine some 0.1 ms now and then. So
 * one processor is left to those that answer quickly, and to the loop, while there are any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum rank {
	/* Answers quickly, or is not known yet. */
	RANK_PROMPT,
	/* Works for long on a request, and takes a part of a processor with it that others notice. */
	RANK_LONG,
	/* Takes so much that it runs only where nobody else wants the processor (SCHED_IDLE). */
	RANK_HEAVY,
};

/* See which processors there are; in the zygote, before the first worker. */
void
rank_prepare(void);
/*
 * From now on those above RANK_PROMPT, and this process, leave one processor to others, or (false) no longer. Workers are to be
 * given their ranks anew. Nothing where there is one processor only.
 */
void
rank_part(bool apart);
/* pid: 0 for this process. Without root a process does not come back from RANK_HEAVY. */
void
rank_give(pid_t pid, uint32_t rank);
