/*
 * What GridSample does, for every backend.
 */
#pragma once

#include "exec/operator.h"

enum {
	OP_SAMPLE_SPATIAL = 3,
	/* Neighbours in one direction that cubic interpolation weighs. */
	OP_SAMPLE_TAPS = 4,
};

enum sample_mode {
	SAMPLE_NEAREST,
	SAMPLE_LINEAR,
	SAMPLE_CUBIC,
};

enum padding {
	PADDING_ZEROS,
	PADDING_BORDER,
	PADDING_REFLECTION,
};

struct sampler {
	enum sample_mode mode;
	enum padding padding;
	bool aligns_corners;
	/* Spatial dimensions: 2 or 3. */
	uint32_t rank;
	int64_t dims[OP_SAMPLE_SPATIAL];
	int64_t batches;
	int64_t channels;
	int64_t in_size;
	int64_t out_size;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_sample_run;
