#include "path/state.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "model/known.h"
#include "path/engine.h"
#include "path/models.h"

static const char suffix[] = ".mp";

static int
lock_folder(struct engine *engine)
{
	char path[STATE_PATH_BYTES];
	snprintf(path, sizeof(path), "%s/lock", engine->config->state);
	engine->state_lock = file_lock(path);
	if (engine->state_lock != -1)
		return 0;
	return error_wrap("state: another node has this folder");
}

int
state_open(struct engine *engine)
{
	static const char *const folders[] = { "functions", "generations", "models", "names",
					       "cache" };
	char path[STATE_PATH_BYTES];
	if (file_make_folder(engine->config->state) != 0)
		return error_wrap("state");
	if (lock_folder(engine) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", engine->config->state, folders[i]);
		if (file_make_folder(path) != 0 || file_sweep(path) != 0)
			return error_wrap("state");
	}
	return 0;
}

void
state_close(struct engine *engine)
{
	if (engine->state_lock != -1)
		close(engine->state_lock);
	engine->state_lock = -1;
}

static void
model_path(const struct engine *engine, const char *hash, char *path)
{
	snprintf(path, STATE_PATH_BYTES, "%s/models/%s.onnx", engine->config->state, hash);
}

int
state_model_path(const struct engine *engine, const char *hash, char *path)
{
	model_path(engine, hash, path);
	if (access(path, R_OK) != 0)
		return error_set(ERR_NOT_FOUND, "model %s: not in the state folder", hash);
	return 0;
}

/* Read whole, unless the cache folder has a note of it. */
static int
hash_content(const char *path, char hash[MODEL_HASH_BYTES])
{
	static const size_t chunk = 1 << 20;
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return error_set_errno("%s", path);
	XXH3_state_t *state = XXH3_createState();
	char *buffer = malloc(chunk);
	int status = state == NULL || buffer == NULL
			     ? error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory to read it", path)
			     : 0;
	if (status == 0) {
		XXH3_128bits_reset(state);
		for (size_t count; (count = fread(buffer, 1, chunk, file)) > 0;)
			XXH3_128bits_update(state, buffer, count);
		known_format(XXH3_128bits_digest(state), hash);
		if (ferror(file))
			status = error_set_errno("%s", path);
	}
	XXH3_freeState(state);
	free(buffer);
	fclose(file);
	return status;
}

static int
hash_file(const struct engine *engine, const char *path, char hash[MODEL_HASH_BYTES])
{
	char folder[STATE_PATH_BYTES];
	struct stat info;
	struct known known = { 0 };
	snprintf(folder, sizeof(folder), "%s/cache", engine->config->state);
	if (stat(path, &info) == 0) {
		known_add(&known, &info);
		if (known_find(&known, folder, hash))
			return 0;
	}
	if (hash_content(path, hash) != 0)
		return -1;
	known_note(&known, folder, path, hash);
	return 0;
}

int
state_store_model_file(const struct engine *engine, const char *from, char *hash)
{
	char path[STATE_PATH_BYTES];
	if (hash_file(engine, from, hash) != 0)
		return -1;
	model_path(engine, hash, path);
	return access(path, R_OK) == 0 ? 0 : file_copy(from, path);
}

int
state_store_model(const struct engine *engine, struct slice data, char *hash)
{
	char path[STATE_PATH_BYTES];
	known_format(XXH3_128bits(data.data, data.bytes), hash);
	model_path(engine, hash, path);
	return access(path, R_OK) == 0 ? 0 : file_write(path, data.data, data.bytes);
}

void
state_remove_model(const struct engine *engine, const char *hash)
{
	char path[STATE_PATH_BYTES];
	model_path(engine, hash, path);
	file_remove(path);
}

static void
record_path(const struct engine *engine, const char *folder, const char *name,
	    char path[STATE_PATH_BYTES])
{
	snprintf(path, STATE_PATH_BYTES, "%s/%s%s%s%s", engine->config->state,
		 folder == NULL ? "" : folder, folder == NULL ? "" : "/", name, suffix);
}

int
state_write(const struct engine *engine, const char *folder, const char *name, struct slice record)
{
	char path[STATE_PATH_BYTES];
	record_path(engine, folder, name, path);
	return file_write(path, record.data, record.bytes);
}

int
state_read(const struct engine *engine, const char *folder, const char *name, struct slice *record)
{
	char path[STATE_PATH_BYTES];
	record_path(engine, folder, name, path);
	record->data = file_read(path, STATE_RECORD_BYTES, &record->bytes);
	return record->data == NULL ? -1 : 0;
}

int
state_remove(const struct engine *engine, const char *folder, const char *name)
{
	char path[STATE_PATH_BYTES];
	record_path(engine, folder, name, path);
	return file_remove(path);
}

struct each {
	void (*visit)(void *context, const char *name);
	void *context;
	const char *suffix;
};

static void
visit_file(void *context, const char *file)
{
	struct each *each = context;
	/* A generation's name has its number behind it. */
	char name[ENGINE_NAME_BYTES + 16];
	snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(each->suffix)), file);
	each->visit(each->context, name);
}

int
state_each(const struct engine *engine, const char *folder,
	   void (*visit)(void *context, const char *name), void *context)
{
	char path[STATE_PATH_BYTES];
	struct each each = { visit, context, suffix };
	snprintf(path, sizeof(path), "%s/%s", engine->config->state, folder);
	return file_each(path, suffix, visit_file, &each);
}

int
state_each_model(const struct engine *engine, void (*visit)(void *context, const char *hash),
		 void *context)
{
	char path[STATE_PATH_BYTES];
	struct each each = { visit, context, ".onnx" };
	snprintf(path, sizeof(path), "%s/models", engine->config->state);
	return file_each(path, each.suffix, visit_file, &each);
}

int
state_check_name(const char *field, struct slice name)
{
	bool good = name.bytes > 0 && name.bytes < ENGINE_NAME_BYTES && name.data[0] != '.';
	for (size_t i = 0; i < name.bytes && good; i++)
		good = isalnum(name.data[i]) || strchr("._-", name.data[i]) != NULL;
	if (good)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT,
			 "%s: '%.*s' is no name: 1 to %d letters, digits, '.', '_' or '-'", field,
			 (int)(name.bytes < 64 ? name.bytes : 64), (const char *)name.data,
			 ENGINE_NAME_BYTES - 1);
}
