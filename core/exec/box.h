/*
 * Boxes and when one hides another, for NonMaxSuppression wherever it runs: C, and C++ for kernels. Functions, since both
 * must come to the same verdict.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define BOX_FUNCTION static __host__ __device__ __forceinline__
#else
#define BOX_FUNCTION static inline
#endif

/* Corners in order, so that y0 <= y1 and x0 <= x1. */
struct box {
	float y0, x0, y1, x1;
};

/* Box `index` of boxes[][4]: two corners in any order, or centre and size. */
BOX_FUNCTION struct box
box_at(const float *boxes, int64_t index, bool centred)
{
	const float *b = boxes + index * 4;
	struct box box;
	if (centred) {
		box.y0 = b[1] - b[3] / 2;
		box.x0 = b[0] - b[2] / 2;
		box.y1 = b[1] + b[3] / 2;
		box.x1 = b[0] + b[2] / 2;
	} else {
		box.y0 = fminf(b[0], b[2]);
		box.x0 = fminf(b[1], b[3]);
		box.y1 = fmaxf(b[0], b[2]);
		box.x1 = fmaxf(b[1], b[3]);
	}
	return box;
}

BOX_FUNCTION float
box_area(const struct box *box)
{
	return (box->y1 - box->y0) * (box->x1 - box->x0);
}

/* Is what both cover more than `iou` of what either covers? */
BOX_FUNCTION bool
box_hides(const struct box *a, const struct box *b, float iou)
{
	float height = fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0);
	float width = fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0);
	if (height <= 0 || width <= 0)
		return false;
	float both = height * width;
	return both > iou * (box_area(a) + box_area(b) - both);
}
