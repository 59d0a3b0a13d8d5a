/*
 * Stage swap: a placed job gets its memory on its device: an extent for its tensors, and the groups of its models that are
 * missing, evicting what the policy names. Main loop; the copies themselves are issued by path_execute.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine_device;
struct engine_model;
struct error;
struct job;
struct residency_load;

/*
 * Trim what the policy names until at least bytes of the device came free, as far as it goes; returns the bytes that did, 0
 * when it named nothing that helps.
 */
uint64_t
swap_evict(struct engine_device *device, uint64_t bytes);

/*
 * A load of the model to the device was begun: it reads the host image and shows in the views. True when the image is on
 * disk.
 */
bool
swap_begin_load(struct engine_device *device, struct engine_model *model);
/* It is over, with that error or NULL; frees it. */
void
swap_end_load(struct engine_device *device, struct engine_model *model, struct residency_load *load,
	      const struct error *error);

/* The m-th model's load is over, with that error or NULL; the job has it no longer. */
void
swap_finish_load(struct job *job, uint32_t m, const struct error *error);

/* Give back what path_swap took: pins, and the extent unless tensors that are still named lie in it. */
void
swap_release(struct job *job);
