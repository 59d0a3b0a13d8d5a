/*
 * Deploying: a new generation of a function is made aside (manifest read in a worker, models brought in and packed, the
 * record written to the state folder) and then switched to. One deploy at a time, in order; a failed one leaves what serves.
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

/* Queue a deploy of the record, which is copied. is_kept: it comes from the state folder. 0 or -1 when it makes no sense. */
int
deploy_begin(struct engine *engine, struct slice record, bool is_kept, deploy_done_f *done,
	     void *context);

/* Queue everything that the state folder has. */
int
deploy_restore(struct engine *engine);

/* Nothing more is deployed; queued ones fail with UNAVAILABLE. */
void
deploy_stop(struct engine *engine);
