#include <spng.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/codec.h"

enum {
	/* Bytes of a chunk that is not pixels, and of all those that the decoder keeps. */
	CHUNK_BYTES_MAX = 1 << 20,
	CHUNKS_BYTES_MAX = 4 << 20,
};

static bool
is_png(const uint8_t *data, size_t bytes)
{
	static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	return bytes >= sizeof(signature) && memcmp(data, signature, sizeof(signature)) == 0;
}

static int
fail(int code)
{
	return error_set(code == SPNG_EMEM ? ERR_RESOURCE_EXHAUSTED : ERR_INVALID_ARGUMENT,
			 "PNG: %s", spng_strerror(code));
}

/* A decoder of these bytes; NULL with the error set. */
static spng_ctx *
begin(const void *data, size_t bytes)
{
	spng_ctx *png = spng_ctx_new(0);
	if (png == NULL) {
		fail(SPNG_EMEM);
		return NULL;
	}
	spng_set_image_limits(png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
	spng_set_chunk_limits(png, CHUNK_BYTES_MAX, CHUNKS_BYTES_MAX);
	int code = spng_set_png_buffer(png, data, bytes);
	if (code == 0)
		return png;
	fail(code);
	spng_ctx_free(png);
	return NULL;
}

/* libspng gives 16 bits of grey as colours only. */
static uint32_t
channels_of(spng_ctx *png, const struct spng_ihdr *header)
{
	struct spng_trns transparent;
	if (header->color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
	    header->color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA ||
	    spng_get_trns(png, &transparent) == 0)
		return 4;
	return header->color_type == SPNG_COLOR_TYPE_GRAYSCALE && header->bit_depth <= 8 ? 1 : 3;
}

static int
probe(const void *data, size_t bytes, struct image_info *info)
{
	struct spng_ihdr header;
	spng_ctx *png = begin(data, bytes);
	if (png == NULL)
		return -1;
	int code = spng_get_ihdr(png, &header);
	if (code == 0) {
		info->width = header.width;
		info->height = header.height;
		info->channels = channels_of(png, &header);
	}
	spng_ctx_free(png);
	return code == 0 ? 0 : fail(code);
}

static int
decode(const void *data, size_t bytes, uint32_t channels, uint8_t *pixels)
{
	int format = channels == 4 ? SPNG_FMT_RGBA8 : channels == 3 ? SPNG_FMT_RGB8 : SPNG_FMT_G8;
	spng_ctx *png = begin(data, bytes);
	size_t size = 0;
	if (png == NULL)
		return -1;
	int code = spng_decoded_image_size(png, format, &size);
	if (code == 0)
		code = spng_decode_image(png, pixels, size, format,
					 channels == 4 ? SPNG_DECODE_TRNS : 0);
	spng_ctx_free(png);
	return code == 0 ? 0 : fail(code);
}

static int
encode(const struct image *image, int quality, void **data, size_t *bytes)
{
	static const uint8_t color_types[] = { [1] = SPNG_COLOR_TYPE_GRAYSCALE,
					       [3] = SPNG_COLOR_TYPE_TRUECOLOR,
					       [4] = SPNG_COLOR_TYPE_TRUECOLOR_ALPHA };
	struct spng_ihdr header = { .width = image->width,
				    .height = image->height,
				    .bit_depth = 8,
				    .color_type = color_types[image->channels] };
	spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
	if (png == NULL)
		return fail(SPNG_EMEM);
	spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1);
	int code = spng_set_ihdr(png, &header);
	if (code == 0)
		code = spng_encode_image(png, image->pixels,
					 (size_t)image->width * image->height * image->channels,
					 SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
	*data = code == 0 ? spng_get_png_buffer(png, bytes, &code) : NULL;
	spng_ctx_free(png);
	return code == 0 ? 0 : fail(code);
}

const struct image_codec codec_png = {
	.name = "PNG",
	.is = is_png,
	.probe = probe,
	.decode = decode,
	.encode = encode,
	.free = free,
};
