#include "exec/resize.h"

#include <math.h>

#include "base/error.h"

enum {
	/* An axis that shrinks more than this with antialiasing is refused. */
	TAPS_MAX = 1 << 16,
};

/* The place in the input, in elements, that output element i shows. */
static double
place_of(const struct resize_rule *rule, const struct resize_axis *axis, int64_t i)
{
	double in = (double)axis->in, at = (double)i;
	/* Not rounded: 4 elements scaled by 0.6 count as 2.4, though 2 are made. */
	double out = axis->scale * in;
	switch (rule->coordinates) {
	case RESIZE_HALF_PIXEL:
		return (at + 0.5) / axis->scale - 0.5;
	case RESIZE_HALF_PIXEL_SYMMETRIC: {
		double adjustment = (double)axis->out / out;
		return in / 2 * (1 - adjustment) + (at + 0.5) / axis->scale - 0.5;
	}
	case RESIZE_PYTORCH_HALF_PIXEL:
		return axis->out > 1 ? (at + 0.5) / axis->scale - 0.5 : 0;
	case RESIZE_ALIGN_CORNERS:
		return axis->out > 1 ? at * (in - 1) / (out - 1) : 0;
	case RESIZE_TF_CROP_AND_RESIZE:
		if (axis->out == 1)
			return 0.5 * (axis->roi_start + axis->roi_end) * (in - 1);
		return axis->roi_start * (in - 1) +
		       at * (axis->roi_end - axis->roi_start) * (in - 1) / (out - 1);
	case RESIZE_TF_HALF_PIXEL_FOR_NN:
		return (at + 0.5) / axis->scale;
	default:
		return at / axis->scale;
	}
}

static int64_t
clamp_index(double place, int64_t in)
{
	if (!(place > 0))
		return 0;
	return place >= (double)(in - 1) ? in - 1 : (int64_t)place;
}

static double
round_place(enum resize_rounding rounding, double place)
{
	switch (rounding) {
	case RESIZE_ROUND_PREFER_CEIL:
		return floor(place + 0.5);
	case RESIZE_FLOOR:
		return floor(place);
	case RESIZE_CEIL:
		return ceil(place);
	default:
		return ceil(place - 0.5);
	}
}

/* Keys' cubic convolution kernel at distance t. */
static double
cubic(double t, double a)
{
	t = fabs(t);
	if (t <= 1)
		return ((a + 2) * t - (a + 3)) * t * t + 1;
	if (t < 2)
		return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
	return 0;
}

/* The kernel at distance t from the place, in input elements; stretch below 1 widens it. */
static double
weight_at(const struct resize_rule *rule, double t, double stretch)
{
	if (rule->mode == RESIZE_CUBIC)
		return cubic(t * stretch, rule->cubic_a);
	double weight = 1 - fabs(t * stretch);
	return weight > 0 ? weight : 0;
}

/* Taps of one output element around its place: weights sum to 1. */
static void
weigh(const struct resize_rule *rule, const struct resize_axis *axis, double place, double stretch,
      int64_t *indices, float *weights)
{
	double whole = floor(place), sum = 0;
	double first = whole - (double)(axis->taps / 2 - 1);
	for (uint32_t k = 0; k < axis->taps; k++) {
		double at = first + k;
		bool outside = at < 0 || at > (double)(axis->in - 1);
		double weight = weight_at(rule, at - place, stretch);
		if (outside && rule->excludes_outside)
			weight = 0;
		indices[k] = clamp_index(at, axis->in);
		weights[k] = (float)weight;
		sum += weight;
	}
	for (uint32_t k = 0; k < axis->taps && sum != 0; k++)
		weights[k] = (float)(weights[k] / sum);
}

/* How far the kernel is widened: only when shrinking, and asked to. */
static double
stretch_of(const struct resize_rule *rule, const struct resize_axis *axis)
{
	return rule->antialiases && axis->scale < 1 ? axis->scale : 1;
}

static uint32_t
count_taps(const struct resize_rule *rule, double stretch)
{
	double reach = rule->mode == RESIZE_CUBIC ? 2 : 1;
	if (rule->mode == RESIZE_NEAREST)
		return 1;
	double taps = 2 * ceil(reach / stretch);
	return taps > TAPS_MAX ? 0 : (uint32_t)taps;
}

static int
allocate_taps(struct resize_axis *axis, struct arena *arena)
{
	size_t count = (size_t)axis->out * axis->taps;
	axis->indices = arena_calloc(arena, count, sizeof(*axis->indices));
	axis->weights = arena_calloc(arena, count, sizeof(*axis->weights));
	axis->outside = arena_calloc(arena, (size_t)axis->out, sizeof(*axis->outside));
	return axis->indices == NULL || axis->weights == NULL || axis->outside == NULL ? -1 : 0;
}

int
resize_taps(const struct resize_rule *rule, struct resize_axis *axis, struct arena *arena)
{
	double stretch = stretch_of(rule, axis);
	axis->taps = count_taps(rule, stretch);
	if (axis->taps == 0)
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "an output element covers more than %d "
				 "input elements",
				 TAPS_MAX);
	if (allocate_taps(axis, arena) != 0)
		return -1;
	for (int64_t i = 0; i < axis->out; i++) {
		double place = place_of(rule, axis, i);
		int64_t *indices = axis->indices + i * axis->taps;
		float *weights = axis->weights + i * axis->taps;
		axis->outside[i] = rule->coordinates == RESIZE_TF_CROP_AND_RESIZE &&
				   !(place >= 0 && place <= (double)(axis->in - 1));
		if (rule->mode == RESIZE_NEAREST) {
			indices[0] = clamp_index(round_place(rule->rounding, place), axis->in);
			weights[0] = 1;
		} else {
			weigh(rule, axis, place, stretch, indices, weights);
		}
	}
	return 0;
}
