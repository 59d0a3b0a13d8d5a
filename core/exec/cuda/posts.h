/*
 * Posts on the GPU: what is done to every element of a result after it was written, by one kernel for all of them, for
 * operators whose library did not fuse them.
 */
#pragma once

#include "exec/cuda/op.h"

struct cuda_posts {
	struct kernel_posts kernel;
	/* The node's inputs that are operands. */
	uint32_t inputs[KERNEL_POSTS];
	enum data_type data_type;
	int64_t elements;
};

/* None yet, for results of output 0's type. */
void
cuda_posts_begin(struct cuda_posts *posts, const struct operator_call *call);

/* One more. -1 with UNIMPLEMENTED when there are too many, or the operand's dims are not neighbours in the result. */
int
cuda_posts_add(struct cuda_posts *posts, const struct operator_call *call, const struct post *post);

/* Let number k, the last then, be a sum or product with that input, one element of it a channel, of the result's type or FP32. */
void
cuda_posts_put_channels(struct cuda_posts *posts, uint32_t k, const struct operator_call *call,
			enum post_kind kind, uint32_t input);

/* Put the kernel: out = posts(in), which may be the same; nothing when there are no posts and they are. */
int
cuda_posts_run(const struct cuda_posts *posts, const struct operands *operands, const void *in,
	       void *out);
