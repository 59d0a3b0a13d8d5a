/*
 * softmax(scale Q K' + mask) V for every backend; and for AVX-512, a block of rows at a time: its scores stay in the second
 * cache, where they lie as the product with V reads them (exec/panels_tile.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "exec/operator.h"

enum {
	/* Two batch dimensions, rows, columns. */
	ATTENTION_RANK = 4,
	ATTENTION_BATCH = 2,
	/* Inner and width are at most this where the tensors are 16-bit floats: what a kernel for them keeps near. */
	ATTENTION_NARROW_WIDTH = 256,
};

/* Elements from one index of each dimension to the next; 0 where all are the same. */
struct attention_steps {
	int64_t steps[ATTENTION_RANK];
};

struct attention {
	/* Of all tensors: FLOAT, FLOAT16 or BFLOAT16. */
	enum data_type data_type;
	/* Products: batch[0] times batch[1], the second one heads. */
	int64_t batch[ATTENTION_BATCH];
	/* Q[rows][inner], K[columns][inner], V[columns][width], mask[rows][columns]. */
	int64_t rows;
	int64_t columns;
	int64_t inner;
	int64_t width;
	float scale;
	bool masked;
	/* How Q, K, V, the mask (inputs 0 to 3) and the result lie. */
	struct attention_steps q;
	struct attention_steps k;
	struct attention_steps v;
	struct attention_steps mask;
	struct attention_steps out;
	unsigned threads;
};

/* All of it but threads, as the prepared call says, whose kernel gets its flops. -1 with the error set. */
int
attention_read(const struct operator_call *call, struct attention *attention);

/* Scratch of one thread; a run needs it threads times. */
size_t
attention_scratch(const struct attention *attention);

/* A kernel's run, of a struct attention; where panels_supported() says so. */
int
attention_run(const void *state, const struct operands *operands);
