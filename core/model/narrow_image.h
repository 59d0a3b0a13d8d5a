/*
 * Narrow images: a model's parameters as they lie in host memory and cross the link when that is in fewer bits than on the
 * device. Made once from the packed image, then a file beside it that is mapped. Large float parameters are narrowed;
 * small ones, which are biases and scales, and whatever is no float stay as they are. Immutable.
 */
#pragma once

#include <stdint.h>

#include "exec/narrow.h"
#include "model/image.h"

struct pack;

/* A stretch of a group that lies in one form. */
struct narrow_part {
	/* On the device, from the start of the group; a multiple of 4. */
	uint64_t offset;
	uint64_t bytes;
	/* In host memory, from the start of the group there; a multiple of 4. */
	uint64_t host_offset;
	/* enum narrow_form. */
	uint32_t form;
	uint32_t reserved;
};

struct narrow_image {
	/* What lies in host memory; its groups are those of the packed image, one for one. */
	struct image image;
	enum narrow_form form;
	/* Parts of group g are first_parts[g] … first_parts[g + 1] - 1. */
	const uint32_t *first_parts;
	const struct narrow_part *parts;
	/* What narrowing moved, over all parameters and in the worst one: root mean square, relative. */
	double error;
	double worst_error;
};

/*
 * The narrow image of wide, whose closed pack says what lies where: mapped from path when that is
 * for this very image, else made in anonymous memory. path NULL: always made. NULL with
 * RESOURCE_EXHAUSTED.
 */
struct narrow_image *
narrow_image_open(const struct image *wide, const struct pack *pack, enum narrow_form form,
		  const struct image_key *key, const char *path);

/* As image_keep, for a narrow image that was made. */
int
narrow_image_keep(struct narrow_image *narrow, const char *path);

/* NULL: nothing. */
void
narrow_image_delete(struct narrow_image *narrow);
