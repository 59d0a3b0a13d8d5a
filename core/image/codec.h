/* What image.c asks of the formats; as the functions of image.h that they stand for, the head having been probed. */
#pragma once

#include "image/image.h"

struct image_codec {
	const char *name;
	/* Do the first bytes look like this format? */
	bool (*is)(const uint8_t *data, size_t bytes);
	int (*probe)(const void *data, size_t bytes, struct image_info *info);
	/* PNG: channels is no less than what probe said, or 4. */
	int (*decode)(const void *data, size_t bytes, uint32_t channels, uint8_t *pixels);
	int (*encode)(const struct image *image, int quality, void **data, size_t *bytes);
	void (*free)(void *data);
};

extern const struct image_codec codec_jpeg;
extern const struct image_codec codec_png;
