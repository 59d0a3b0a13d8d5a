/*
 * The innermost kernels of exec/panels.h: a tile of a product, which stays in registers while the inner dimension goes by.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	/* Columns of a tile, and of a panel of B. */
	PANELS_WIDTH = 32,
	/* Columns that lie side by side in A and in half a tile: floats of a register. */
	PANELS_BLOCK = 16,
	/* Most rows of a tile: twice as many registers of sums, of 32. */
	PANELS_ROWS = 14,
};

struct panels_tile {
	/* A: element (row, k) at a + k / 16 * a_block + row * 16 + k % 16. */
	const float *a;
	int64_t a_block;
	/* Blocks of 16 of the inner dimension. */
	int64_t blocks;
	/* B: 32 floats for each k, 64-byte aligned. */
	const float *b;
	/* The result: element (row, column) at c + row * c_row + column / 16 * c_block + column % 16. */
	float *c;
	int64_t c_row;
	int64_t c_block;
	/* Is that to be brought from beyond the second cache? */
	bool far;
	/* What is wanted next from memory: an address in steps of ahead_step bytes, one for every two k. It may be anywhere. */
	const char *ahead;
	int64_t ahead_step;
	/* Sums begin at bias (32 floats; NULL: at 0), else at what c holds. */
	bool first;
	const float *bias;
	/* Then, in this order: add what lies at sum as the result does, unless NULL, and keep within low … high. */
	bool last;
	const float *sum;
	float low;
	float high;
};

typedef void
panels_tile_f(const struct panels_tile *tile);

/*
 * to[row][i] = max(low, from[row][i] factors[i] + summands[i]) for rows of PANELS_BLOCK elements, 64-byte aligned but for from.
 * Only where panels_supported() says so.
 */
void
panels_scale(float *to, const float *from, int64_t rows, const float *factors,
	     const float *summands, float low);

/* The kernel for so many rows, 1 to PANELS_ROWS. Only where panels_supported() says so. */
panels_tile_f *
panels_tile(int64_t rows);
