/*
 * Loops over several threads: OpenMP's, as oneDNN uses, so that both share one pool of threads.
 */
#pragma once

#include <stdint.h>

/* Does elements begin … end-1. */
typedef void
parallel_part_f(void *context, int64_t begin, int64_t end);

/* Split 0 … count-1 among at most `threads` threads, at least grain each; one part runs on the calling thread at once. */
void
parallel_for(unsigned threads, int64_t count, int64_t grain, parallel_part_f *part, void *context);

/*
 * Let the calling thread's helpers end; its next loop starts new ones. For threads that compute once in a while: OpenMP
 * counts the helpers that every thread has, and once they are more than there are cores none looks for work before it
 * sleeps, so that each loop of a program that runs elsewhere costs two wake-ups (measured: EfficientNet-B0 on two threads
 * 10.9 ms instead of 5.2).
 */
void
parallel_rest(void);

/*
 * Call first thing in main, before threads and files are open: runs the program again from its start with OpenMP told to
 * look for work only briefly (0.3 ms instead of 5 after each parallel loop, on cores that others want), unless the
 * environment says how long. OpenMP reads that when it is loaded, before anything of ours runs. Returns when all is well,
 * or when the program cannot be run again; then all works, only less kindly.
 */
void
parallel_settle(char *const arguments[]);
