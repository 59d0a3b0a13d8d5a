/*
 * Upkeep of what policies see (script/view.h): ids and tables of models, functions and devices, and the counts in them.
 * Main loop.
 */
#pragma once

#include "path/engine.h"

struct job;

/* Tables for the node's devices; 0 or -1. */
int
view_create(struct engine *engine);
/* Look at the rates between peers again; view_create did. */
int
view_peers(struct engine *engine);
void
view_destroy(struct engine *engine);

/* Give the model or function an id and a place in the tables. RESOURCE_EXHAUSTED. */
int
view_add_model(struct engine *engine, struct engine_model *model);
void
view_remove_model(struct engine *engine, struct engine_model *model);
int
view_add_function(struct engine *engine, struct engine_function *function);
void
view_remove_function(struct engine *engine, struct engine_function *function);

/* Fill in job->view from its request. */
void
view_job_fill(struct job *job);

/* The job was submitted (+1) or is over (-1). */
void
view_job_counted(struct engine *engine, const struct job *job, int change);

/* The model's times, or what devices have of it, changed. */
void
view_model_changed(struct engine_model *model);

/* Groups or pins of the model on the device changed. */
void
view_residency_changed(struct engine_model *model, struct engine_device *device);

/* The pool's free bytes changed. */
void
view_device_memory(struct engine_device *device);

/* Copies to the device were begun or ended. */
void
view_device_loading(struct engine_device *device);

/* Copies of so many bytes from the host, alone on the device's copy stream, took that long. */
void
view_load_measured(struct engine_device *device, uint64_t bytes, uint64_t ns);

/* ns so far in which other devices behind the device's switch had copies from the host or a peer under way, each counted. */
double
view_neighbours_copied(const struct engine_device *device, uint64_t now);

/* The device runs job from now (ns) on, or nothing (NULL). */
void
view_device_busy(struct engine_device *device, const struct job *job, uint64_t now);

/* Bring the device's busy_ns, copying_ns and idle_ns up to now. Time after the device was lost is in none of them. */
void
view_device_reckon(struct engine_device *device, uint64_t now);
