#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "image/image.h"

enum {
	/* Weights are whole numbers of 2^-FRACTION_BITS. */
	FRACTION_BITS = 11,
	ONE = 1 << FRACTION_BITS,
};

/* Where a pixel of the result comes from along one axis: `count` pixels from `first` on, weighted. */
struct taps {
	uint32_t first;
	uint32_t count;
	/* Index into the weights. */
	uint32_t weights;
};

struct axis_taps {
	struct taps *taps;
	int32_t *weights;
};

static void
taps_nearest(struct taps *tap, int32_t *weights, double scale, uint32_t at, uint32_t size)
{
	uint32_t nearest = (uint32_t)(at * scale);
	*tap = (struct taps){ nearest < size ? nearest : size - 1, 1, tap->weights };
	weights[0] = ONE;
}

/* Pixel centres lie at halves: at + 0.5 of one is (at + 0.5) * scale of the other. */
static void
taps_linear(struct taps *tap, int32_t *weights, double scale, uint32_t at, uint32_t size)
{
	double place = (at + 0.5) * scale - 0.5;
	double below = floor(place);
	uint32_t first = below < 0 ? 0 : (uint32_t)below;
	double part = below < 0 ? 0 : place - below;
	if (first >= size - 1) {
		first = size - 1;
		part = 0;
	}
	tap->first = first;
	tap->count = part > 0 ? 2 : 1;
	weights[1] = (int32_t)lrint(part * ONE);
	weights[0] = ONE - weights[1];
}

static void
taps_area(struct taps *tap, int32_t *weights, double scale, uint32_t at, uint32_t size)
{
	double from = at * scale, to = from + scale;
	uint32_t first = (uint32_t)from, last = (uint32_t)ceil(to);
	int32_t left = ONE;
	last = last > size ? size : last;
	first = first >= last ? last - 1 : first;
	tap->first = first;
	tap->count = last - first;
	for (uint32_t i = first; i < last; i++) {
		double begin = i < from ? from : i, end = i + 1 > to ? to : i + 1;
		weights[i - first] = (int32_t)lrint((end - begin) / scale * ONE);
		left -= weights[i - first];
	}
	/* What rounding took or gave. */
	weights[(last - first) / 2] += left;
}

static uint32_t
taps_room(enum image_filter filter, double scale)
{
	return filter == IMAGE_AREA ? (uint32_t)ceil(scale) + 2 : 2;
}

static void
axis_taps_destroy(struct axis_taps *axis)
{
	free(axis->taps);
	free(axis->weights);
}

static int
axis_taps_create(struct axis_taps *axis, enum image_filter filter, uint32_t from, uint32_t to)
{
	double scale = (double)from / to;
	uint32_t room = taps_room(filter, scale);
	axis->taps = malloc(to * sizeof(*axis->taps));
	axis->weights = calloc((size_t)to * room, sizeof(*axis->weights));
	if (axis->taps == NULL || axis->weights == NULL) {
		axis_taps_destroy(axis);
		return error_set(ERR_RESOURCE_EXHAUSTED, "resize: no memory for %u pixels", to);
	}
	for (uint32_t at = 0; at < to; at++) {
		struct taps *tap = &axis->taps[at];
		tap->weights = at * room;
		int32_t *weights = &axis->weights[tap->weights];
		if (filter == IMAGE_NEAREST)
			taps_nearest(tap, weights, scale, at, from);
		else if (filter == IMAGE_LINEAR || scale < 1)
			taps_linear(tap, weights, scale, at, from);
		else
			taps_area(tap, weights, scale, at, from);
	}
	return 0;
}

/* One row stretched sideways, in units of 1 / ONE. */
static void
stretch_row(const uint8_t *row, uint32_t channels, const struct axis_taps *axis, uint32_t width,
	    int32_t *out)
{
	for (uint32_t x = 0; x < width; x++) {
		const struct taps *tap = &axis->taps[x];
		const int32_t *weights = &axis->weights[tap->weights];
		const uint8_t *pixel = row + (size_t)tap->first * channels;
		for (uint32_t c = 0; c < channels; c++) {
			int32_t sum = 0;
			for (uint32_t i = 0; i < tap->count; i++)
				sum += weights[i] * pixel[i * channels + c];
			*out++ = sum;
		}
	}
}

/* Stretched rows that are still of use: row r of the image is in slot r % slots. */
struct rows {
	int32_t *values;
	uint32_t slots;
	size_t width;
	/* Rows up to here were stretched. */
	uint32_t next;
};

static int32_t *
row_at(const struct rows *rows, uint32_t row)
{
	return rows->values + (size_t)(row % rows->slots) * rows->width;
}

static void
blend_rows(const struct rows *rows, const struct taps *tap, const int32_t *weights, uint8_t *out)
{
	const int64_t half = INT64_C(1) << (2 * FRACTION_BITS - 1);
	for (size_t i = 0; i < rows->width; i++) {
		int64_t sum = half;
		for (uint32_t k = 0; k < tap->count; k++)
			sum += (int64_t)weights[k] * row_at(rows, tap->first + k)[i];
		out[i] = (uint8_t)(sum >> (2 * FRACTION_BITS));
	}
}

static void
resize_rows(const struct image *from, const struct image *to, const struct axis_taps *across,
	    const struct axis_taps *down, struct rows *rows)
{
	size_t row_bytes = (size_t)from->width * from->channels;
	for (uint32_t y = 0; y < to->height; y++) {
		const struct taps *tap = &down->taps[y];
		if (rows->next < tap->first)
			rows->next = tap->first;
		for (; rows->next < tap->first + tap->count; rows->next++)
			stretch_row(from->pixels + rows->next * row_bytes, from->channels, across,
				    to->width, row_at(rows, rows->next));
		blend_rows(rows, tap, &down->weights[tap->weights], to->pixels + y * rows->width);
	}
}

int
image_resize(const struct image *from, enum image_filter filter, const struct image *to)
{
	struct axis_taps across = { 0 }, down = { 0 };
	struct rows rows = { .width = (size_t)to->width * to->channels };
	int status = -1;
	assert(from->channels == to->channels && from->width > 0 && from->height > 0);
	if (axis_taps_create(&across, filter, from->width, to->width) != 0)
		return -1;
	if (axis_taps_create(&down, filter, from->height, to->height) != 0)
		goto out_across;
	rows.slots = taps_room(filter, (double)from->height / to->height);
	rows.values = malloc(rows.width * rows.slots * sizeof(*rows.values));
	if (rows.values == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "resize: no memory for %u rows", rows.slots);
	} else {
		resize_rows(from, to, &across, &down, &rows);
		status = 0;
	}
	free(rows.values);
	axis_taps_destroy(&down);
out_across:
	axis_taps_destroy(&across);
	return status;
}
