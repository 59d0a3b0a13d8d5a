/*
 * Images for handlers: JPEG and PNG in and out, by libjpeg-turbo and libspng, and what vision
 * models want done to pixels. Also the FFI's declaration in workers (embedded as text), so it holds
 * plain declarations only. Encoded bytes come from anyone: sizes are bounded before anything is
 * decoded, and a decoder writes into memory that is given, nowhere else.
 *
 * Pixels are bytes, rows first, channels last and together, without gaps: 1 channel is grey, 3 are
 * red, green, blue, 4 have the opacity behind them. Functions return 0, or -1 with the error set.
 * Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_format {
	IMAGE_JPEG,
	IMAGE_PNG,
};

enum {
	/* Bounds of an image that is decoded or made. */
	IMAGE_SIDE_MAX = 32768,
	IMAGE_PIXELS_MAX = 1 << 26,
	IMAGE_CHANNELS_MAX = 4,
	/* Compression of JPEG, 1 … 100. */
	IMAGE_QUALITY_MAX = 100,
};

/* What encoded bytes say of themselves. */
struct image_info {
	enum image_format format;
	uint32_t width;
	uint32_t height;
	/* That hold all there is: 1, 3 or 4. */
	uint32_t channels;
};

/* Look at the head. INVALID_ARGUMENT for what is neither format, is damaged or beyond the bounds. */
int
image_probe(const void *data, size_t bytes, struct image_info *info);

/*
 * Decode to `channels` (1, 3 or 4) into pixels, which has room for what image_probe said: height *
 * width * channels bytes. Where there is opacity and it is not asked for, the image is laid on
 * white. INVALID_ARGUMENT for damaged or cut off bytes, RESOURCE_EXHAUSTED when the decoder gets no
 * memory.
 */
int
image_decode(const void *data, size_t bytes, uint32_t channels, uint8_t *pixels);

/* Pixels and their sizes. */
struct image {
	uint8_t *pixels;
	uint32_t width;
	uint32_t height;
	uint32_t channels;
};

/* Encode; *data is to be released with image_free. quality: for JPEG, which has no opacity. */
int
image_encode(enum image_format format, const struct image *image, int quality, void **data,
	     size_t *bytes);
void
image_free(enum image_format format, void *data);

enum image_filter {
	IMAGE_NEAREST,
	/* Between the two nearest pixels each way; what shrinks is not averaged. */
	IMAGE_LINEAR,
	/* The mean of what a pixel covers: for shrinking. */
	IMAGE_AREA,
};

/* Fill `to`, whose sizes say what is wanted, with `from` stretched to it; same channels. RESOURCE_EXHAUSTED. */
int
image_resize(const struct image *from, enum image_filter filter, const struct image *to);

/*
 * Fill `to` with what lies in the four-cornered region of `from`: corners are x and y of top left, top right, bottom right and
 * bottom left, in pixels. By perspective, cubic between pixels; beyond the edge the edge goes on. INVALID_ARGUMENT for corners
 * in a line.
 */
int
image_warp(const struct image *from, const float corners[8], const struct image *to);

/* Fill `to` with `from` turned counterclockwise by 1, 2 or 3 quarters; its sizes are from's, changed round for 1 and 3. */
void
image_turn(const struct image *from, uint32_t quarters, const struct image *to);

/* Where image_planes puts an image in a tensor of floats. */
struct image_planes {
	float *data;
	/* Floats from one row, one channel to the next. */
	size_t row;
	size_t plane;
	/* Value of plane c is pixel * scale[c] + shift[c]. */
	float scale[4];
	float shift[4];
	/* Blue first. */
	bool swap;
};

/* Write each channel as a plane of floats. */
void
image_planes(const struct image *from, const struct image_planes *to);

/* The smallest rectangle around something: around the centres of a map's cells that hang together, or around points. */
struct image_region {
	/* Its middle. */
	float x;
	float y;
	/* Its sides; the first lies along the direction (cosine, sine). */
	float width;
	float height;
	float cosine;
	float sine;
	/* Mean of the map within the rectangle; 0 without a map. */
	float score;
	/* Cells, or points, that belong to it. */
	uint32_t cells;
};

/*
 * Regions of cells above the threshold, diagonal neighbours being neighbours, by their first cell. grow: cells to the
 * right and below one above the threshold count too. At most room of them, the rest is left out. How many, -1 with
 * RESOURCE_EXHAUSTED.
 */
int
image_regions(const float *map, uint32_t width, uint32_t height, float threshold, bool grow,
	      struct image_region *regions, uint32_t room);

/* The rectangle around points, x and y in turn; at least one point. RESOURCE_EXHAUSTED. */
int
image_rectangle(const float *points, uint32_t count, struct image_region *region);
