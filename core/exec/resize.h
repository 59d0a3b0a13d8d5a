/*
 * Resampling along one axis: which input elements, with which weights, make an output element. The formulas are those of
 * ONNX's definition of Resize.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum resize_mode {
	RESIZE_NEAREST,
	RESIZE_LINEAR,
	RESIZE_CUBIC,
	RESIZE_MODES,
};

enum resize_coordinates {
	RESIZE_HALF_PIXEL,
	RESIZE_HALF_PIXEL_SYMMETRIC,
	RESIZE_PYTORCH_HALF_PIXEL,
	RESIZE_ALIGN_CORNERS,
	RESIZE_ASYMMETRIC,
	RESIZE_TF_CROP_AND_RESIZE,
	RESIZE_TF_HALF_PIXEL_FOR_NN,
	RESIZE_COORDINATES,
};

enum resize_rounding {
	RESIZE_ROUND_PREFER_FLOOR,
	RESIZE_ROUND_PREFER_CEIL,
	RESIZE_FLOOR,
	RESIZE_CEIL,
	RESIZE_ROUNDINGS,
};

/* How to resample, for all axes. */
struct resize_rule {
	enum resize_mode mode;
	enum resize_coordinates coordinates;
	enum resize_rounding rounding;
	float cubic_a;
	/* Elements outside the input have no weight, instead of being those at its edge. */
	bool excludes_outside;
	/* When shrinking, weigh all elements that an output element covers. */
	bool antialiases;
};

/* One axis. */
struct resize_axis {
	int64_t in;
	int64_t out;
	/* Output length over input length, as given. */
	double scale;
	/* Part of the input that is looked at (crop), 0 … 1. */
	double roi_start;
	double roi_end;
	/* Filled in by resize_taps: taps entries an output element. */
	uint32_t taps;
	int64_t *indices;
	float *weights;
	/* Per output element: its place is outside the input (crop). */
	bool *outside;
};

/* Fill in the taps, from arena. -1 with RESOURCE_EXHAUSTED. */
int
resize_taps(const struct resize_rule *rule, struct resize_axis *axis, struct arena *arena);
