/*
 * Keeping images: what an import has packed is written to the state folder on a pool thread, one
 * image after the other, while the model answers from memory already; it begins a moment after the
 * deploy, so as not to take the processor from the first answer. Until then the host store holds
 * it, and nobody page-locks it. A node that is killed before that leaves no image, and packs the
 * model again when it comes back. Main loop.
 */
#pragma once

struct engine;
struct engine_model;

enum keeping_state {
	/* The image is a file of the state folder. */
	KEEPING_KEPT,
	/* It waits to be written, or is being written. */
	KEEPING_WRITING,
	/* It could not be written, and stays in memory. */
	KEEPING_FAILED,
};

/* "kept", "writing" or "memory". */
const char *
keeping_name(enum keeping_state state);

/* With the loop that the node runs. */
void
keeping_open(struct engine *engine);

/* The model came in: see that its images are kept. */
void
keeping_begin(struct engine_model *model);

/* The model goes: its image is not written any more, unless that has begun. */
void
keeping_forget(struct engine_model *model);

/* Wait until everything is written. */
void
keeping_drain(struct engine *engine);
