/*
 * Looking through MessagePack values that workers send, before anybody else reads them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	/* Containers around the innermost value that a worker may send. */
	VALUE_DEPTH_MAX = 128,
};

/* A look through a MessagePack value, some of it at a time (value.c). */
struct value_check {
	const unsigned char *at;
	size_t bytes;
	size_t left;
	/* Values that each open container still lacks; the outermost lacks the one value that is looked for. */
	uint64_t lacks[VALUE_DEPTH_MAX + 1];
	uint32_t depth;
};

/* Exactly one MessagePack value, well formed and not too deep. -1 with INVALID_ARGUMENT. */
int
value_check(const void *data, size_t bytes);
/* The same bit by bit: bytes must stay in place. */
void
value_check_create(struct value_check *check, const void *data, size_t bytes);
/* Look at so many values more. 1: all is well, 0: there is more to look at, -1 with INVALID_ARGUMENT. */
int
value_check_some(struct value_check *check, uint32_t values);
