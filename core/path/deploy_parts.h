/*
 * Inside deploying: one deploy on its way, and what the files of it ask of one another. deploy.c has the queue and the steps in
 * order, deploy_sources.c what a script asks for and where that comes from, deploy_restore.c what the state folder has.
 */
#pragma once

#include <uv.h>

#include "path/deploy.h"
#include "path/deploy_record.h"
#include "path/deploy_test.h"
#include "path/engine.h"
#include "path/generations.h"

struct deploy {
	struct list of_engine;
	struct engine *engine;
	uv_work_t work;
	enum deploy_origin origin;
	/* The record's bytes, and what was read from them. */
	unsigned char *data;
	struct arena arena;
	struct deploy_record record;
	struct worker_manifest *manifest;
	char name[ENGINE_NAME_BYTES];
	/* DEPLOY_FOLDER: where the script lies, and the name of a script that does not say its own; strings of the arena. */
	const char *folder;
	const char *default_name;
	/* Contents of the folder's files; malloc'd. */
	void *file_data[DEPLOY_FILES_MAX];
	/* It is what the function runs already: nothing is done. */
	bool is_unchanged;
	bool is_running;
	/* By the manifest's order: what to bring in (NULL: there already), what it became, and its place in the registry. */
	const struct model_source *sources[DEPLOY_MODELS_MAX];
	struct model_source found[DEPLOY_MODELS_MAX];
	struct model_opened opened[DEPLOY_MODELS_MAX];
	struct engine_model *models[DEPLOY_MODELS_MAX];
	/* Made aside, until it is switched to; and its tests while they run. */
	struct generation *generation;
	struct deploy_test *test;
	/* Generations that are kept no longer. */
	uint32_t gone_count;
	uint32_t gone[GENERATIONS_MAX];
	int status;
	struct error error;
	deploy_done_f *done;
	void *context;
};

/* --- deploy_sources.c ----------------------------------------------------------------------------------------------- */

/* The script was read: settle its name, and find what it asks for. 0 or -1. */
int
deploy_check_manifest(struct deploy *deploy);

/* Pool thread: bring in models, and the files of a folder; find whether anything has changed. 0 or -1. */
int
deploy_bring_in(struct deploy *deploy);

/* Pool thread: the record with every model by its hash, into writer (which the caller destroys). 0 or -1. */
int
deploy_encode(const struct deploy *deploy, struct writer *writer);
