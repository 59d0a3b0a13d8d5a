/*
 * Depthwise convolutions over two dimensions for AVX-512, on images in blocks of 16 channels: a register holds a pixel's block.
 * What follows element by element is done to each row of the result while it is in the first cache. (A core of a 2-core Xeon,
 * over oneDNN 2.6: see docs/measurements.md.)
 */
#pragma once

#include "exec/op_conv.h"
#include "exec/post_rows.h"

struct depthwise {
	int64_t images;
	/* Blocks of 16 channels, the last one padded. */
	int64_t blocks;
	int64_t channels;
	/* Height and width, in and out. */
	int64_t in[2];
	int64_t out[2];
	int64_t kernel[2];
	int64_t strides[2];
	int64_t begin[2];
	/* Input that is the bias; -1: none. */
	int32_t bias;
	float low;
	float high;
	struct post_rows posts;
	unsigned threads;
};

/* Is it one that the kernels are for? */
bool
depthwise_suits(const struct operator_call *call, const struct conv *conv);

/* Make it the call's kernel. -1 with the error set: UNIMPLEMENTED for posts that it does not know. */
int
depthwise_prepare(struct operator_call *call);
