#include "image/image.h"

void
image_planes(const struct image *from, const struct image_planes *to)
{
	uint32_t channels = from->channels;
	for (uint32_t c = 0; c < channels; c++) {
		/* Opacity stays last. */
		uint32_t source = to->swap && c < 3 && channels >= 3 ? 2 - c : c;
		float scale = to->scale[c], shift = to->shift[c];
		for (uint32_t y = 0; y < from->height; y++) {
			const uint8_t *in = from->pixels + (size_t)y * from->width * channels;
			float *out = to->data + c * to->plane + y * to->row;
			for (uint32_t x = 0; x < from->width; x++)
				out[x] = (float)in[x * channels + source] * scale + shift;
		}
	}
}
