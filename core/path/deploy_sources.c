#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "path/decode.h"
#include "path/deploy_parts.h"
#include "path/models.h"
#include "path/state.h"

/* Largest further file of a function that is read from a folder. */
enum { FOLDER_FILE_BYTES = 256 << 20 };

/* Where tidepool fetch puts what it fetched: in a folder of the function's name. */
static const char fetched_folder[] = "build/models";

static struct slice
slice_of(const char *text)
{
	return (struct slice){ (const unsigned char *)text, strlen(text) };
}

/* --- files of a folder ---------------------------------------------------------------------------------------------- */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == NULL ? path : slash + 1;
}

/*
 * The absolute path of a file that a script in a folder names: beside it, or where it was fetched to. In the arena; NULL when
 * there is none.
 */
static const char *
find_file(struct deploy *deploy, const char *name)
{
	char path[PATH_MAX], absolute[PATH_MAX];
	if (name[0] == '/')
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%s/%s", deploy->folder, name);
	if (access(path, R_OK) != 0)
		snprintf(path, sizeof(path), "%s/%s/%s", fetched_folder, base_name(deploy->folder),
			 name);
	if (realpath(path, absolute) == NULL)
		return NULL;
	return arena_strndup(&deploy->arena, absolute, strlen(absolute));
}

/* A model of the folder; a name that no file has may be a loaded model's. */
static void
find_model_file(struct deploy *deploy, uint32_t i)
{
	const char *path = find_file(deploy, deploy->manifest->model_sources[i]);
	if (path == NULL)
		return;
	deploy->found[i] = (struct model_source){ .path = path };
	deploy->sources[i] = &deploy->found[i];
}

static int
find_folder_files(struct deploy *deploy)
{
	const struct worker_manifest *manifest = deploy->manifest;
	struct deploy_record *record = &deploy->record;
	if (manifest->file_count > DEPLOY_FILES_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "files: %u, at most %d",
				 manifest->file_count, DEPLOY_FILES_MAX);
	for (uint32_t i = 0; i < manifest->file_count; i++) {
		const char *path = find_file(deploy, manifest->file_sources[i]);
		if (path == NULL)
			return error_set(ERR_NOT_FOUND, "files.%s: no file '%s' in %s",
					 manifest->file_names[i], manifest->file_sources[i],
					 deploy->folder);
		record->file_names[i] = slice_of(manifest->file_names[i]);
		record->files[i] = slice_of(path);
	}
	record->file_count = manifest->file_count;
	return 0;
}

/* Pool thread: the content of the folder's files in the place of their paths. */
static int
read_folder_files(struct deploy *deploy)
{
	struct deploy_record *record = &deploy->record;
	for (uint32_t i = 0; i < record->file_count; i++) {
		size_t bytes;
		deploy->file_data[i] =
			file_read((const char *)record->files[i].data, FOLDER_FILE_BYTES, &bytes);
		if (deploy->file_data[i] == NULL)
			return error_wrap("files.%.*s", (int)record->file_names[i].bytes,
					  (const char *)record->file_names[i].data);
		record->files[i] = (struct slice){ deploy->file_data[i], bytes };
	}
	return 0;
}

/* --- what the script asks for --------------------------------------------------------------------------------------- */

/* The model came along: with its bytes, by its path, or by the hash of one that may be in use already. */
static void
use_source(struct deploy *deploy, uint32_t i)
{
	const char *hash = deploy->sources[i]->hash;
	struct engine_model *there = hash == NULL ? NULL : models_find_hash(deploy->engine, hash);
	if (there == NULL)
		return;
	deploy->sources[i] = NULL;
	deploy->models[i] = models_ref(there);
}

static int
find_model(struct deploy *deploy, uint32_t i)
{
	const struct deploy_record *record = &deploy->record;
	const char *local = deploy->manifest->model_names[i];
	const char *source = deploy->manifest->model_sources[i];
	for (uint32_t k = 0; k < record->model_count; k++)
		if (slice_is(record->model_names[k], local))
			deploy->sources[i] = &record->models[k];
	if (deploy->folder != NULL)
		find_model_file(deploy, i);
	if (deploy->sources[i] != NULL) {
		use_source(deploy, i);
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
	if (deploy->folder != NULL)
		return find_folder_files(deploy);
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
	if (name.bytes == 0 && deploy->default_name != NULL)
		name = slice_of(deploy->default_name);
	if (name.bytes == 0)
		return error_set(ERR_INVALID_ARGUMENT,
				 "name: neither the request nor the script gives one");
	if (state_check_name("name", name) != 0)
		return -1;
	memcpy(deploy->name, name.data, name.bytes);
	deploy->record.name = slice_of(deploy->name);
	return 0;
}

int
deploy_check_manifest(struct deploy *deploy)
{
	const struct config_worker *config = &deploy->engine->config->worker;
	struct worker_manifest *manifest = deploy->manifest;
	if (limits_settle(&manifest->limits, &config->limits, &config->most, &manifest->limits) !=
	    0)
		return -1;
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

/* --- bringing it in: pool thread ------------------------------------------------------------------------------------ */

static int
fetch_models(struct deploy *deploy)
{
	for (uint32_t i = 0; i < deploy->manifest->model_count; i++)
		if (deploy->sources[i] != NULL &&
		    models_fetch(deploy->engine, deploy->sources[i], &deploy->opened[i]) != 0)
			return error_wrap("models.%s", deploy->manifest->model_names[i]);
	return 0;
}

int
deploy_encode(const struct deploy *deploy, struct writer *writer)
{
	const char *hashes[DEPLOY_MODELS_MAX];
	struct deploy_record record = deploy->record;
	record.model_count = deploy->manifest->model_count;
	for (uint32_t i = 0; i < record.model_count; i++) {
		record.model_names[i] = slice_of(deploy->manifest->model_names[i]);
		hashes[i] = deploy->models[i] != NULL ? deploy->models[i]->hash
						      : deploy->opened[i].hash;
	}
	deploy_record_write(writer, &record, hashes);
	return writer_finish(writer);
}

/* Whether the record in the state folder is, byte for byte, what this deploy would write under the same number. */
static bool
is_in_use(struct deploy *deploy)
{
	struct slice old;
	struct deploy_record record;
	struct writer writer;
	bool same = false;
	if (state_read(deploy->engine, "functions", deploy->name, &old) != 0)
		return false;
	writer_create(&writer);
	if (deploy_record_read(old, &record, &deploy->arena) == 0) {
		uint32_t number = deploy->record.generation;
		deploy->record.generation = record.generation;
		same = deploy_encode(deploy, &writer) == 0 && writer.bytes == old.bytes &&
		       memcmp(writer.data, old.data, old.bytes) == 0;
		if (!same)
			deploy->record.generation = number;
	}
	writer_destroy(&writer);
	free((void *)(uintptr_t)old.data);
	return same;
}

int
deploy_bring_in(struct deploy *deploy)
{
	if (deploy->folder != NULL && read_folder_files(deploy) != 0)
		return -1;
	if (fetch_models(deploy) != 0)
		return -1;
	deploy->is_unchanged = deploy->folder != NULL && is_in_use(deploy);
	return 0;
}
