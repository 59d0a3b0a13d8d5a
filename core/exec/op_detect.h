/*
 * What RoiAlign and Suppress do, for every backend.
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

/*
 * NonMaxSuppression with room for all that may be kept: Suppress(boxes, scores, most, iou, least
 * score) gives rows INT64[rows,3] of {batch, class, box} as NonMaxSuppression orders them, zeros
 * behind, and INT64[1], how many are real. The last three inputs are INT64, FP32 and FP32 scalars;
 * the last two may be absent.
 */
struct suppression {
	int64_t batches;
	int64_t classes;
	/* Boxes of one of the batch. */
	int64_t count;
	/* Of the result. */
	int64_t rows;
	bool has_least_score;
	/* Boxes are given by centre and size. */
	bool centred;
	unsigned threads;
};

/* A run's scratch: how many boxes each class keeps, and room for the order of all boxes a class. */
struct suppression_scratch {
	int64_t *kept;
	int64_t *order;
};

size_t
suppression_scratch_bytes(const struct suppression *nms);

struct suppression_scratch
suppression_scratch(const struct suppression *nms, void *memory);

/* The kernels of the host; those of other devices have the same state. */
kernel_run_f op_detect_roi_align;
kernel_run_f op_detect_suppress;
