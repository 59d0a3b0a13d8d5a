#include <math.h>
#include <string.h>

#include "base/error.h"
#include "image/image.h"

/* x, y -> (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]) / (m[6] x + m[7] y + 1) */
struct projection {
	double m[8];
};

/*
 * The projection that takes the unit square to the corners, by Heckbert's closed form (Fundamentals
 * of Texture Mapping and Image Warping, 1989, 2.2.3). False when corners lie in a line.
 */
static bool
projection_to(struct projection *projection, const float c[8])
{
	double sx = (double)c[0] - c[2] + c[4] - c[6], sy = (double)c[1] - c[3] + c[5] - c[7];
	double dx1 = (double)c[2] - c[4], dx2 = (double)c[6] - c[4];
	double dy1 = (double)c[3] - c[5], dy2 = (double)c[7] - c[5];
	double determinant = dx1 * dy2 - dx2 * dy1;
	if (!(fabs(determinant) > 1e-9))
		return false;
	double g = (sx * dy2 - dx2 * sy) / determinant, h = (dx1 * sy - sx * dy1) / determinant;
	double m[8] = {
		c[2] - c[0] + g * c[2],
		c[6] - c[0] + h * c[6],
		c[0],
		c[3] - c[1] + g * c[3],
		c[7] - c[1] + h * c[7],
		c[1],
		g,
		h,
	};
	memcpy(projection->m, m, sizeof(m));
	return true;
}

/* Weights of the four pixels around a place `part` behind the second; Keys' kernel with a = -0.75. */
static void
cubic_weights(double part, float weights[4])
{
	const double a = -0.75;
	double before = part + 1, after = 1 - part;
	weights[0] = (float)(((a * before - 5 * a) * before + 8 * a) * before - 4 * a);
	weights[1] = (float)(((a + 2) * part - (a + 3)) * part * part + 1);
	weights[2] = (float)(((a + 2) * after - (a + 3)) * after * after + 1);
	weights[3] = 1 - weights[0] - weights[1] - weights[2];
}

static uint32_t
clamp(double place, uint32_t size)
{
	return place <= 0 ? 0 : place >= size - 1 ? size - 1 : (uint32_t)place;
}

static void
sample(const struct image *from, double x, double y, uint8_t *out)
{
	double left = floor(x), top = floor(y);
	float across[4], down[4], sum[IMAGE_CHANNELS_MAX] = { 0 };
	cubic_weights(x - left, across);
	cubic_weights(y - top, down);
	for (int row = 0; row < 4; row++) {
		size_t line = (size_t)clamp(top + row - 1, from->height) * from->width;
		for (int column = 0; column < 4; column++) {
			size_t place = line + clamp(left + column - 1, from->width);
			const uint8_t *pixel = from->pixels + place * from->channels;
			for (uint32_t c = 0; c < from->channels; c++)
				sum[c] += down[row] * across[column] * (float)pixel[c];
		}
	}
	for (uint32_t c = 0; c < from->channels; c++)
		out[c] = (uint8_t)fminf(fmaxf(sum[c] + 0.5f, 0), 255);
}

int
image_warp(const struct image *from, const float corners[8], const struct image *to)
{
	struct projection projection;
	if (!projection_to(&projection, corners))
		return error_set(ERR_INVALID_ARGUMENT, "warp: the corners lie in a line");
	const double *m = projection.m;
	uint8_t *out = to->pixels;
	for (uint32_t row = 0; row < to->height; row++) {
		for (uint32_t column = 0; column < to->width; column++, out += to->channels) {
			double u = (double)column / to->width, v = (double)row / to->height;
			double w = m[6] * u + m[7] * v + 1;
			double x = (m[0] * u + m[1] * v + m[2]) / w;
			double y = (m[3] * u + m[4] * v + m[5]) / w;
			/* Corners that cross have places where w is 0. */
			sample(from, isfinite(x) ? x : 0, isfinite(y) ? y : 0, out);
		}
	}
	return 0;
}
