#include <string.h>
#include <turbojpeg.h>

#include "base/error.h"
#include "image/codec.h"

static bool
is_jpeg(const uint8_t *data, size_t bytes)
{
	return bytes >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

static tjhandle
begin(tjhandle handle)
{
	if (handle == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "JPEG: %s", tjGetErrorStr2(NULL));
	return handle;
}

static int
fail(tjhandle handle)
{
	const char *text = tjGetErrorStr2(handle);
	bool memory = strstr(text, "memory") != NULL;
	return error_set(memory ? ERR_RESOURCE_EXHAUSTED : ERR_INVALID_ARGUMENT, "JPEG: %s", text);
}

static int
read_header(tjhandle handle, const void *data, size_t bytes, int *width, int *height,
	    int *colorspace)
{
	int subsampling;
	*width = *height = 0;
	*colorspace = -1;
	if (tjDecompressHeader3(handle, data, bytes, width, height, &subsampling, colorspace) != 0)
		return fail(handle);
	/* A file of tables alone is sound to the library. */
	if (*width <= 0 || *height <= 0)
		return error_set(ERR_INVALID_ARGUMENT, "JPEG: there is no image");
	return 0;
}

static int
probe(const void *data, size_t bytes, struct image_info *info)
{
	tjhandle handle = begin(tjInitDecompress());
	int width, height, colorspace;
	if (handle == NULL)
		return -1;
	int status = read_header(handle, data, bytes, &width, &height, &colorspace);
	tjDestroy(handle);
	if (status != 0)
		return -1;
	info->width = (uint32_t)width;
	info->height = (uint32_t)height;
	info->channels = colorspace == TJCS_GRAY ? 1 : 3;
	if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK)
		return error_set(ERR_UNIMPLEMENTED, "JPEG: the image is in CMYK");
	return 0;
}

static const int pixel_formats[] = { [1] = TJPF_GRAY, [3] = TJPF_RGB, [4] = TJPF_RGBA };

/* Bytes that end early are an error; other things that the library warns of are not seen in the picture. */
static bool
is_harmless(tjhandle handle)
{
	return tjGetErrorCode(handle) == TJERR_WARNING &&
	       strncmp(tjGetErrorStr2(handle), "Premature end", 13) != 0;
}

static int
decode(const void *data, size_t bytes, uint32_t channels, uint8_t *pixels)
{
	tjhandle handle = begin(tjInitDecompress());
	int width, height, colorspace, status = -1;
	if (handle == NULL)
		return -1;
	if (read_header(handle, data, bytes, &width, &height, &colorspace) == 0) {
		/* A progressive image with thousands of scans takes minutes. */
		int refused = tjDecompress2(handle, data, bytes, pixels, width, 0, height,
					    pixel_formats[channels], TJFLAG_LIMITSCANS);
		status = refused == 0 || is_harmless(handle) ? 0 : fail(handle);
	}
	tjDestroy(handle);
	return status;
}

static int
encode(const struct image *image, int quality, void **data, size_t *bytes)
{
	tjhandle handle = begin(tjInitCompress());
	unsigned char *made = NULL;
	unsigned long length = 0;
	if (handle == NULL)
		return -1;
	int subsampling = image->channels == 1 ? TJSAMP_GRAY : TJSAMP_420;
	int status = tjCompress2(handle, image->pixels, (int)image->width, 0, (int)image->height,
				 pixel_formats[image->channels], &made, &length, subsampling,
				 quality, 0);
	if (status != 0) {
		fail(handle);
		tjFree(made);
	} else {
		*data = made;
		*bytes = length;
	}
	tjDestroy(handle);
	return status == 0 ? 0 : -1;
}

static void
release(void *data)
{
	tjFree(data);
}

const struct image_codec codec_jpeg = {
	.name = "JPEG",
	.is = is_jpeg,
	.probe = probe,
	.decode = decode,
	.encode = encode,
	.free = release,
};
