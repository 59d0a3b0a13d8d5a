/* Deploy records: the map that function.deploy takes and the state folder keeps, read and written. Any thread. */
#pragma once

#include "base/arena.h"
#include "net/message.h"
#include "path/models.h"

enum {
	DEPLOY_MODELS_MAX = 16,
	DEPLOY_FILES_MAX = 64,
};

struct deploy_record {
	/* Empty when the script is to say. */
	struct slice name;
	struct slice source;
	/* What errors call the source. */
	struct slice chunk;
	uint32_t generation;
	uint32_t model_count;
	struct slice model_names[DEPLOY_MODELS_MAX];
	struct model_source models[DEPLOY_MODELS_MAX];
	uint32_t file_count;
	struct slice file_names[DEPLOY_FILES_MAX];
	struct slice files[DEPLOY_FILES_MAX];
};

/* Read a record; slices point into value, strings are copied to arena. INVALID_ARGUMENT names the field. */
int
deploy_record_read(struct slice value, struct deploy_record *record, struct arena *arena);

/* Write it with every model by its hash. */
void
deploy_record_write(struct writer *writer, const struct deploy_record *record,
		    const char *const *hashes);

/* {path} or {data} or {hash}, as models of a record and model.load have them. */
int
deploy_record_read_source(struct slice value, const char *field, struct model_source *source,
			  struct arena *arena);
