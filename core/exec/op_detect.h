/*
 * What RoiAlign does, for every backend.
 */
#pragma once

#include "exec/operator.h"

struct roi_align {
	enum data_type batch_type;
	int64_t batches;
	int64_t channels;
	int64_t height;
	int64_t width;
	int64_t rois;
	int64_t out_height;
	int64_t out_width;
	/* Samples a bin and direction; 0: as many as there are elements. */
	int64_t samples;
	float scale;
	/* 0.5 when the centre of an element, not its corner, is at whole numbers. */
	float offset;
	bool takes_max;
	unsigned threads;
};

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_detect_roi_align;
