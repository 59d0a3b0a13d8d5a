/*
 * The model registry: models that functions use, each imported once however many functions bring the same file. Main loop,
 * except where said otherwise.
 */
#pragma once

#include "net/message.h"
#include "path/engine.h"

/* Where a model comes from: a file of this machine, or bytes that a client sent. Exactly one is given. */
struct model_source {
	const char *path;
	struct slice data;
	/* Hash of a model that the state folder has already. */
	const char *hash;
};

/* A model that was brought in. */
struct model_opened {
	struct model *model;
	char hash[MODEL_HASH_BYTES];
};

/*
 * Pool thread: bring the source into the state folder under its hash, open it, and compile it for its declared inputs when
 * these leave nothing open. 0, or -1 with the error set.
 */
int
models_fetch(const struct engine *engine, const struct model_source *source,
	     struct model_opened *opened);

/* Put an opened model into the registry (its reference goes with it), or find that it is there. Counted for the caller. */
struct engine_model *
models_add(struct engine *engine, const struct model_opened *opened, const char *name);

/* By name (what model.load gave it) or by hash; NULL when there is none. Not counted. */
struct engine_model *
models_find(struct engine *engine, struct slice name);
struct engine_model *
models_find_hash(struct engine *engine, const char *hash);

/* By the name that model.list shows, a function's own models too; NULL when there is none. Not counted. */
struct engine_model *
models_find_listed(struct engine *engine, struct slice name);

struct engine_model *
models_ref(struct engine_model *model);
/* The last one ends its residencies. Its file stays until models_collect: a deploy may be about to use it. */
void
models_unref(struct engine_model *model);

/* The model's residency on the device, made when it is not there yet. NULL with RESOURCE_EXHAUSTED. */
struct residency *
models_residency(struct engine_model *model, struct engine_device *device);

/* A store_drop_f: the model's image leaves host memory, on a pool thread. context is the node. */
void
models_drop_image(void *context, struct store_entry *entry);

/* Trim the model of that view id on the device; bytes given back. */
uint64_t
models_trim(struct engine *engine, uint32_t id, struct engine_device *device, uint32_t keep);

/* At start: bring back what model.load named. 0 or -1; what fails is logged. */
int
models_restore(struct engine *engine);

/* After a restart: remove the files of models that nothing uses. */
void
models_collect(struct engine *engine);

/* All models of the node go; nothing may run. */
void
models_destroy(struct engine *engine);
