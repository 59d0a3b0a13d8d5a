/* The image decoders: any bytes give pixels within the memory that the head announced, or an error. */
#include <stdlib.h>

#include "base/error.h"
#include "image/image.h"

/* Larger ones cost time and show nothing more. */
enum { PIXELS_MAX = 1 << 16 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_info info;
	error_clear();
	if (image_probe(data, size, &info) != 0) {
		if (error_last()->code == ERR_OK)
			abort();
		return 0;
	}
	size_t count = (size_t)info.width * info.height;
	if (count == 0 || info.width > IMAGE_SIDE_MAX || info.height > IMAGE_SIDE_MAX)
		abort();
	if (count > PIXELS_MAX)
		return 0;
	for (uint32_t channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
		uint8_t *pixels = malloc(count * channels);
		if (pixels == NULL)
			abort();
		error_clear();
		if (image_decode(data, size, channels, pixels) != 0 && error_last()->code == ERR_OK)
			abort();
		free(pixels);
	}
	return 0;
}
