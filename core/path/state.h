/*
 * The state folder: what was deployed, there again after a restart or kill -9. Every file is written whole (temporary file,
 * fsync, rename).
 *
 *     functions/NAME.mp   a deploy record (deploy.h), MessagePack: the generation in use
 *     generations/NAME@NUMBER.mp  the records of the last generations (generations.h)
 *     models/HASH.onnx    models by content
 *     names/NAME.mp       what model.load named: the hash
 *     policy.mp           {name, source, config} of the policy in force
 *     lock                held by the node that has the folder, with the number of its process
 *     cache/              packed images (model_open's), written behind a deploy's answer (keeping.h) and kept
 *                         within a budget (clearing.h), and notes of what files hash to (known.h)
 */
#pragma once

#include "net/message.h"

struct engine;
struct model_source;

enum {
	STATE_PATH_BYTES = 4096,
	/* Largest deploy record. */
	STATE_RECORD_BYTES = 256 << 20,
};

/*
 * Lock the folder for this node, make the folders in it, and remove what a killed node had not written to its end. -1:
 * FAILED_PRECONDITION when another node has it, or what cannot be made.
 */
int
state_open(struct engine *engine);

/* Let another node have it. Harmless when it is not open. */
void
state_close(struct engine *engine);

/* Pool threads. Path of models/HASH.onnx; NOT_FOUND when it is not there. */
int
state_model_path(const struct engine *engine, const char *hash, char *path);
/* Bring a file, or bytes, in as models/HASH.onnx; hash is MODEL_HASH_BYTES long. */
int
state_store_model_file(const struct engine *engine, const char *from, char *hash);
int
state_store_model(const struct engine *engine, struct slice data, char *hash);
void
state_remove_model(const struct engine *engine, const char *hash);

/* Call visit with the hash of every model in the folder. */
int
state_each_model(const struct engine *engine, void (*visit)(void *context, const char *hash),
		 void *context);

/* Write, read and remove one record of a folder ("functions", "names"; NULL: the state folder itself). */
int
state_write(const struct engine *engine, const char *folder, const char *name, struct slice record);
/* *record's data is malloc'd, the caller's. */
int
state_read(const struct engine *engine, const char *folder, const char *name, struct slice *record);
int
state_remove(const struct engine *engine, const char *folder, const char *name);

/* Call visit with the name of every record of the folder. */
int
state_each(const struct engine *engine, const char *folder,
	   void (*visit)(void *context, const char *name), void *context);

/* True for names that can be records: letters, digits, '.', '_' and '-', not starting with '.', up to 127 bytes. */
int
state_check_name(const char *field, struct slice name);
