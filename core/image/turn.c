#include <string.h>

#include "image/image.h"

void
image_turn(const struct image *from, uint32_t quarters, const struct image *to)
{
	uint32_t channels = from->channels, right = from->width - 1, bottom = from->height - 1;
	uint8_t *out = to->pixels;
	for (uint32_t y = 0; y < to->height; y++) {
		for (uint32_t x = 0; x < to->width; x++, out += channels) {
			uint32_t column = quarters == 1 ? right - y : quarters == 2 ? right - x : y;
			uint32_t row = quarters == 1 ? x : quarters == 2 ? bottom - y : bottom - x;
			memcpy(out, from->pixels + ((size_t)row * from->width + column) * channels,
			       channels);
		}
	}
}
