#include "image/image.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "image/codec.h"

static const struct image_codec *const codecs[] = {
	[IMAGE_JPEG] = &codec_jpeg,
	[IMAGE_PNG] = &codec_png,
};

static int
check_sizes(uint64_t width, uint64_t height)
{
	if (width == 0 || height == 0 || width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX ||
	    width * height > IMAGE_PIXELS_MAX)
		return error_set(ERR_INVALID_ARGUMENT,
				 "image: %llu by %llu pixels; at most %d a side, %d in all",
				 (unsigned long long)width, (unsigned long long)height,
				 IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
	return 0;
}

static bool
is_channels(uint32_t channels)
{
	return channels == 1 || channels == 3 || channels == 4;
}

int
image_probe(const void *data, size_t bytes, struct image_info *info)
{
	for (size_t i = 0; i < sizeof(codecs) / sizeof(*codecs); i++) {
		if (!codecs[i]->is(data, bytes))
			continue;
		info->format = (enum image_format)i;
		if (codecs[i]->probe(data, bytes, info) != 0)
			return -1;
		return check_sizes(info->width, info->height);
	}
	return error_set(ERR_INVALID_ARGUMENT, "image: the %zu bytes are neither JPEG nor PNG",
			 bytes);
}

/* ITU-R BT.601's luma, as JPEG has it, in 16 bits of fraction. */
static uint8_t
luma(unsigned red, unsigned green, unsigned blue)
{
	return (uint8_t)((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16);
}

/* That much of the value on white. */
static unsigned
on_white(unsigned value, unsigned opacity)
{
	return (value * opacity + 255 * (255 - opacity) + 127) / 255;
}

/* Four channels to three or one; one pixel is written behind where it is read. */
static void
reduce(const uint8_t *from, size_t count, uint32_t channels, uint8_t *to)
{
	for (size_t i = 0; i < count; i++, from += 4, to += channels) {
		unsigned opacity = from[3];
		unsigned red = on_white(from[0], opacity), green = on_white(from[1], opacity),
			 blue = on_white(from[2], opacity);
		to[0] = channels == 1 ? luma(red, green, blue) : (uint8_t)red;
		if (channels == 1)
			continue;
		to[1] = (uint8_t)green;
		to[2] = (uint8_t)blue;
	}
}

int
image_decode(const void *data, size_t bytes, uint32_t channels, uint8_t *pixels)
{
	struct image_info info;
	if (!is_channels(channels))
		return error_set(ERR_INVALID_ARGUMENT, "image: %u channels, must be 1, 3 or 4",
				 channels);
	if (image_probe(data, bytes, &info) != 0)
		return -1;
	const struct image_codec *codec = codecs[info.format];
	bool is_direct = channels >= info.channels || info.format == IMAGE_JPEG;
	if (is_direct)
		return codec->decode(data, bytes, channels, pixels);
	size_t count = (size_t)info.width * info.height;
	uint8_t *all = malloc(count * 4);
	if (all == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "image: no memory for %zu pixels", count);
	int status = codec->decode(data, bytes, 4, all);
	if (status == 0)
		reduce(all, count, channels, pixels);
	free(all);
	return status;
}

int
image_encode(enum image_format format, const struct image *image, int quality, void **data,
	     size_t *bytes)
{
	if (!is_channels(image->channels))
		return error_set(ERR_INVALID_ARGUMENT, "image: %u channels, must be 1, 3 or 4",
				 image->channels);
	if (check_sizes(image->width, image->height) != 0)
		return -1;
	if (quality < 1 || quality > IMAGE_QUALITY_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "image: quality %d, must be 1 to %d",
				 quality, IMAGE_QUALITY_MAX);
	assert((size_t)format < sizeof(codecs) / sizeof(*codecs));
	return codecs[format]->encode(image, quality, data, bytes);
}

void
image_free(enum image_format format, void *data)
{
	codecs[format]->free(data);
}
