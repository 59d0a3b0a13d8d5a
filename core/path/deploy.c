#include "path/deploy.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "exec/program.h"
#include "path/decode.h"
#include "path/deploy_parts.h"
#include "path/functions.h"
#include "path/models.h"
#include "path/state.h"

enum {
	DEPLOY_ARENA_BYTES = 1 << 20,
	/* Largest script that is read from a folder. */
	SCRIPT_BYTES = 16 << 20,
};

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
	if (deploy->generation != NULL)
		generation_unref(deploy->generation);
	if (deploy->manifest != NULL)
		worker_manifest_delete(deploy->manifest);
	for (uint32_t i = 0; i < DEPLOY_FILES_MAX; i++)
		free(deploy->file_data[i]);
	list_remove(&deploy->of_engine);
	arena_destroy(&deploy->arena);
	free(deploy->data);
	free(deploy);
}

static void
tell_failure(struct deploy *deploy, const struct error *error)
{
	char name[ENGINE_NAME_BYTES];
	struct slice named = deploy->record.name;
	/* Before the script was read only a client may have said its name. */
	snprintf(name, sizeof(name), "%.*s", (int)named.bytes,
		 named.bytes == 0 ? "" : (const char *)named.data);
	engine_event(deploy->engine, "deploy_failed", named.bytes == 0 ? deploy->name : name,
		     error->message);
}

/* Ends the deploy with the calling thread's error, or with success (NULL), and starts the next. */
static void
finish(struct deploy *deploy, const struct error *error)
{
	struct engine *engine = deploy->engine;
	struct engine_function *function =
		deploy->generation == NULL ? NULL : deploy->generation->function;
	if (error != NULL && function != NULL)
		functions_forget_empty(function);
	if (error != NULL && deploy->origin != DEPLOY_KEPT)
		tell_failure(deploy, error);
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

/* The node ends: the deploy is over. */
static bool
is_stopping(struct deploy *deploy)
{
	if (!deploy->engine->stopping)
		return false;
	error_set(ERR_UNAVAILABLE, "node: shutting down");
	fail(deploy);
	return true;
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
		.owner = generation,
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
		.limits = manifest->limits,
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
	generation->batch_max = (uint32_t)manifest->batch_max;
	generation->batch_window_ns = (uint64_t)(manifest->batch_window_ms * 1e6);
	if (manifest->has_handler &&
	    (generation->script = make_script(deploy, generation)) == NULL) {
		generation_unref(generation);
		return NULL;
	}
	return generation;
}

/* Requests can be put together only along a first dimension that the model leaves open. */
static int
check_port(const char *what, const struct model_port *port)
{
	const struct tensor_type *type = &port->type;
	if (type->rank > 0 && type->dims[0] == TENSOR_DYNAMIC)
		return 0;
	if (type->rank == 0)
		return error_set(ERR_INVALID_ARGUMENT,
				 "%s '%s' is a scalar: batch needs a first dimension that is open",
				 what, port->name);
	return error_set(ERR_INVALID_ARGUMENT,
			 "%s '%s' has %lld as its first dimension: batch needs an open one", what,
			 port->name, (long long)type->dims[0]);
}

static int
check_batch(const struct generation *generation)
{
	for (uint32_t m = 0; m < generation->model_count && generation->batch_max > 1; m++) {
		const struct model_info *info = model_info(generation->models[m]->model);
		int status = 0;
		for (uint32_t i = 0; i < info->input_count && status == 0; i++)
			status = check_port("input", &info->inputs[i]);
		for (uint32_t i = 0; i < info->output_count && status == 0; i++)
			status = check_port("output", &info->outputs[i]);
		if (status != 0)
			return error_wrap("models.%s", generation->model_names[m]);
	}
	return 0;
}

/* Make the generation aside; requests may test it, and nobody else has it yet. */
static int
make_aside(struct deploy *deploy)
{
	if (register_models(deploy) != 0)
		return -1;
	struct engine_function *function = functions_make(deploy->engine, deploy->name);
	if (function == NULL)
		return -1;
	deploy->generation = make_generation(deploy);
	if (deploy->generation == NULL || check_batch(deploy->generation) != 0) {
		struct error why = *error_last();
		if (deploy->generation != NULL)
			generation_unref(deploy->generation);
		deploy->generation = NULL;
		functions_forget_empty(function);
		return error_restore(&why);
	}
	functions_attach(function, deploy->generation);
	return 0;
}

static int
switch_over(struct deploy *deploy)
{
	struct engine *engine = deploy->engine;
	struct generation *generation = deploy->generation;
	struct engine_function *function = generation->function;
	if (function->removed)
		return error_set(ERR_ABORTED, "function '%s': removed meanwhile", deploy->name);
	function->view.slo_percentile = deploy->manifest->slo_percentile / 100;
	function->view.slo_ns = deploy->manifest->slo_ms * 1e6;
	deploy->generation = NULL;
	functions_switch(function, generation);
	engine_event(engine,
		     deploy->origin == DEPLOY_BACK ? "function_rolled_back" : "function_deployed",
		     deploy->name, NULL);
	return 0;
}

/* --- keeping it ----------------------------------------------------------------------------------------------------- */

/* Pool thread: the record among the kept generations, then as the one in use. */
static void
keep(uv_work_t *work)
{
	struct deploy *deploy = work->data;
	const struct engine *engine = deploy->engine;
	struct writer writer;
	writer_create(&writer);
	deploy->status = deploy_encode(deploy, &writer);
	struct slice record = { writer.data, writer.bytes };
	if (deploy->status == 0)
		deploy->status =
			generations_write(engine, deploy->name, deploy->record.generation, record);
	if (deploy->status == 0)
		deploy->status = state_write(engine, "functions", deploy->name, record);
	for (uint32_t i = 0; i < deploy->gone_count && deploy->status == 0; i++)
		generations_erase(engine, deploy->name, deploy->gone[i]);
	if (deploy->status != 0)
		deploy->error = *error_last();
	writer_destroy(&writer);
}

static void
kept(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct deploy *deploy = work->data;
	if (is_stopping(deploy))
		return;
	if (deploy->status == 0 && switch_over(deploy) == 0) {
		finish(deploy, NULL);
		return;
	}
	if (deploy->status == 0)
		deploy->error = *error_last();
	struct generations *generations = generations_find(deploy->engine, deploy->name);
	if (generations != NULL && deploy->origin != DEPLOY_KEPT)
		generations_forget(generations, deploy->record.generation);
	finish(deploy, &deploy->error);
}

/* It has passed everything: keep it, then switch to it. */
static void
keep_and_switch(struct deploy *deploy)
{
	struct engine *engine = deploy->engine;
	const struct engine_function *function = deploy->generation->function;
	if (deploy->origin == DEPLOY_KEPT) {
		deploy->status = 0;
		kept(&deploy->work, 0);
		return;
	}
	struct generations *generations = generations_make(engine, deploy->name);
	if (generations == NULL) {
		fail(deploy);
		return;
	}
	deploy->gone_count = generations_add(
		generations, engine->config->generations, deploy->record.generation,
		function->current == NULL ? 0 : function->current->number, deploy->gone);
	uv_queue_work(&engine->loop, &deploy->work, keep, kept);
}

/* --- the steps ------------------------------------------------------------------------------------------------------ */

static void
tested(void *context, const struct error *error)
{
	struct deploy *deploy = context;
	if (error == NULL) {
		keep_and_switch(deploy);
		return;
	}
	struct error why = *error;
	finish(deploy, &why);
}

static void
bring_in(uv_work_t *work)
{
	struct deploy *deploy = work->data;
	deploy->status = deploy_bring_in(deploy);
	if (deploy->status != 0)
		deploy->error = *error_last();
}

static void
brought_in(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct deploy *deploy = work->data;
	const struct worker_manifest *manifest = deploy->manifest;
	bool is_new = deploy->origin == DEPLOY_NEW || deploy->origin == DEPLOY_FOLDER;
	if (is_stopping(deploy))
		return;
	if (deploy->status != 0)
		finish(deploy, &deploy->error);
	else if (deploy->is_unchanged)
		finish(deploy, NULL);
	else if (make_aside(deploy) != 0)
		fail(deploy);
	else if (is_new && manifest->tests_bytes > 0)
		deploy_test_run(deploy->engine, deploy->generation,
				(struct slice){ manifest->tests, manifest->tests_bytes },
				&deploy->test, tested, deploy);
	else
		keep_and_switch(deploy);
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
	if (is_stopping(deploy))
		return;
	if (deploy_check_manifest(deploy) != 0) {
		fail(deploy);
		return;
	}
	const struct engine_function *old = functions_find(deploy->engine, deploy->record.name);
	if (deploy->origin == DEPLOY_NEW || deploy->origin == DEPLOY_FOLDER ||
	    deploy->record.generation == 0)
		deploy->record.generation = generations_next(deploy->engine, old, deploy->name);
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

/* A deploy in the queue's arms; NULL with RESOURCE_EXHAUSTED. */
static struct deploy *
deploy_new(struct engine *engine, enum deploy_origin origin, deploy_done_f *done, void *context)
{
	struct deploy *deploy = calloc(1, sizeof(*deploy));
	if (deploy == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "function.deploy: no memory");
		return NULL;
	}
	deploy->engine = engine;
	deploy->origin = origin;
	deploy->done = done;
	deploy->context = context;
	deploy->work.data = deploy;
	arena_create(&deploy->arena, DEPLOY_ARENA_BYTES);
	list_create(&deploy->of_engine);
	return deploy;
}

int
deploy_begin(struct engine *engine, struct slice record, enum deploy_origin origin,
	     deploy_done_f *done, void *context)
{
	struct deploy *deploy = deploy_new(engine, origin, done, context);
	if (deploy == NULL)
		return -1;
	deploy->data = malloc(record.bytes + 1);
	if (deploy->data == NULL) {
		deploy_free(deploy);
		return error_set(ERR_RESOURCE_EXHAUSTED, "function.deploy: no memory");
	}
	memcpy(deploy->data, record.data, record.bytes);
	if (deploy_record_read((struct slice){ deploy->data, record.bytes }, &deploy->record,
			       &deploy->arena) != 0) {
		deploy_free(deploy);
		return -1;
	}
	list_push_back(&engine->deploys, &deploy->of_engine);
	start_next(engine);
	return 0;
}

int
deploy_begin_file(struct engine *engine, const char *folder, const char *file,
		  const char *default_name, deploy_done_f *done, void *context)
{
	char path[ENGINE_PATH_BYTES];
	size_t bytes;
	struct deploy *deploy = deploy_new(engine, DEPLOY_FOLDER, done, context);
	if (deploy == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	deploy->data = file_read(path, SCRIPT_BYTES, &bytes);
	deploy->folder = arena_strndup(&deploy->arena, folder, strlen(folder));
	deploy->default_name = arena_strndup(&deploy->arena, default_name, strlen(default_name));
	char *chunk = arena_strndup(&deploy->arena, path, strlen(path));
	if (deploy->data == NULL || deploy->folder == NULL || deploy->default_name == NULL ||
	    chunk == NULL) {
		deploy_free(deploy);
		return -1;
	}
	snprintf(deploy->name, sizeof(deploy->name), "%s", default_name);
	deploy->record.source = (struct slice){ deploy->data, bytes };
	deploy->record.chunk = (struct slice){ (const unsigned char *)chunk, strlen(chunk) };
	list_push_back(&engine->deploys, &deploy->of_engine);
	start_next(engine);
	return 0;
}

void
deploy_stop(struct engine *engine)
{
	struct deploy *running = NULL;
	list_each_safe(link, &engine->deploys) {
		struct deploy *deploy = list_entry(link, struct deploy, of_engine);
		if (deploy->is_running) {
			running = deploy;
			continue;
		}
		error_set(ERR_UNAVAILABLE, "node: shutting down");
		deploy->done(deploy->context, deploy->name, 0, error_last());
		deploy_free(deploy);
	}
	if (running != NULL && running->test != NULL)
		deploy_test_stop(running->test);
}
