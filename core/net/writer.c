#include "net/writer.h"

#include <assert.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/message.h"

enum { WRITER_FIRST_BYTES = 1024 };

void
writer_create(struct writer *writer)
{
	*writer = (struct writer){ .data = NULL };
}

void
writer_destroy(struct writer *writer)
{
	free(writer->data);
	writer_create(writer);
}

void
writer_reset(struct writer *writer, size_t keep)
{
	if (writer->room > keep)
		writer_destroy(writer);
	writer->bytes = 0;
	writer->failed = false;
}

void
writer_adopt(struct writer *writer, void *data, size_t bytes)
{
	writer_destroy(writer);
	*writer = (struct writer){ .data = data, .bytes = bytes, .room = bytes };
}

void *
writer_take(struct writer *writer)
{
	void *data = writer->data;
	writer_create(writer);
	return data;
}

int
writer_finish(const struct writer *writer)
{
	if (!writer->failed)
		return 0;
	return error_set(ERR_RESOURCE_EXHAUSTED, "message: no memory after %zu bytes",
			 writer->bytes);
}

static bool
grow(struct writer *writer, size_t bytes)
{
	size_t room = writer->room == 0 ? WRITER_FIRST_BYTES : 2 * writer->room;
	if (room - writer->bytes < bytes)
		room = writer->bytes + bytes;
	unsigned char *data = realloc(writer->data, room);
	if (data == NULL) {
		writer->failed = true;
		return false;
	}
	writer->data = data;
	writer->room = room;
	return true;
}

bool
writer_reserve(struct writer *writer, size_t bytes)
{
	if (writer->failed)
		return false;
	return writer->room - writer->bytes >= bytes || grow(writer, bytes);
}

static int
append(void *context, const char *data, size_t bytes)
{
	struct writer *writer = context;
	if (!writer_reserve(writer, bytes))
		return -1;
	memcpy(writer->data + writer->bytes, data, bytes);
	writer->bytes += bytes;
	return 0;
}

/* What msgpack-c packs into. */
static msgpack_packer
packer(struct writer *writer)
{
	return (msgpack_packer){ .data = writer, .callback = append };
}

void
writer_nil(struct writer *writer)
{
	msgpack_packer pack = packer(writer);
	msgpack_pack_nil(&pack);
}

void
writer_bool(struct writer *writer, bool value)
{
	msgpack_packer pack = packer(writer);
	if (value)
		msgpack_pack_true(&pack);
	else
		msgpack_pack_false(&pack);
}

void
writer_int(struct writer *writer, int64_t value)
{
	msgpack_packer pack = packer(writer);
	msgpack_pack_int64(&pack, value);
}

void
writer_uint(struct writer *writer, uint64_t value)
{
	msgpack_packer pack = packer(writer);
	msgpack_pack_uint64(&pack, value);
}

void
writer_double(struct writer *writer, double value)
{
	msgpack_packer pack = packer(writer);
	msgpack_pack_double(&pack, value);
}

void
writer_string(struct writer *writer, const char *text)
{
	if (text == NULL)
		writer_nil(writer);
	else
		writer_text(writer, text, strlen(text));
}

/* A length that the format can say; else the writer has failed. */
static bool
check_length(struct writer *writer, size_t bytes)
{
	if (bytes > UINT32_MAX)
		writer->failed = true;
	return !writer->failed;
}

void
writer_text(struct writer *writer, const void *text, size_t bytes)
{
	if (!check_length(writer, bytes))
		return;
	msgpack_packer pack = packer(writer);
	msgpack_pack_str(&pack, bytes);
	msgpack_pack_str_body(&pack, text, bytes);
}

void
writer_bytes(struct writer *writer, const void *data, size_t bytes)
{
	void *space = writer_bytes_space(writer, bytes);
	if (space != NULL && bytes > 0)
		memcpy(space, data, bytes);
}

void *
writer_bytes_space(struct writer *writer, size_t bytes)
{
	if (!check_length(writer, bytes))
		return NULL;
	msgpack_packer pack = packer(writer);
	msgpack_pack_bin(&pack, bytes);
	if (!writer_reserve(writer, bytes))
		return NULL;
	void *space = writer->data + writer->bytes;
	writer->bytes += bytes;
	return space;
}

void
writer_array(struct writer *writer, uint32_t count)
{
	msgpack_packer pack = packer(writer);
	msgpack_pack_array(&pack, count);
}

void
writer_map(struct writer *writer, uint32_t pairs)
{
	msgpack_packer pack = packer(writer);
	msgpack_pack_map(&pack, pairs);
}

void
writer_raw(struct writer *writer, const void *value, size_t bytes)
{
	append(writer, value, bytes);
}

/* `[1, id, ` */
static void
begin_response(struct writer *writer, uint32_t id)
{
	writer_array(writer, 4);
	writer_uint(writer, 1);
	writer_uint(writer, id);
}

void
writer_reply(struct writer *writer, uint32_t id)
{
	begin_response(writer, id);
	writer_nil(writer);
}

void
writer_error(struct writer *writer, uint32_t id, const struct error *error,
	     const struct slice *details)
{
	char text[ERROR_MESSAGE_BYTES + 32];
	snprintf(text, sizeof(text), "%s: %s", error_code_name(error->code), error->message);
	begin_response(writer, id);
	writer_array(writer, 3);
	writer_uint(writer, error->code);
	writer_string(writer, text);
	if (details != NULL)
		writer_raw(writer, details->data, details->bytes);
	else
		writer_nil(writer);
	writer_nil(writer);
}

void
writer_notification(struct writer *writer, const char *method, uint32_t params)
{
	writer_array(writer, 3);
	writer_uint(writer, MESSAGE_NOTIFICATION);
	writer_string(writer, method);
	writer_array(writer, params);
}
