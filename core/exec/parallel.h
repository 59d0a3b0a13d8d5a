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
