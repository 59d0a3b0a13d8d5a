/*
 * Clearing the cache folder: when images have come there or models have gone, a pool thread looks
 * whether it is within its budget, and removes the images that were not used for longest
 * (model/shelf.h). Main loop.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct engine;

/* Of an engine. */
struct clearing {
	uv_work_t work;
	bool is_under_way;
	/* Something has changed since it began. */
	bool again;
};

/* Something has changed. Nothing happens in a node that ends, or has no state folder. */
void
clearing_begin(struct engine *engine);

/* Wait until none of it is under way. */
void
clearing_drain(struct engine *engine);
