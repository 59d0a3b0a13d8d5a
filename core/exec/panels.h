/*
 * Panels: products with a constant matrix, A B and what is done to the result, by kernels of our own for AVX-512. B is packed
 * in panels of 32 columns. While a tile of the result is computed from one panel, the next one is fetched: where A has few
 * rows, a model's weights come from memory, and oneDNN 2.6 waits for them (a core of a 2-core Xeon, GFLOP/s of oneDNN and of
 * this, medians: 64x768x768 129 and 149, 128x3072x768 144 and 160, 49x512x2048 113 and 132, 196x1024x256 156 and 174; with
 * 784 rows and more both do 170). The order of loops is Goto's: rows of A that the second cache holds, then panels.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/operator.h"
#include "exec/panels_tile.h"
#include "exec/rows.h"

/* A post that is done to a tile after it was written. */
struct panels_post {
	/* Of one operand; NULL: one with another, which is `input`. */
	row_unary_f *unary;
	float alpha;
	float beta;
	row_binary_f *binary;
	uint32_t input;
	/* The other operand lies as the result does, else it is one number a column, or a single one. */
	bool alike;
	bool single;
};

enum {
	PANELS_POSTS_MAX = 8,
	/* Blocks of a row of A that are put in order together, so that reads and writes are both of several lines. */
	PANELS_ORDER_BLOCKS = 4,
};

struct panels {
	/* items times C[m][n] = A[m][k] B[k][n], all with the same B. */
	int64_t items;
	int64_t m;
	int64_t n;
	int64_t k;
	/* A is plain, and put as the kernels want it in scratch; else it is blocked by 16 of k, as LAYOUT_BLOCKED is. */
	bool plain;
	/* Where the result goes: as struct panels_tile says, and elements from one item to the next, of A too. */
	int64_t c_row;
	int64_t c_block;
	int64_t c_item;
	int64_t a_item;
	/* What A is scaled by where it is read: inputs, a factor and a summand for each k, and the least result; -1: not at all. */
	int32_t factors;
	int32_t summands;
	float a_low;
	/* Floats of scratch that each part has for what it scaled. */
	int64_t scaled_floats;
	/* Inputs; -1: none. */
	int32_t bias;
	int32_t sum;
	float low;
	float high;
	uint32_t post_count;
	struct panels_post posts[PANELS_POSTS_MAX];
	/*
	 * Of the inner dimension: what is gone through at a time for all panels, whose part of A the second cache holds, and of
	 * that for one panel, whose part of B the first one holds.
	 */
	int64_t inner;
	int64_t slice;
	/* Is the result larger than the second cache? */
	bool far;
	/* Parts that columns and rows are shared out in. */
	int64_t column_parts;
	int64_t row_parts;
	unsigned threads;
};

/* The kernel's run; state is a struct panels. */
int
panels_run(const void *state, const struct operands *operands);

/* Tiles that the rows of an item make, all but equally high, and panels of its columns. */
int64_t
panels_count_tiles(const struct panels *panels);
int64_t
panels_count(const struct panels *panels);

/* Floats of scratch that scaling one part's rows of A takes, for all parts of the inner dimension in turn. */
int64_t
panels_scaled_floats(const struct panels *panels);

int64_t
panels_round_up(int64_t count, int64_t unit);

/* Can this processor? False, too, when oneDNN is told to leave AVX-512 alone (ONEDNN_MAX_CPU_ISA). */
bool
panels_supported(void);

/* Is B, the constant input `input` of n columns and k rows, packed in panels already? */
bool
panels_packed(const struct operator_call *call, uint32_t input, int64_t n, int64_t k);

/* What prepare is told; the rest of struct panels follows from it. */
struct panels_form {
	int64_t items;
	int64_t m;
	int64_t n;
	int64_t k;
	/* Elements of B from one row to the next, and from one column. */
	int64_t b_row;
	int64_t b_column;
	/* A and C are plain matrices of one item, else blocked images. */
	bool plain;
	/* Input that is one summand a column, before all posts; -1: none. */
	int32_t bias;
	/* Is A to be scaled first, and not plain? By which inputs, of a whole number of blocks of floats, see struct panels. */
	bool scaled;
	int32_t factors;
	int32_t summands;
	float a_low;
	const struct post *posts;
	uint32_t post_count;
};

/* Read constant input `input`, B as form says, in panels from now on. -1 with the error set. */
int
panels_pack(struct operator_call *call, uint32_t input, const struct panels_form *form);

/*
 * Make A B the call's kernel: inputs 0 and 1, and those of posts. -1 with the error set: UNIMPLEMENTED for posts that it
 * does not know.
 */
int
panels_prepare(struct operator_call *call, const struct panels_form *form);
