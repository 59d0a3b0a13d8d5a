#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "script/worker_host.h"

static void
pack_text(msgpack_packer *packer, const char *text)
{
	size_t bytes = strlen(text);
	msgpack_pack_str(packer, bytes);
	msgpack_pack_str_body(packer, text, bytes);
}

static void
pack_bytes(msgpack_packer *packer, const void *data, size_t bytes)
{
	msgpack_pack_bin(packer, bytes);
	msgpack_pack_bin_body(packer, data, bytes);
}

static void
pack_models(msgpack_packer *packer, const struct worker_script_options *options)
{
	pack_text(packer, "models");
	msgpack_pack_array(packer, options->model_count);
	for (uint32_t i = 0; i < options->model_count; i++) {
		msgpack_pack_array(packer, 2);
		pack_text(packer, options->models[i]);
		msgpack_pack_uint32(packer, options->model_outputs[i]);
	}
}

static void
pack_files(msgpack_packer *packer, const struct worker_script_options *options)
{
	pack_text(packer, "files");
	msgpack_pack_array(packer, options->file_count);
	for (uint32_t i = 0; i < options->file_count; i++) {
		msgpack_pack_array(packer, 2);
		pack_text(packer, options->file_names[i]);
		pack_bytes(packer, options->file_data[i], options->file_bytes[i]);
	}
}

static void
pack_flag(msgpack_packer *packer, const char *name, bool value)
{
	pack_text(packer, name);
	if (value)
		msgpack_pack_true(packer);
	else
		msgpack_pack_false(packer);
}

/* msgpack-c's own buffer tells of a failed realloc by what the write callback returns, so it is watched here. */
struct sink {
	msgpack_sbuffer buffer;
	bool failed;
};

static int
sink_write(void *data, const char *bytes, size_t count)
{
	struct sink *sink = data;
	if (msgpack_sbuffer_write(&sink->buffer, bytes, count) == 0)
		return 0;
	sink->failed = true;
	return -1;
}

int
worker_start_encode(struct worker_script *script, const struct worker_script_options *options,
		    bool tracebacks)
{
	struct sink sink = { .failed = false };
	msgpack_packer packer;
	msgpack_sbuffer_init(&sink.buffer);
	msgpack_packer_init(&packer, &sink, sink_write);
	msgpack_pack_map(&packer, 7);
	pack_text(&packer, "name");
	pack_text(&packer, options->name);
	pack_text(&packer, "chunk");
	pack_text(&packer, options->chunk);
	pack_text(&packer, "source");
	pack_bytes(&packer, options->source, options->source_bytes);
	pack_models(&packer, options);
	pack_files(&packer, options);
	pack_flag(&packer, "tracebacks", tracebacks);
	pack_flag(&packer, "manifest", script->manifest_done != NULL);
	if (sink.failed) {
		msgpack_sbuffer_destroy(&sink.buffer);
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for script \"%s\"",
				 options->name);
	}
	script->start_bytes = sink.buffer.size;
	script->start = msgpack_sbuffer_release(&sink.buffer);
	return 0;
}
