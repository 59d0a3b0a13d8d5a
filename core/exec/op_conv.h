/*
 * What convolutions compute, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/window.h"

struct conv {
	struct window window;
	int64_t groups;
	int64_t in_channels;
	int64_t out_channels;
};

/* Check and read. -1 with the error set. */
int
op_conv_read(const struct operator_call *call, struct conv *conv);

/* Is it the product of an image's pixels and a constant matrix, of a size for which exec/panels.h was measured to be faster? */
bool
op_conv_suits_panels(const struct operator_call *call, const struct conv *conv);
