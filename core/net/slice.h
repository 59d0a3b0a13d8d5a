/*
 * A slice: a piece of a buffer that somebody else owns.
 */
#pragma once

#include <stddef.h>

struct slice {
	const unsigned char *data;
	size_t bytes;
};
