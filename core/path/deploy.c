#include "path/deploy.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "exec/program.h"
#include "path/decode.h"
#include "path/deploy_record.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/models.h"
#include "path/state.h"

/* One deploy on its way. */
struct deploy {
	struct list of_engine;
	struct engine *engine;
	uv_work_t work;
	/* The record's bytes, and what was read from them. */
	unsigned char *data;
	struct arena arena;
	struct deploy_record record;
	struct worker_manifest *manifest;
	char name[ENGINE_NAME_BYTES];
	bool is_kept;
	bool is_running;
	/* By the manifest's order: what to bring in (NULL: there already), what it became, and its place in the registry. */
	const struct model_source *sources[DEPLOY_MODELS_MAX];
	struct model_opened opened[DEPLOY_MODELS_MAX];
	struct engine_model *models[DEPLOY_MODELS_MAX];
	int status;
	struct error error;
	deploy_done_f *done;
	void *context;
};

enum { DEPLOY_ARENA_BYTES = 1 << 20 };

static void
start_next(struct engine *engine);

static void
deploy_free(struct deploy *deploy)
{
	for (uint32_t i = 0; i < DEPLOY_MODELS_MAX; i++) {
		if (deploy->opened[i].model != NULL)
			model_unref(deploy->opened[i].model);
		if (deploy->models[i] != NULL)
			models_unref(deploy->models[i]);
	}
	if (deploy->manifest != NULL)
		worker_manifest_delete(deploy->manifest);
	list_remove(&deploy->of_engine);
	arena_destroy(&deploy->arena);
	free(deploy->data);
	free(deploy);
}

/* Ends the deploy with the calling thread's error, or with success (NULL), and starts the next. */
static void
finish(struct deploy *deploy, const struct error *error)
{
	struct engine *engine = deploy->engine;
	deploy->done(deploy->context, deploy->name, deploy->record.generation, error);
	deploy_free(deploy);
	start_next(engine);
}

static void
fail(struct deploy *deploy)
{
	struct error why = *error_last();
	finish(deploy, &why);
}

static struct slice
slice_of(const char *text)
{
	return (struct slice){ (const unsigned char *)text, strlen(text) };
}

/* --- what the script asks for ------------------------------------------------------------------------------------ */

static int
find_model(struct deploy *deploy, uint32_t i)
{
	const struct deploy_record *record = &deploy->record;
	const char *local = deploy->manifest->model_names[i];
	const char *source = deploy->manifest->model_sources[i];
	for (uint32_t k = 0; k < record->model_count; k++)
		if (slice_is(record->model_names[k], local))
			deploy->sources[i] = &record->models[k];
	if (deploy->sources[i] != NULL) {
		const char *hash = deploy->sources[i]->hash;
		struct engine_model *there =
			hash == NULL ? NULL : models_find_hash(deploy->engine, hash);
		if (there != NULL) {
			deploy->sources[i] = NULL;
			deploy->models[i] = models_ref(there);
		}
		return 0;
	}
	struct engine_model *named = models_find(deploy->engine, slice_of(source));
	if (named == NULL)
		return error_set(ERR_NOT_FOUND,
				 "models.%s: '%s' came with no file and is no loaded model", local,
				 source);
	deploy->models[i] = models_ref(named);
	return 0;
}

static int
find_files(struct deploy *deploy)
{
	const struct worker_manifest *manifest = deploy->manifest;
	for (uint32_t i = 0; i < manifest->file_count; i++) {
		bool found = false;
		for (uint32_t k = 0; k < deploy->record.file_count && !found; k++)
			found = slice_is(deploy->record.file_names[k], manifest->file_names[i]);
		if (!found)
			return error_set(ERR_NOT_FOUND, "files.%s: '%s' did not come along",
					 manifest->file_names[i], manifest->file_sources[i]);
	}
	return 0;
}

static int
choose_name(struct deploy *deploy)
{
	struct slice name = deploy->record.name;
	if (name.bytes == 0 && deploy->manifest->name != NULL)
		name = slice_of(deploy->manifest->name);
	if (name.bytes == 0)
		return error_set(ERR_INVALID_ARGUMENT,
				 "name: neither the request nor the script gives one");
	if (state_check_name("name", name) != 0)
		return -1;
	memcpy(deploy->name, name.data, name.bytes);
	deploy->record.name = slice_of(deploy->name);
	return 0;
}

static int
check_manifest(struct deploy *deploy)
{
	const struct worker_manifest *manifest = deploy->manifest;
	if (manifest->model_count > DEPLOY_MODELS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "models: %u, at most %d",
				 manifest->model_count, DEPLOY_MODELS_MAX);
	if (!manifest->has_handler && manifest->model_count != 1)
		return error_set(ERR_INVALID_ARGUMENT,
				 "handler: missing; only a function with one model can do without");
	if (choose_name(deploy) != 0 || find_files(deploy) != 0)
		return -1;
	for (uint32_t i = 0; i < manifest->model_count; i++)
		if (find_model(deploy, i) != 0)
			return -1;
	return 0;
}

/* --- bringing it in: pool thread ----------------------------------------------------------------------------------- */

static int
fetch_models(struct deploy *deploy)
{
	for (uint32_t i = 0; i < deploy->manifest->model_count; i++)
		if (deploy->sources[i] != NULL &&
		    models_fetch(deploy->engine, deploy->sources[i], &deploy->opened[i]) != 0)
			return error_wrap("models.%s", deploy->manifest->model_names[i]);
	return 0;
}

static int
write_record(struct deploy *deploy)
{
	const char *hashes[DEPLOY_MODELS_MAX];
	struct deploy_record record = deploy->record;
	struct writer writer;
	record.model_count = deploy->manifest->model_count;
	for (uint32_t i = 0; i < record.model_count; i++) {
		record.model_names[i] = slice_of(deploy->manifest->model_names[i]);
		hashes[i] = deploy->models[i] != NULL ? deploy->models[i]->hash
						      : deploy->opened[i].hash;
	}
	writer_create(&writer);
	deploy_record_write(&writer, &record, hashes);
	int status = writer_finish(&writer);
	if (status == 0)
		status = state_write(deploy->engine, "functions", deploy->name,
				     (struct slice){ writer.data, writer.bytes });
	writer_destroy(&writer);
	return status;
}

static void
bring_in(uv_work_t *work)
{
	struct deploy *deploy = work->data;
	deploy->status = fetch_models(deploy);
	if (deploy->status == 0 && !deploy->is_kept)
		deploy->status = write_record(deploy);
	if (deploy->status != 0)
		deploy->error = *error_last();
}

/* --- the new generation -------------------------------------------------------------------------------------------- */

static int
register_models(struct deploy *deploy)
{
	for (uint32_t i = 0; i < deploy->manifest->model_count; i++) {
		char name[ENGINE_NAME_BYTES];
		if (deploy->opened[i].model == NULL)
			continue;
		snprintf(name, sizeof(name), "%.90s/%.30s", deploy->name,
			 deploy->manifest->model_names[i]);
		deploy->models[i] = models_add(deploy->engine, &deploy->opened[i], name);
		deploy->opened[i].model = NULL;
		if (deploy->models[i] == NULL)
			return -1;
	}
	return 0;
}

static struct worker_script *
make_script(struct deploy *deploy, struct generation *generation)
{
	const struct deploy_record *record = &deploy->record;
	const struct worker_manifest *manifest = deploy->manifest;
	const struct config_worker *limits = &deploy->engine->config->worker;
	char chunk[ENGINE_NAME_BYTES * 2];
	const char *files[DEPLOY_FILES_MAX];
	const void *data[DEPLOY_FILES_MAX];
	size_t bytes[DEPLOY_FILES_MAX];
	uint32_t outputs[DEPLOY_MODELS_MAX];
	snprintf(chunk, sizeof(chunk), "%.*s", (int)record->chunk.bytes,
		 (const char *)record->chunk.data);
	for (uint32_t i = 0; i < record->file_count; i++) {
		files[i] = arena_strndup(&deploy->arena, (const char *)record->file_names[i].data,
					 record->file_names[i].bytes);
		data[i] = record->files[i].data;
		bytes[i] = record->files[i].bytes;
		if (files[i] == NULL)
			return NULL;
	}
	for (uint32_t i = 0; i < generation->model_count; i++)
		outputs[i] = model_info(generation->models[i]->model)->output_count;
	struct worker_script_options options = {
		.name = deploy->name,
		.generation = generation->number,
		.chunk = chunk,
		.source = (const char *)record->source.data,
		.source_bytes = record->source.bytes,
		.model_count = generation->model_count,
		.models = (const char *const *)generation->model_names,
		.model_outputs = outputs,
		.file_count = record->file_count,
		.file_names = files,
		.file_data = data,
		.file_bytes = bytes,
		.timeout_ms = manifest->timeout_ms != 0 ? manifest->timeout_ms : limits->timeout_ms,
		.memory_bytes =
			manifest->memory_bytes != 0 ? manifest->memory_bytes : limits->memory_bytes,
		.concurrency =
			manifest->concurrency != 0 ? manifest->concurrency : limits->concurrency,
	};
	return worker_script_new(deploy->engine->workers, &options);
}

static struct generation *
make_generation(struct deploy *deploy)
{
	const struct worker_manifest *manifest = deploy->manifest;
	struct generation *generation = generation_new(manifest->model_count);
	if (generation == NULL)
		return NULL;
	generation->number = deploy->record.generation;
	for (uint32_t i = 0; i < manifest->model_count; i++) {
		generation->model_names[i] = strdup(manifest->model_names[i]);
		generation->models[i] = deploy->models[i];
		deploy->models[i] = NULL;
		generation->model_count++;
	}
	if (manifest->has_handler &&
	    (generation->script = make_script(deploy, generation)) == NULL) {
		generation_unref(generation);
		return NULL;
	}
	return generation;
}

static int
switch_over(struct deploy *deploy)
{
	if (register_models(deploy) != 0)
		return -1;
	struct generation *generation = make_generation(deploy);
	struct engine_function *function =
		generation == NULL ? NULL : functions_make(deploy->engine, deploy->name);
	if (function == NULL) {
		if (generation != NULL)
			generation_unref(generation);
		return -1;
	}
	function->view.slo_percentile = deploy->manifest->slo_percentile / 100;
	function->view.slo_ns = deploy->manifest->slo_ms * 1e6;
	functions_switch(function, generation);
	return 0;
}

static void
brought_in(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct deploy *deploy = work->data;
	if (deploy->status != 0) {
		finish(deploy, &deploy->error);
		return;
	}
	if (switch_over(deploy) != 0) {
		fail(deploy);
		return;
	}
	engine_event(deploy->engine, "function_deployed", deploy->name, NULL);
	finish(deploy, NULL);
}

static void
on_manifest(void *context, struct worker_manifest *manifest, const struct error *error)
{
	struct deploy *deploy = context;
	if (manifest == NULL) {
		struct error why = *error;
		finish(deploy, &why);
		return;
	}
	deploy->manifest = manifest;
	if (check_manifest(deploy) != 0) {
		fail(deploy);
		return;
	}
	const struct engine_function *old = functions_find(deploy->engine, deploy->record.name);
	if (!deploy->is_kept || deploy->record.generation == 0)
		deploy->record.generation = old == NULL ? 1 : old->deployed + 1;
	deploy->work.data = deploy;
	uv_queue_work(&deploy->engine->loop, &deploy->work, bring_in, brought_in);
}

static void
start_next(struct engine *engine)
{
	while (!list_is_empty(&engine->deploys)) {
		struct deploy *deploy = list_entry(engine->deploys.next, struct deploy, of_engine);
		if (deploy->is_running)
			return;
		deploy->is_running = true;
		const struct deploy_record *record = &deploy->record;
		char *chunk = arena_strndup(&deploy->arena, (const char *)record->chunk.data,
					    record->chunk.bytes);
		if (chunk != NULL &&
		    worker_read_manifest(engine->workers, chunk, (const char *)record->source.data,
					 record->source.bytes, on_manifest, deploy) == 0)
			return;
		struct error why = *error_last();
		deploy->done(deploy->context, deploy->name, 0, &why);
		deploy_free(deploy);
	}
}

int
deploy_begin(struct engine *engine, struct slice record, bool is_kept, deploy_done_f *done,
	     void *context)
{
	struct deploy *deploy = calloc(1, sizeof(*deploy));
	if (deploy != NULL)
		deploy->data = malloc(record.bytes + 1);
	if (deploy == NULL || deploy->data == NULL) {
		free(deploy);
		return error_set(ERR_RESOURCE_EXHAUSTED, "function.deploy: no memory");
	}
	memcpy(deploy->data, record.data, record.bytes);
	deploy->engine = engine;
	deploy->is_kept = is_kept;
	deploy->done = done;
	deploy->context = context;
	arena_create(&deploy->arena, DEPLOY_ARENA_BYTES);
	list_create(&deploy->of_engine);
	if (deploy_record_read((struct slice){ deploy->data, record.bytes }, &deploy->record,
			       &deploy->arena) != 0) {
		deploy_free(deploy);
		return -1;
	}
	list_push_back(&engine->deploys, &deploy->of_engine);
	start_next(engine);
	return 0;
}

/* --- after a restart ------------------------------------------------------------------------------------------------ */

static void
restored(void *context, const char *name, uint32_t generation, const struct error *error)
{
	struct engine *engine = context;
	if (error != NULL)
		log_error("state: function '%s' could not be restored: %s", name, error->message);
	else
		log_info("state: function '%s' is back, generation %u", name, generation);
	engine->restore_failures += error != NULL;
	/* What a function that failed needs is kept for the next try. */
	if (--engine->restoring == 0 && engine->restore_failures == 0)
		models_collect(engine);
}

static void
restore_one(void *context, const char *name)
{
	struct engine *engine = context;
	struct slice record;
	if (state_read(engine, "functions", name, &record) != 0) {
		log_error("state: function '%s': %s", name, error_last()->message);
		engine->restore_failures++;
		return;
	}
	engine->restoring++;
	if (deploy_begin(engine, record, true, restored, engine) != 0)
		restored(engine, name, 0, error_last());
	free((void *)(uintptr_t)record.data);
}

int
deploy_restore(struct engine *engine)
{
	return state_each(engine, "functions", restore_one, engine);
}

void
deploy_stop(struct engine *engine)
{
	list_each_safe(link, &engine->deploys) {
		struct deploy *deploy = list_entry(link, struct deploy, of_engine);
		if (deploy->is_running)
			continue;
		error_set(ERR_UNAVAILABLE, "node: shutting down");
		deploy->done(deploy->context, deploy->name, 0, error_last());
		deploy_free(deploy);
	}
}
