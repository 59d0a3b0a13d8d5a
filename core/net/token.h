/*
 * Tokens: the tag of a MessagePack value with the number, length or count that belongs to it, read from bytes that are
 * not trusted. Framer and reader are built on this; the format is https://github.com/msgpack/msgpack/blob/master/spec.md.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum token_kind {
	/* Byte 0xc1, which the format never uses. */
	TOKEN_INVALID,
	TOKEN_NIL,
	TOKEN_BOOL,
	TOKEN_UINT,
	TOKEN_INT,
	TOKEN_FLOAT,
	TOKEN_DOUBLE,
	TOKEN_STRING,
	TOKEN_BIN,
	TOKEN_EXT,
	TOKEN_ARRAY,
	TOKEN_MAP,
};

struct token {
	enum token_kind kind;
	/* Bytes of the tag and of the number, length or count after it. */
	uint32_t header;
	/* TOKEN_BOOL: 0 or 1. TOKEN_UINT, TOKEN_INT: the number, two's complement. TOKEN_FLOAT, TOKEN_DOUBLE: its bits. */
	uint64_t value;
	/* Bytes after the header that belong to the value: of a string, a bin, or an ext with its type byte. */
	uint64_t payload;
	/* Values after it that belong to it: elements of an array, keys and values of a map. */
	uint64_t children;
};

/* Read the token at `at`. False when the bytes available end within its header. */
_Bool
token_read(const unsigned char *at, size_t available, struct token *token);

/* Bytes of the one value at `at`, with all that is in it; 0 when it is cut off, or holds byte 0xc1. */
size_t
token_span(const unsigned char *at, size_t available);

/* "an integer", "a map": for messages about a value of the wrong kind. */
const char *
token_kind_name(enum token_kind kind);
