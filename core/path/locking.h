/*
 * Page-locked images: a GPU copies at its link's rate only from memory that cannot move. An image
 * is locked on a pool thread once it has been brought into host memory, and unlocked before the
 * store drops it. Where the file's own pages cannot be locked, a copy of them takes their place.
 * Nothing is done where no device is a GPU. Main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct engine_model;
struct image;
struct device;
struct image_drop;

enum locking_state {
	/* As it was mapped. */
	LOCKING_NONE,
	LOCKING_UNDER_WAY,
	LOCKING_LOCKED,
	/* It cannot be; copies go at the rate of memory that can move. */
	LOCKING_REFUSED,
};

/* "movable", "locking", "locked" or "refused". */
const char *
locking_name(enum locking_state state);

/* Of one image. */
struct image_lock {
	enum locking_state state;
	/* Whose driver locked it, while UNDER_WAY and LOCKED. */
	struct device *device;
	const struct image *image;
	/* A copy took the place of the file's pages. */
	bool copied;
	/* It is being unlocked and dropped; NULL: it is not. */
	struct image_drop *drop;
};

/* The model's image is in host memory: lock it, if it is not. The model is kept until that is done. */
void
locking_begin(struct engine_model *model);

/* Unlock, now: the image is about to go, or the device was lost. May take some ms. */
void
locking_end(struct engine_model *model);

/* The store drops the image: unlock it and give its pages back, on a pool thread. */
void
locking_drop(struct engine_model *model);

/* A copy from the image is about to be put: what was being unlocked is so by now. Waits for it; that is rare. */
void
locking_wait(struct engine_model *model);

/* Wait until none of this is under way. */
void
locking_drain(struct engine *engine);
