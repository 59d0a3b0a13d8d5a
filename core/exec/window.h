/*
 * Windows: what convolutions and poolings slide over the spatial dimensions (2, 3, …) of their input.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "exec/operator.h"

enum { WINDOW_MAX_RANK = 3 };

struct window {
	/* Spatial dimensions: 1 to 3. */
	uint32_t rank;
	int64_t kernel[WINDOW_MAX_RANK];
	int64_t strides[WINDOW_MAX_RANK];
	/* Distance between the elements of a window; 1: neighbours. */
	int64_t dilations[WINDOW_MAX_RANK];
	/* Padding before and after. */
	int64_t begin[WINDOW_MAX_RANK];
	int64_t end[WINDOW_MAX_RANK];
	/* Windows that fit: the output's dimensions. */
	int64_t out[WINDOW_MAX_RANK];
	/* The last window reaches beyond the padding (ceil_mode). */
	bool overhangs;
};

/*
 * Read kernel_shape (kernel: the weights' spatial dims, NULL when there are none), strides, dilations, pads, auto_pad and
 * ceil_mode for input 0, which is checked to have spatial dimensions. -1 with the error set.
 */
int
window_read(const struct operator_call *call, const int64_t *kernel, struct window *window);

/*
 * Make it a window of three dimensions, the outer ones 1 where there were fewer; in gets the spatial dimensions of type
 * likewise. rank stays.
 */
void
window_spread(struct window *window, const struct tensor_type *type, int64_t *in);
