#include "exec/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "exec/panels.h"
#include "exec/parallel.h"
#include "exec/wide.h"

enum {
	/* Most tiles of rows that are done together, and bytes of their scores. */
	BLOCK_TILES = 5,
	SCORE_BYTES = 512 * 1024,
	LINE_FLOATS = 16,
};

#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx512f")))

/* One thread's memory. Scores and Q: blocks of 16 columns, rows within; K, V: panels. */
struct workspace {
	float *k;
	float *v;
	float *q;
	float *scores;
	/* rows by width, and what each row is still to be multiplied by. */
	float *mixed;
	float *factors;
};

/* Rows begin … end-1 of one of the products. */
struct block {
	const struct attention *attention;
	struct workspace workspace;
	const float *q;
	const float *k;
	const float *v;
	const float *mask;
	float *out;
	int64_t begin;
	int64_t rows;
};

struct attention_task {
	const struct attention *attention;
	const struct operands *operands;
};

static int64_t
count_tiles(const struct attention *attention)
{
	return (attention->rows + PANELS_ROWS - 1) / PANELS_ROWS;
}

/* Tiles of rows that are done together. */
static int64_t
block_tiles(const struct attention *attention)
{
	int64_t columns = panels_round_up(attention->columns, PANELS_WIDTH);
	int64_t fit = SCORE_BYTES / (columns * PANELS_ROWS * (int64_t)sizeof(float));
	return fit < 1 ? 1 : fit < BLOCK_TILES ? fit : BLOCK_TILES;
}

/* The pieces of one thread's scratch; how many floats they are. */
static int64_t
divide(const struct attention *attention, float *at, struct workspace *workspace)
{
	int64_t inner = panels_round_up(attention->inner, PANELS_BLOCK);
	int64_t columns = panels_round_up(attention->columns, PANELS_WIDTH);
	int64_t width = panels_round_up(attention->width, PANELS_WIDTH);
	int64_t rows = block_tiles(attention) * PANELS_ROWS;
	const int64_t sizes[] = { inner * columns, columns * width, rows * inner,
				  rows * columns,  rows * width,    rows };
	float **const pieces[] = { &workspace->k,      &workspace->v,     &workspace->q,
				   &workspace->scores, &workspace->mixed, &workspace->factors };
	int64_t used = 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		*pieces[i] = at != NULL ? at + used : NULL;
		used += panels_round_up(sizes[i], LINE_FLOATS);
	}
	return used;
}

size_t
attention_scratch(const struct attention *attention)
{
	struct workspace unused;
	return (size_t)divide(attention, NULL, &unused) * sizeof(float);
}

/* to[i] = from[i step] factor */
static inline KERNEL void
scale_row(float *to, int64_t to_step, const float *from, int64_t from_step, int64_t count,
	  float factor)
{
	if (to_step == 1 && from_step == 1) {
		for (int64_t i = 0; i < count; i++)
			to[i] = from[i] * factor;
		return;
	}
	for (int64_t i = 0; i < count; i++)
		to[i * to_step] = from[i * from_step] * factor;
}

/* Columns of the panel that begins at column `from` of `all`. */
static int64_t
panel_columns(int64_t all, int64_t from)
{
	return all - from < PANELS_WIDTH ? all - from : PANELS_WIDTH;
}

/* K' in panels: 32 columns' elements for each index of the inner dimension, zeros beyond. */
static KERNEL void
pack_k(const struct block *block)
{
	const struct attention *attention = block->attention;
	const int64_t *steps = attention->k.steps;
	int64_t inner = panels_round_up(attention->inner, PANELS_BLOCK);
	for (int64_t from = 0; from < attention->columns; from += PANELS_WIDTH) {
		float *panel = block->workspace.k + from * inner;
		int64_t count = panel_columns(attention->columns, from);
		if (count < PANELS_WIDTH || inner != attention->inner)
			memset(panel, 0, (size_t)(inner * PANELS_WIDTH) * sizeof(float));
		for (int64_t c = 0; c < count; c++) {
			const float *row = block->k + (from + c) * steps[2];
			for (int64_t i = 0; i < attention->inner; i++)
				panel[i * PANELS_WIDTH + c] = row[i * steps[3]];
		}
	}
}

/* V in panels: 32 of its columns for each of its rows, zeros beyond. */
static KERNEL void
pack_v(const struct block *block)
{
	const struct attention *attention = block->attention;
	const int64_t *steps = attention->v.steps;
	int64_t rows = panels_round_up(attention->columns, PANELS_WIDTH);
	for (int64_t from = 0; from < attention->width; from += PANELS_WIDTH) {
		int64_t count = panel_columns(attention->width, from);
		float *panel = block->workspace.v + from * rows;
		memset(panel + attention->columns * PANELS_WIDTH, 0,
		       (size_t)((rows - attention->columns) * PANELS_WIDTH) * sizeof(float));
		for (int64_t r = 0; r < attention->columns; r++) {
			const float *row = block->v + r * steps[2] + from * steps[3];
			float *to = panel + r * PANELS_WIDTH;
			if (count < PANELS_WIDTH)
				memset(to, 0, PANELS_WIDTH * sizeof(float));
			scale_row(to, 1, row, steps[3], count, 1);
		}
	}
}

/* The block's rows of Q, scaled, in blocks of 16 of the inner dimension, zeros beyond. */
static KERNEL void
pack_q(const struct block *block)
{
	const struct attention *attention = block->attention;
	const int64_t *steps = attention->q.steps;
	for (int64_t i = 0; i < panels_round_up(attention->inner, PANELS_BLOCK);
	     i += PANELS_BLOCK) {
		int64_t left = attention->inner - i;
		for (int64_t r = 0; r < block->rows; r++) {
			const float *from = block->q + (block->begin + r) * steps[2] + i * steps[3];
			float *to = block->workspace.q + (i * block->rows) + r * PANELS_BLOCK;
			if (left < PANELS_BLOCK)
				memset(to, 0, PANELS_BLOCK * sizeof(float));
			scale_row(to, 1, from, steps[3], left < PANELS_BLOCK ? left : PANELS_BLOCK,
				  attention->scale);
		}
	}
}

/* C = A B with A in blocks of 16 columns, B in panels of inner rows; c_row and c_block as in struct panels_tile. */
static void
multiply(int64_t rows, int64_t inner, int64_t columns, const float *a, const float *b, float *c,
	 int64_t c_row, int64_t c_block)
{
	int64_t tiles = (rows + PANELS_ROWS - 1) / PANELS_ROWS;
	struct panels_tile tile = { .a_block = rows * PANELS_BLOCK,
				    .blocks = inner / PANELS_BLOCK,
				    .c_row = c_row,
				    .c_block = c_block,
				    .ahead = (const char *)a,
				    .first = true };
	for (int64_t column = 0; column < columns; column += PANELS_WIDTH) {
		tile.b = b + column * inner;
		for (int64_t i = 0; i < tiles; i++) {
			int64_t begin = rows * i / tiles, end = rows * (i + 1) / tiles;
			tile.a = a + begin * PANELS_BLOCK;
			tile.c = c + begin * c_row + column / PANELS_BLOCK * c_block;
			panels_tile(end - begin)(&tile);
		}
	}
}

/* The scores of one row, `step` floats from block to block, become exponentials; the inverse of their sum. */
static KERNEL float
soften_row(float *scores, int64_t step, int64_t columns, const float *mask)
{
	__m512 least = _mm512_set1_ps(-INFINITY), most = least, sum = _mm512_setzero_ps();
	float *end = scores + panels_round_up(columns, PANELS_WIDTH) / PANELS_BLOCK * step;
	for (float *at = scores; at < end; at += step, columns -= PANELS_BLOCK) {
		__mmask16 there = columns >= PANELS_BLOCK ? 0xffff
				  : columns > 0           ? (__mmask16)((1U << columns) - 1)
							  : 0;
		__m512 score = _mm512_mask_mov_ps(least, there, _mm512_load_ps(at));
		if (mask != NULL) {
			score = _mm512_add_ps(score, _mm512_maskz_loadu_ps(there, mask));
			mask += PANELS_BLOCK;
		}
		_mm512_store_ps(at, score);
		most = _mm512_max_ps(most, score);
	}
	most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
	for (float *at = scores; at < end; at += step) {
		__m512 score = wide_soft_exp(_mm512_sub_ps(_mm512_load_ps(at), most));
		_mm512_store_ps(at, score);
		sum = _mm512_add_ps(sum, score);
	}
	return 1 / _mm512_reduce_add_ps(sum);
}

static void
soften(const struct block *block)
{
	const struct attention *attention = block->attention;
	for (int64_t r = 0; r < block->rows; r++) {
		const float *mask = NULL;
		if (attention->masked)
			mask = block->mask + (block->begin + r) * attention->mask.steps[2];
		block->workspace.factors[r] =
			soften_row(block->workspace.scores + r * PANELS_BLOCK,
				   block->rows * PANELS_BLOCK, attention->columns, mask);
	}
}

/* The mixed rows, scaled, to where they belong. */
static KERNEL void
write_out(const struct block *block)
{
	const struct attention *attention = block->attention;
	int64_t width = panels_round_up(attention->width, PANELS_WIDTH);
	for (int64_t r = 0; r < block->rows; r++) {
		const float *from = block->workspace.mixed + r * width;
		float *to = block->out + (block->begin + r) * attention->out.steps[2];
		scale_row(to, attention->out.steps[3], from, 1, attention->width,
			  block->workspace.factors[r]);
	}
}

/* Rows from tile to tile; K and V are packed. */
static void
run_block(struct block *block, int64_t begin, int64_t end)
{
	const struct attention *attention = block->attention;
	const struct workspace *workspace = &block->workspace;
	int64_t tiles = count_tiles(attention);
	int64_t columns = panels_round_up(attention->columns, PANELS_WIDTH);
	int64_t width = panels_round_up(attention->width, PANELS_WIDTH);
	block->begin = attention->rows * begin / tiles;
	block->rows = attention->rows * end / tiles - block->begin;
	pack_q(block);
	multiply(block->rows, panels_round_up(attention->inner, PANELS_BLOCK), columns,
		 workspace->q, workspace->k, workspace->scores, PANELS_BLOCK,
		 block->rows * PANELS_BLOCK);
	soften(block);
	multiply(block->rows, columns, width, workspace->scores, workspace->v, workspace->mixed,
		 width, PANELS_BLOCK);
	write_out(block);
}

static int64_t
offset_of(const struct attention *attention, const struct attention_steps *steps, int64_t product)
{
	return product / attention->batch[1] * steps->steps[0] +
	       product % attention->batch[1] * steps->steps[1];
}

/* Tiles begin … end-1 of the rows of one product. */
static void
run_product(const struct attention_task *task, int64_t product, int64_t begin, int64_t end,
	    const struct workspace *workspace)
{
	const struct attention *attention = task->attention;
	const struct operands *operands = task->operands;
	struct block block = { .attention = attention, .workspace = *workspace };
	block.q = (const float *)operands->inputs[0] + offset_of(attention, &attention->q, product);
	block.k = (const float *)operands->inputs[1] + offset_of(attention, &attention->k, product);
	block.v = (const float *)operands->inputs[2] + offset_of(attention, &attention->v, product);
	block.out = (float *)operands->outputs[0] + offset_of(attention, &attention->out, product);
	if (attention->masked)
		block.mask = (const float *)operands->inputs[3] +
			     offset_of(attention, &attention->mask, product);
	pack_k(&block);
	pack_v(&block);
	for (int64_t most = block_tiles(attention); begin < end; begin += most)
		run_block(&block, begin, begin + most < end ? begin + most : end);
}

/* The share of worker `begin` of all tiles of all products; each has scratch of its own. */
static void
run_share(void *context, int64_t begin, int64_t end)
{
	const struct attention_task *task = context;
	const struct attention *attention = task->attention;
	int64_t tiles = count_tiles(attention);
	int64_t all = attention->batch[0] * attention->batch[1] * tiles;
	for (int64_t worker = begin; worker < end; worker++) {
		struct workspace workspace;
		divide(attention,
		       (float *)((char *)task->operands->scratch +
				 (size_t)worker * attention_scratch(attention)),
		       &workspace);
		int64_t at = all * worker / attention->threads;
		int64_t stop = all * (worker + 1) / attention->threads;
		while (at < stop) {
			int64_t first = at % tiles;
			int64_t last = tiles < first + stop - at ? tiles : first + stop - at;
			run_product(task, at / tiles, first, last, &workspace);
			at += last - first;
		}
	}
}

int
attention_run(const void *state, const struct operands *operands)
{
	const struct attention *attention = state;
	struct attention_task task = { attention, operands };
	parallel_for(attention->threads, attention->threads, 1, run_share, &task);
	return 0;
}
#else
size_t
attention_scratch(const struct attention *attention)
{
	(void)attention;
	return 0;
}

int
attention_run(const void *state, const struct operands *operands)
{
	assert(!"panels_supported");
	(void)state;
	(void)operands;
	return -1;
}
#endif
