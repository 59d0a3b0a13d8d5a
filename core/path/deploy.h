/*
 * Deploying: a new generation of a function is made aside (manifest read in a worker, models
 * brought in and packed, the script's own tests run, the record written to the state folder) and
 * then switched to. One deploy at a time, in order; a failed one leaves what serves, and is a
 * "deploy_failed" event.
 */
#pragma once

#include "base/error.h"
#include "net/message.h"

struct engine;

/*
 * What function.deploy takes, and what the state folder keeps: a map {name, source, chunk, models={LOCAL={path|data|hash}},
 * files={NAME=bin}, generation}.
 */

/* done is called once, on the main loop: name and generation on success, else error. */
typedef void
deploy_done_f(void *context, const char *name, uint32_t generation, const struct error *error);

enum deploy_origin {
	/* A client's, under a new number. */
	DEPLOY_NEW,
	/* A file of this machine, under a new number unless it is what runs already. */
	DEPLOY_FOLDER,
	/* What ran before the node's restart. */
	DEPLOY_KEPT,
	/* A kept generation, under its old number; its tests ran when it was new. */
	DEPLOY_BACK,
};

/* Queue a deploy of the record, which is copied. 0 or -1 when it makes no sense. */
int
deploy_begin(struct engine *engine, struct slice record, enum deploy_origin origin,
	     deploy_done_f *done, void *context);

/*
 * Queue a deploy of folder/file; the models and files that it names are looked for beside it, then in build/models/NAME of the
 * folder's name. default_name: for a script that does not say its own. 0 or -1.
 */
int
deploy_begin_file(struct engine *engine, const char *folder, const char *file,
		  const char *default_name, deploy_done_f *done, void *context);

/* Go back to a kept generation; 0: the newest one before that which runs. Reads the record. NOT_FOUND, FAILED_PRECONDITION. */
int
deploy_back(struct engine *engine, const char *name, uint32_t generation, deploy_done_f *done,
	    void *context);

/* Queue everything that the state folder has. */
int
deploy_restore(struct engine *engine);

/* Nothing more is deployed; queued ones fail with UNAVAILABLE. */
void
deploy_stop(struct engine *engine);
