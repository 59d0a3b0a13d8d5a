/*
 * The writer: a growing buffer of MessagePack, written front to back. Any thread, one at a time. Writes cannot fail one by
 * one; writer_finish tells at the end whether memory ran out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/slice.h"

struct error;

struct writer {
	unsigned char *data;
	/* Written, and what data has room for. */
	size_t bytes;
	size_t room;
	/* Memory ran out: later writes do nothing. */
	bool failed;
};

/* Empty; takes no memory until the first write. */
void
writer_create(struct writer *writer);
void
writer_destroy(struct writer *writer);
/* Forget what was written, keep the memory unless it is more than keep bytes. */
void
writer_reset(struct writer *writer, size_t keep);
/* Forget what was written, and have these bytes written instead, in memory from malloc that is the writer's from now on. */
void
writer_adopt(struct writer *writer, void *data, size_t bytes);
/* What was written, for the caller to free; the writer is empty after it. */
void *
writer_take(struct writer *writer);
/* -1 with RESOURCE_EXHAUSTED when memory ran out. */
int
writer_finish(const struct writer *writer) __attribute__((warn_unused_result));
/* Make room for that many further bytes; false when memory ran out. */
bool
writer_reserve(struct writer *writer, size_t bytes);

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
/* A str; NULL is nil. */
void
writer_string(struct writer *writer, const char *text);
/* A str of that many bytes. */
void
writer_text(struct writer *writer, const void *text, size_t bytes);
/* A bin; at most 4 GiB - 1, as of every value: more counts as memory run out. */
void
writer_bytes(struct writer *writer, const void *data, size_t bytes);
/* The header of a bin of that many bytes; returns where they go, NULL when memory ran out. */
void *
writer_bytes_space(struct writer *writer, size_t bytes);
/* The header of an array; `count` values must follow. */
void
writer_array(struct writer *writer, uint32_t count);
/* The header of a map; `pairs` times a key and a value must follow. */
void
writer_map(struct writer *writer, uint32_t pairs);
/* One MessagePack value as it is. */
void
writer_raw(struct writer *writer, const void *value, size_t bytes);

/* `[1, id, nil, `: exactly one value must follow. */
void
writer_reply(struct writer *writer, uint32_t id);
/* `[1, id, [code, "NAME: message", details], nil]`; details is one MessagePack value, or NULL for nil. */
void
writer_error(struct writer *writer, uint32_t id, const struct error *error,
	     const struct slice *details);
/* `[2, method, [params]]` without the params: as many values as there are must follow. */
void
writer_notification(struct writer *writer, const char *method, uint32_t params);
