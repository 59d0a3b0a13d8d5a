/*
 * Upkeep of what policies see (script/view.h): ids and tables of models, functions and devices, and the counts in them.
 * Main loop.
 */
#pragma once

#include "path/node.h"

struct job;

/* Tables for the node's devices; 0 or -1. */
int
view_create(struct node *node);
void
view_destroy(struct node *node);

/* Give the model or function an id and a place in the tables. RESOURCE_EXHAUSTED. */
int
view_add_model(struct node *node, struct node_model *model);
void
view_remove_model(struct node *node, struct node_model *model);
int
view_add_function(struct node *node, struct node_function *function);
void
view_remove_function(struct node *node, struct node_function *function);

/* Fill in job->view from its request. */
void
view_job_fill(struct job *job);

/* The job was submitted (+1) or is over (-1). */
void
view_job_counted(struct node *node, const struct job *job, int change);

/* Groups or pins of the model on the device changed. */
void
view_residency_changed(struct node_model *model, struct node_device *device);

/* The pool's free bytes changed. */
void
view_device_memory(struct node_device *device);

/* The device runs job now, or nothing (NULL). */
void
view_device_busy(struct node_device *device, const struct job *job);
