#include "path/deploy_record.h"

#include <string.h>

#include "path/decode.h"

int
deploy_record_read_source(struct slice value, const char *field, struct model_source *source,
			  struct arena *arena)
{
	struct reader reader;
	uint32_t pairs;
	*source = (struct model_source){ 0 };
	reader_create(&reader, value);
	if (reader_map(&reader, field, &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < pairs; i++) {
		struct slice key, text;
		if (reader_string(&reader, field, &key) != 0 ||
		    reader_string(&reader, field, &text) != 0)
			return -1;
		if (slice_is(key, "path"))
			source->path = arena_strndup(arena, (const char *)text.data, text.bytes);
		else if (slice_is(key, "hash"))
			source->hash = arena_strndup(arena, (const char *)text.data, text.bytes);
		else if (slice_is(key, "data"))
			source->data = text;
		else
			return error_set(ERR_INVALID_ARGUMENT, "%s: unknown key '%.*s'", field,
					 (int)key.bytes, (const char *)key.data);
	}
	if ((source->path != NULL) + (source->hash != NULL) + (source->data.data != NULL) != 1)
		return error_set(ERR_INVALID_ARGUMENT, "%s: give one of path, data and hash",
				 field);
	if (source->path != NULL && source->path[0] != '/')
		return error_set(ERR_INVALID_ARGUMENT, "%s.path: '%s' is not absolute", field,
				 source->path);
	if (source->hash != NULL &&
	    (strlen(source->hash) != MODEL_HASH_BYTES - 1 ||
	     strspn(source->hash, "0123456789abcdef") != MODEL_HASH_BYTES - 1))
		return error_set(ERR_INVALID_ARGUMENT, "%s.hash: '%s' is no hash", field,
				 source->hash);
	return 0;
}

static int
read_models(struct reader *reader, struct deploy_record *record, struct arena *arena)
{
	if (reader_map(reader, "models", &record->model_count) != 0)
		return -1;
	if (record->model_count > DEPLOY_MODELS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "models: %u, at most %d",
				 record->model_count, DEPLOY_MODELS_MAX);
	for (uint32_t i = 0; i < record->model_count; i++) {
		struct slice source;
		if (reader_string(reader, "models: name", &record->model_names[i]) != 0 ||
		    reader_any(reader, &source) != 0 ||
		    deploy_record_read_source(source, "models", &record->models[i], arena) != 0)
			return -1;
	}
	return 0;
}

static int
read_files(struct reader *reader, struct deploy_record *record)
{
	if (reader_map(reader, "files", &record->file_count) != 0)
		return -1;
	if (record->file_count > DEPLOY_FILES_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "files: %u, at most %d", record->file_count,
				 DEPLOY_FILES_MAX);
	for (uint32_t i = 0; i < record->file_count; i++)
		if (reader_string(reader, "files: name", &record->file_names[i]) != 0 ||
		    reader_string(reader, "files: content", &record->files[i]) != 0)
			return -1;
	return 0;
}

static int
read_pair(struct reader *reader, struct deploy_record *record, struct arena *arena)
{
	struct slice key;
	int64_t number;
	if (reader_string(reader, "function.deploy: key", &key) != 0)
		return -1;
	if (slice_is(key, "name"))
		return reader_nil(reader) ? 0 : reader_string(reader, "name", &record->name);
	if (slice_is(key, "source"))
		return reader_string(reader, "source", &record->source);
	if (slice_is(key, "chunk"))
		return reader_string(reader, "chunk", &record->chunk);
	if (slice_is(key, "models"))
		return read_models(reader, record, arena);
	if (slice_is(key, "files"))
		return read_files(reader, record);
	if (slice_is(key, "generation")) {
		if (reader_int(reader, "generation", &number) != 0)
			return -1;
		record->generation = (uint32_t)number;
		return 0;
	}
	return error_set(ERR_INVALID_ARGUMENT, "function.deploy: unknown key '%.*s'",
			 (int)key.bytes, (const char *)key.data);
}

int
deploy_record_read(struct slice value, struct deploy_record *record, struct arena *arena)
{
	struct reader reader;
	uint32_t pairs;
	*record = (struct deploy_record){ 0 };
	reader_create(&reader, value);
	if (reader_map(&reader, "function.deploy", &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < pairs; i++)
		if (read_pair(&reader, record, arena) != 0)
			return -1;
	if (record->source.data == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "source: missing");
	if (record->chunk.data == NULL)
		record->chunk = (struct slice){ (const unsigned char *)"function.lua", 12 };
	return 0;
}

static void
write_slice(struct writer *writer, const char *key, struct slice value)
{
	writer_string(writer, key);
	writer_bytes(writer, value.data, value.bytes);
}

void
deploy_record_write(struct writer *writer, const struct deploy_record *record,
		    const char *const *hashes)
{
	writer_map(writer, 6);
	write_slice(writer, "name", record->name);
	write_slice(writer, "source", record->source);
	write_slice(writer, "chunk", record->chunk);
	writer_string(writer, "generation");
	writer_uint(writer, record->generation);
	writer_string(writer, "models");
	writer_map(writer, record->model_count);
	for (uint32_t i = 0; i < record->model_count; i++) {
		writer_bytes(writer, record->model_names[i].data, record->model_names[i].bytes);
		writer_map(writer, 1);
		writer_string(writer, "hash");
		writer_string(writer, hashes[i]);
	}
	writer_string(writer, "files");
	writer_map(writer, record->file_count);
	for (uint32_t i = 0; i < record->file_count; i++) {
		writer_bytes(writer, record->file_names[i].data, record->file_names[i].bytes);
		writer_bytes(writer, record->files[i].data, record->files[i].bytes);
	}
}
