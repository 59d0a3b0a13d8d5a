/*
 * Turns on the processor: what the kernel's scheduler is told of a thread or process, so that whoever answers quickly does not
 * wait for whoever works for long. Any thread.
 */
#pragma once

/*
 * It seldom runs for long: woken, it gets the processor before others of its niceness that have had more than a short turn (a
 * slice of 0.1 ms; Linux 6.12 and later, before that as everybody). pid: of a process or thread, 0: the caller. -1 with errno
 * set.
 */
int
turn_be_prompt(int pid);

/* It runs only where nobody else wants the processor (SCHED_IDLE). Without root that is for good. -1 with errno set. */
int
turn_yield_to_all(int pid);
