/*
 * Submit threads: one a device. It takes errands from its mailbox: a job to run the device stage of, a prefetch to issue.
 * They come back to the main loop by the node's mailbox when their device work is done.
 */
#pragma once

#include "base/mailbox.h"

struct error;
struct job;
struct engine;
struct engine_device;

/* What is posted to a submit thread, and back to the main loop: run is called there. Embedded in what owner is. */
struct errand {
	struct mail mail;
	void (*run)(void *owner);
	void *owner;
};

/* Start the device's thread; 0 or -1. In virtual time there is none: the main loop does its work at once. */
int
submit_start(struct engine_device *device);
/* Let it finish what it has, and join it. */
void
submit_stop(struct engine_device *device);

/* Main loop: run the errand on the device's submit thread. */
void
submit_post(struct engine_device *device, struct errand *errand);
/* Any thread: run the errand on the main loop. */
void
submit_post_back(struct engine *engine, struct errand *errand);

/* Main loop: the job stands before its device stage. */
void
submit_job(struct job *job);

/* stream_done_f of a job's compute stream and of all its copy streams; any thread. */
void
submit_compute_done(void *job, const struct error *error);
void
submit_copies_done(void *job, const struct error *error);

/* Main loop: take what has come back, and dispatch. */
void
submit_complete(struct engine *engine);

/* Main loop: set up and tear down the way back. */
int
submit_open(struct engine *engine);
void
submit_close(struct engine *engine);
