/*
 * Messages: MessagePack-RPC as it comes off the wire and goes back. A frame is one MessagePack value; framer.h finds its
 * end and checks size and depth, message_decode reads the envelope, and what is inside stays bytes until somebody needs it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A piece of a buffer that somebody else owns. */
struct slice {
	const unsigned char *data;
	size_t bytes;
};

enum message_kind {
	MESSAGE_REQUEST = 0,
	MESSAGE_RESPONSE = 1,
	MESSAGE_NOTIFICATION = 2,
};

struct message {
	enum message_kind kind;
	/* For requests. */
	uint32_t id;
	/* Not NUL-terminated. */
	struct slice method;
	/* The params array's elements, each one MessagePack value. */
	uint32_t param_count;
	struct slice params[8];
};

/* Read the envelope of one whole frame. INVALID_ARGUMENT names the element at fault; *message->id is set once known. */
int
message_decode(struct slice frame, struct message *message) __attribute__((warn_unused_result));

/* A growing buffer of MessagePack, written front to back. */
struct writer {
	unsigned char *data;
	size_t bytes;
	size_t room;
	/* Memory ran out: later writes do nothing, and writer_finish says so. */
	bool failed;
};

void
writer_create(struct writer *writer);
void
writer_destroy(struct writer *writer);
int
writer_finish(const struct writer *writer) __attribute__((warn_unused_result));
void
writer_nil(struct writer *writer);
void
writer_bool(struct writer *writer, bool value);
void
writer_int(struct writer *writer, int64_t value);
void
writer_uint(struct writer *writer, uint64_t value);
void
writer_double(struct writer *writer, double value);
void
writer_string(struct writer *writer, const char *text);
void
writer_bytes(struct writer *writer, const void *data, size_t bytes);
/* The header of a bin of that many bytes; returns where they go, NULL when memory ran out. */
void *
writer_bytes_space(struct writer *writer, size_t bytes);
void
writer_array(struct writer *writer, uint32_t count);
void
writer_map(struct writer *writer, uint32_t pairs);
/* One MessagePack value as it is. */
void
writer_raw(struct writer *writer, const void *value, size_t bytes);
/* `[1, id, nil, ` — exactly one value must follow. */
void
writer_reply(struct writer *writer, uint32_t id);
/* `[1, id, [code, "NAME: message", details], nil]`; details is one MessagePack value or NULL. */
void
writer_error(struct writer *writer, uint32_t id, const struct error *error,
	     const struct slice *details);

/* Reading a value piece by piece. A frame that passed the framer is well formed; a wrong type is INVALID_ARGUMENT naming field. */
struct reader {
	const unsigned char *at;
	const unsigned char *end;
};
void
reader_create(struct reader *reader, struct slice value);
/* The next value is nil; it is taken if so. */
bool
reader_nil(struct reader *reader);
int
reader_bool(struct reader *reader, const char *field, bool *value);
int
reader_int(struct reader *reader, const char *field, int64_t *value);
int
reader_double(struct reader *reader, const char *field, double *value);
/* A str or bin. */
int
reader_string(struct reader *reader, const char *field, struct slice *value);
int
reader_array(struct reader *reader, const char *field, uint32_t *count);
int
reader_map(struct reader *reader, const char *field, uint32_t *pairs);
/* The next value, whole, whatever it is. */
int
reader_any(struct reader *reader, struct slice *value);
