/*
 * Submit threads: one a device. It takes jobs from its mailbox and runs the device stage on each; completions go back to
 * the main loop by the node's mailbox.
 */
#pragma once

struct error;
struct job;
struct engine;
struct engine_device;

/* Start the device's thread; 0 or -1. In virtual time there is none: the main loop does its work at once. */
int
submit_start(struct engine_device *device);
/* Let it finish what it has, and join it. */
void
submit_stop(struct engine_device *device);

/* Main loop: the job stands before its device stage. */
void
submit_post(struct job *job);

/* stream_done_f of a job's compute stream and of its copy stream; any thread. */
void
submit_compute_done(void *job, const struct error *error);
void
submit_copy_done(void *job, const struct error *error);

/* Main loop: take what has come back, and dispatch. */
void
submit_complete(struct engine *engine);

/* Main loop: set up and tear down the way back. */
int
submit_open(struct engine *engine);
void
submit_close(struct engine *engine);
