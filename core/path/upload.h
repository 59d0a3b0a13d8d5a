/*
 * Uploads: what a job's tensors bring to its device. Submit thread.
 */
#pragma once

#include <stddef.h>

struct job;

enum {
	/* Tensors up to this long lie side by side on the device, and come in one copy. */
	UPLOAD_SMALL_BYTES = 4096,
};

/* Put the copies of tensors that are new on the job's device on its compute stream. -1 with the error set. */
int
upload_tensors(struct job *job);
