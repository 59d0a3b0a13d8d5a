#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "script/value.h"
#include "script/worker_host.h"

/* Most models, and most files, of one function. */
enum { NAMES_MAX = 64, TESTS_MAX = 100 };

/* --- freeing -------------------------------------------------------------------------------------------------------- */

static void
free_names(char **names)
{
	for (char **name = names; name != NULL && *name != NULL; name++)
		free(*name);
	free(names);
}

void
worker_manifest_delete(struct worker_manifest *manifest)
{
	if (manifest == NULL)
		return;
	free(manifest->name);
	free_names(manifest->model_names);
	free_names(manifest->model_sources);
	free_names(manifest->file_names);
	free_names(manifest->file_sources);
	free(manifest->tests);
	free(manifest);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static int
wrong(const char *field, const char *must)
{
	return error_set(ERR_INVALID_ARGUMENT, "manifest: %s: must be %s", field, must);
}

static const msgpack_object *
find(const msgpack_object *map, const char *key)
{
	size_t bytes = strlen(key);
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object_kv *pair = &map->via.map.ptr[i];
		if (pair->key.type == MSGPACK_OBJECT_STR && pair->key.via.str.size == bytes &&
		    memcmp(pair->key.via.str.ptr, key, bytes) == 0 &&
		    pair->val.type != MSGPACK_OBJECT_NIL)
			return &pair->val;
	}
	return NULL;
}

/* A copy of a string without NULs; NULL with the error set. */
static char *
copy_string(const msgpack_object *value, const char *field)
{
	if (value->type != MSGPACK_OBJECT_STR || value->via.str.size == 0 ||
	    memchr(value->via.str.ptr, '\0', value->via.str.size) != NULL) {
		wrong(field, "a string");
		return NULL;
	}
	char *copy = strndup(value->via.str.ptr, value->via.str.size);
	if (copy == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a manifest");
	return copy;
}

static int
read_string(const msgpack_object *map, const char *key, char **string)
{
	const msgpack_object *value = find(map, key);
	if (value == NULL)
		return 0;
	*string = copy_string(value, key);
	return *string == NULL ? -1 : 0;
}

/* `key` is an array of pairs: local name, source. */
static int
read_pairs(const msgpack_object *map, const char *key, uint32_t *count, char ***names,
	   char ***sources)
{
	const msgpack_object *value = find(map, key);
	if (value == NULL)
		return 0;
	if (value->type != MSGPACK_OBJECT_ARRAY || value->via.array.size > NAMES_MAX)
		return wrong(key, "a list of at most 64 pairs");
	*names = calloc(value->via.array.size + 1, sizeof(char *));
	*sources = calloc(value->via.array.size + 1, sizeof(char *));
	if (*names == NULL || *sources == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a manifest");
	for (uint32_t i = 0; i < value->via.array.size; i++) {
		const msgpack_object *pair = &value->via.array.ptr[i];
		if (pair->type != MSGPACK_OBJECT_ARRAY || pair->via.array.size != 2)
			return wrong(key, "a list of pairs");
		(*names)[i] = copy_string(&pair->via.array.ptr[0], key);
		(*sources)[i] = copy_string(&pair->via.array.ptr[1], key);
		if ((*names)[i] == NULL || (*sources)[i] == NULL)
			return -1;
	}
	*count = value->via.array.size;
	return 0;
}

static int
read_number(const msgpack_object *map, const char *key, double *number)
{
	const msgpack_object *value = find(map, key);
	if (value == NULL)
		return 0;
	if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		*number = (double)value->via.u64;
	else
		*number = value->type == MSGPACK_OBJECT_FLOAT64 ? value->via.f64 : -1;
	return *number >= 0 && *number < 1e15 ? 0 : wrong(key, "a number from 0 to 10^15");
}

static int
read_whole(const msgpack_object *map, const char *key, uint64_t *number)
{
	double read = 0;
	if (read_number(map, key, &read) != 0)
		return -1;
	*number = (uint64_t)read;
	return 0;
}

static int
copy_into(void *context, const char *data, size_t bytes)
{
	struct worker_manifest *manifest = context;
	char *larger = realloc(manifest->tests, manifest->tests_bytes + bytes);
	if (larger == NULL)
		return -1;
	memcpy(larger + manifest->tests_bytes, data, bytes);
	manifest->tests = larger;
	manifest->tests_bytes += bytes;
	return 0;
}

/* The tests as they are: what is in them is looked at when they run. */
static int
read_tests(const msgpack_object *map, struct worker_manifest *manifest)
{
	msgpack_packer packer;
	const msgpack_object *tests = find(map, "tests");
	if (tests == NULL)
		return 0;
	if (tests->type != MSGPACK_OBJECT_ARRAY || tests->via.array.size > TESTS_MAX)
		return wrong("tests", "a list of at most 100");
	msgpack_packer_init(&packer, manifest, copy_into);
	if (msgpack_pack_object(&packer, *tests) != 0)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a manifest");
	return 0;
}

static int
read_limits(const msgpack_object *map, struct limits *limits)
{
	for (int i = 0; i < LIMITS_COUNT; i++)
		if (read_whole(map, limits_table[i].name, limits_at(limits, &limits_table[i])) != 0)
			return -1;
	return limits_check(limits);
}

static int
read_fields(const msgpack_object *map, struct worker_manifest *manifest)
{
	if (map->type != MSGPACK_OBJECT_MAP)
		return wrong("it", "a map");
	const msgpack_object *handler = find(map, "handler");
	manifest->has_handler =
		handler != NULL && handler->type == MSGPACK_OBJECT_BOOLEAN && handler->via.boolean;
	if (read_string(map, "name", &manifest->name) != 0 ||
	    read_pairs(map, "models", &manifest->model_count, &manifest->model_names,
		       &manifest->model_sources) != 0 ||
	    read_pairs(map, "files", &manifest->file_count, &manifest->file_names,
		       &manifest->file_sources) != 0 ||
	    read_tests(map, manifest) != 0 ||
	    read_number(map, "percentile", &manifest->slo_percentile) != 0 ||
	    read_number(map, "ms", &manifest->slo_ms) != 0 ||
	    read_number(map, "batch_max", &manifest->batch_max) != 0 ||
	    read_number(map, "batch_window_ms", &manifest->batch_window_ms) != 0 ||
	    read_limits(map, &manifest->limits) != 0)
		return -1;
	return 0;
}

struct worker_manifest *
worker_manifest_decode(const void *data, size_t bytes)
{
	struct worker_manifest *manifest = calloc(1, sizeof(*manifest));
	msgpack_unpacked unpacked;
	int status = -1;
	if (manifest == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a manifest");
		return NULL;
	}
	msgpack_unpacked_init(&unpacked);
	if (value_check(data, bytes) == 0) {
		if (msgpack_unpack_next(&unpacked, data, bytes, NULL) != MSGPACK_UNPACK_SUCCESS)
			wrong("it", "well-formed");
		else
			status = read_fields(&unpacked.data, manifest);
	}
	msgpack_unpacked_destroy(&unpacked);
	if (status == 0)
		return manifest;
	worker_manifest_delete(manifest);
	return NULL;
}

void
worker_manifest_finish(struct worker_script *script, struct worker_manifest *manifest,
		       const struct error *error)
{
	worker_manifest_f *done = script->manifest_done;
	if (done == NULL) {
		worker_manifest_delete(manifest);
		return;
	}
	script->manifest_done = NULL;
	done(script->manifest_context, manifest, manifest == NULL ? error : NULL);
	worker_script_retire(script);
}
