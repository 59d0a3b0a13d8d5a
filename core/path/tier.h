/*
 * Where a model stands on a device: on disk, in host memory, on its way, there in part or in whole, or failed. Public: shown
 * by model.list, counted in node.status, and each change is an event for clients that watch residency. (A model that the
 * node does not know is absent.) Main loop.
 */
#pragma once

#include <stdint.h>

struct engine;
struct engine_device;
struct engine_model;
struct error;

/* X(name), from far to near. */
#define TIERS(X)                                                                                   \
	X(disk)                                                                                    \
	X(host)                                                                                    \
	X(loading)                                                                                 \
	X(partial)                                                                                 \
	X(resident)                                                                                \
	X(failed)

enum tier {
#define X(name) TIER_##name,
	TIERS(X)
#undef X
		TIER_COUNT,
};

/* Of a model on one device. */
struct tier_state {
	enum tier tier;
	/* Why its last load failed; NULL unless it did. Owned. */
	char *reason;
};

const char *
tier_name(enum tier tier);

/* As last looked at. */
const struct tier_state *
tier_state(const struct engine_model *model, const struct engine_device *device);

/* Something about the model on the device may have changed: note where it stands now, and tell who watches. */
void
tier_look(struct engine_model *model, struct engine_device *device);
/* The same on every device: the model's image came to host memory or left it. */
void
tier_look_everywhere(struct engine_model *model);

/* A load of the model to the device failed; shown until one goes well. */
void
tier_note_failure(struct engine_model *model, struct engine_device *device,
		  const struct error *error);

/* The model goes. */
void
tier_forget(struct engine_model *model);
