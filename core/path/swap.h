/*
 * Stage swap: a placed job gets its memory on its device: an extent for its tensors, and the groups of its models that are
 * missing, evicting what the policy names. Main loop; the copies themselves are issued by path_execute.
 */
#pragma once

#include <stdint.h>

struct error;
struct job;

/* The m-th model's load is over, with that error or NULL; the job has it no longer. */
void
swap_finish_load(struct job *job, uint32_t m, const struct error *error);

/* Give back what path_swap took: pins, and the extent unless tensors that are still named lie in it. */
void
swap_release(struct job *job);
