/*
 * Text files that are built into the program (CMakeLists.txt lists them): policies, and headers that the FFI reads.
 */
#pragma once

#include <stddef.h>

struct embedded {
	/* Path in the source tree: "policies/fifo.lua". */
	const char *name;
	/* A NUL follows that length does not count. */
	const char *text;
	size_t length;
};

/* The file of that name; NULL when it is not built in. Any thread. */
const struct embedded *
embedded_find(const char *name);

/* All of them, ended by one without a name. */
extern const struct embedded embedded_files[];
