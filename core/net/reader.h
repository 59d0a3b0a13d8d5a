/*
 * The reader: takes a MessagePack value apart piece by piece, where it lies. Every read is bounds-checked; a value of
 * another type, or one that is cut off, is INVALID_ARGUMENT naming `field`, and the reader stays where it was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/slice.h"

struct reader {
	const unsigned char *at;
	const unsigned char *end;
};

void
reader_create(struct reader *reader, struct slice value);
/* Nothing is left to read. */
bool
reader_is_at_end(const struct reader *reader);
/* The next value is nil; it is taken if so. */
bool
reader_nil(struct reader *reader);
int
reader_bool(struct reader *reader, const char *field, bool *value)
	__attribute__((warn_unused_result));
/* An integer that fits; a float that is whole is taken as one. */
int
reader_int(struct reader *reader, const char *field, int64_t *value)
	__attribute__((warn_unused_result));
/* As reader_int, 0 and up. */
int
reader_uint(struct reader *reader, const char *field, uint64_t *value)
	__attribute__((warn_unused_result));
/* Any number. */
int
reader_double(struct reader *reader, const char *field, double *value)
	__attribute__((warn_unused_result));
/* A str or bin; the bytes stay where they are, not NUL-terminated. */
int
reader_string(struct reader *reader, const char *field, struct slice *value)
	__attribute__((warn_unused_result));
/* The header of an array: its `count` values follow. */
int
reader_array(struct reader *reader, const char *field, uint32_t *count)
	__attribute__((warn_unused_result));
/* The header of a map: `pairs` times a key and a value follow. */
int
reader_map(struct reader *reader, const char *field, uint32_t *pairs)
	__attribute__((warn_unused_result));
/* The next value, whole, whatever it is. */
int
reader_any(struct reader *reader, struct slice *value) __attribute__((warn_unused_result));
