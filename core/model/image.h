/*
 * The host image: a model's parameters packed for one kind of device, in order of first use, cut into groups; swapping is
 * a plain copy of groups. Made once by model_open, then a file in the state directory that is mapped. Immutable.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A contiguous run of the image that is copied as one transfer and held by one extent. */
struct image_group {
	/* From the start of the parameters; a multiple of 64. */
	uint64_t offset;
	uint64_t bytes;
};

struct image {
	/* The parameters, mapped or in host memory; 64-byte aligned. NULL while the image is only on disk. */
	const unsigned char *data;
	uint64_t bytes;
	uint32_t group_count;
	const struct image_group *groups;
	/* The file behind it. */
	const char *path;
};
