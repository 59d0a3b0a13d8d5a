/*
 * The framer: finds where a MessagePack value ends in a stream of bytes that is not trusted. It reads tags and skips what
 * they announce, remembers where it was, and so looks at each tag once, however the stream is cut. It does not recurse.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	/* The deepest nesting that a framer can be asked to accept; a value in no container has depth 0. */
	FRAMER_DEPTH_MAX = 64,
};

struct framer {
	/* Limits: bytes of one value, containers around its innermost one. */
	size_t bytes_max;
	uint32_t depth_max;
	/* Containers that are open, and how many values each still lacks. */
	uint32_t depth;
	uint64_t left[FRAMER_DEPTH_MAX];
	/* Offset of the next tag from the value's first byte; it may lie beyond what has arrived. */
	size_t next;
};

/* Ready for the first byte of a value. depth_max is at most FRAMER_DEPTH_MAX. */
void
framer_create(struct framer *framer, size_t bytes_max, uint32_t depth_max);

/* Forget the value under way. */
void
framer_reset(struct framer *framer);

/*
 * data is what has arrived of the value, from its first byte, `bytes` in all. Returns 0 and in *found the length of the
 * whole value, ready for the next one then; or *found = 0: call again with more. -1 with INVALID_ARGUMENT naming the limit
 * or the byte: the stream has no further meaning.
 */
int
framer_scan(struct framer *framer, const unsigned char *data, size_t bytes, size_t *found)
	__attribute__((warn_unused_result));

/* Bytes that the value under way has at the least, as far as is known; within bytes_max. */
size_t
framer_needs(const struct framer *framer);
