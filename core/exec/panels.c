#include "exec/panels.h"

#include <string.h>

#include "exec/parallel.h"

enum {
	/* Floats of A that are gone through for each panel. */
	A_FLOATS = 512 * 1024 / sizeof(float),
	LINE = 64,
	/* Addresses that a tile can fetch for each k, as a fraction: one for two. */
	AHEAD_EACH = 2,
};

struct panels_run {
	const struct panels *panels;
	const struct operands *operands;
	/* A as the kernels want it, but for scaling. */
	const float *a;
};

/* A rectangle of one item's result: rows by panels, and of the inner dimension. */
struct area {
	int64_t item;
	int64_t tiles[2];
	int64_t panels[2];
	int64_t inner[2];
	/* Its part of A, and elements from one block of columns to the next; where it goes when it is scaled. */
	const float *a;
	int64_t a_block;
	float *scaled;
};

int64_t
panels_round_up(int64_t count, int64_t unit)
{
	return (count + unit - 1) / unit * unit;
}

int64_t
panels_count_tiles(const struct panels *panels)
{
	return (panels->m + PANELS_ROWS - 1) / PANELS_ROWS;
}

static int64_t
row_of_tile(const struct panels *panels, int64_t tile)
{
	return panels->m * tile / panels_count_tiles(panels);
}

int64_t
panels_count(const struct panels *panels)
{
	return (panels->n + PANELS_WIDTH - 1) / PANELS_WIDTH;
}

/* --- posts on a tile that was just written ------------------------------------------------------------------------------ */

/* to[i][0 … 15] op= by[0 … 15] for `rows` neighbouring rows of a block. */
static void
apply_columns(const struct panels_post *post, float *to, int64_t rows, const float *by,
	      int64_t width)
{
	for (int64_t r = 0; r < rows; r++)
		post->binary(to + r * PANELS_BLOCK, to + r * PANELS_BLOCK, by, width, 1, 1);
}

/* The post on `count` floats that lie one after the other; by: the other operand's, from where these begin. */
static void
apply_run(const struct panels_post *post, float *to, int64_t count, const float *by)
{
	if (post->unary != NULL)
		post->unary(to, to, count, post->alpha, post->beta);
	else
		post->binary(to, to, by, count, 1, post->single ? 0 : 1);
}

/* One post on rows by columns of the result, from element `at` of it on. */
static void
apply_post(const struct panels_run *run, const struct panels_post *post, int64_t at, int64_t rows,
	   int64_t column, int64_t columns)
{
	const struct panels *panels = run->panels;
	float *to = (float *)run->operands->outputs[0] + at;
	const float *by = post->binary != NULL ? run->operands->inputs[post->input] : NULL;
	if (panels->plain) {
		for (int64_t r = 0; r < rows; r++) {
			int64_t shift = r * panels->c_row;
			int64_t from = post->alike ? at + shift : column;
			apply_run(post, to + shift, columns,
				  by == NULL || post->single ? by : by + from);
		}
		return;
	}
	for (int64_t i = 0; i < columns; i += PANELS_BLOCK) {
		int64_t shift = i / PANELS_BLOCK * panels->c_block;
		int64_t width = columns - i < PANELS_BLOCK ? columns - i : PANELS_BLOCK;
		bool each = by != NULL && !post->alike && !post->single;
		if (each)
			apply_columns(post, to + shift, rows, by + column + i, width);
		else
			apply_run(post, to + shift, rows * PANELS_BLOCK,
				  post->alike ? by + at + shift : by);
	}
}

/* --- tiles --------------------------------------------------------------------------------------------------------------- */

/* Copy rows of the left half of a tile, and of the right one where it exists, between c's layout and another one. */
static void
copy_columns(float *to, int64_t to_row, int64_t to_block, const float *from, int64_t from_row,
	     int64_t from_block, int64_t rows, int64_t columns)
{
	for (int64_t i = 0; i < columns; i += PANELS_BLOCK) {
		int64_t width = columns - i < PANELS_BLOCK ? columns - i : PANELS_BLOCK;
		for (int64_t r = 0; r < rows; r++)
			memcpy(to + r * to_row + i / PANELS_BLOCK * to_block,
			       from + r * from_row + i / PANELS_BLOCK * from_block,
			       (size_t)width * sizeof(float));
	}
}

/* A tile whose last columns do not exist: computed aside. columns: those that do, whole blocks where the result is blocked. */
static void
run_partial(const struct panels_tile *tile, int64_t rows, int64_t columns)
{
	float result[PANELS_ROWS * PANELS_WIDTH] = { 0 }, sum[PANELS_ROWS * PANELS_WIDTH] = { 0 };
	struct panels_tile aside = *tile;
	aside.c = result;
	aside.c_row = PANELS_WIDTH;
	aside.c_block = PANELS_BLOCK;
	if (!tile->first)
		copy_columns(result, PANELS_WIDTH, PANELS_BLOCK, tile->c, tile->c_row,
			     tile->c_block, rows, columns);
	if (tile->sum != NULL) {
		copy_columns(sum, PANELS_WIDTH, PANELS_BLOCK, tile->sum, tile->c_row, tile->c_block,
			     rows, columns);
		aside.sum = sum;
	}
	panels_tile(rows)(&aside);
	copy_columns(tile->c, tile->c_row, tile->c_block, result, PANELS_WIDTH, PANELS_BLOCK, rows,
		     columns);
}

/* One tile of the area, whose panel's part begins at tile->b. */
static void
run_tile(const struct panels_run *run, const struct area *area, int64_t from, int64_t index,
	 int64_t panel, struct panels_tile *tile)
{
	const struct panels *panels = run->panels;
	int64_t row = row_of_tile(panels, index), rows = row_of_tile(panels, index + 1) - row;
	int64_t column = panel * PANELS_WIDTH;
	int64_t columns = panels->n - column < PANELS_WIDTH ? panels->n - column : PANELS_WIDTH;
	int64_t wide = panels->plain ? columns : panels_round_up(columns, PANELS_BLOCK);
	int64_t at = area->item * panels->c_item + row * panels->c_row +
		     column / PANELS_BLOCK * panels->c_block;
	tile->a = area->a + (from - area->inner[0]) / PANELS_BLOCK * area->a_block +
		  (row - row_of_tile(panels, area->tiles[0])) * PANELS_BLOCK;
	tile->c = (float *)run->operands->outputs[0] + at;
	tile->sum = panels->sum >= 0 && tile->last
			    ? (const float *)run->operands->inputs[panels->sum] + at
			    : NULL;
	if (wide == PANELS_WIDTH)
		panels_tile(rows)(tile);
	else
		run_partial(tile, rows, wide);
	for (uint32_t i = 0; i < panels->post_count && tile->last; i++)
		apply_post(run, &panels->posts[i], at, rows, column, columns);
}

/*
 * The tiles of an area that are made from part inner[0] … inner[1] of one panel, fetching what comes next: the panel's next
 * slice, or the next panel's first one.
 */
static void
run_slice(const struct panels_run *run, const struct area *area, int64_t panel,
	  const int64_t *inner, const float *bias)
{
	const struct panels *panels = run->panels;
	int64_t k = panels_round_up(panels->k, PANELS_BLOCK), length = inner[1] - inner[0];
	struct panels_tile tile = {
		.a_block = area->a_block,
		.blocks = length / PANELS_BLOCK,
		.b = (const float *)run->operands->inputs[1] +
		     (panel * k + inner[0]) * PANELS_WIDTH,
		.c_row = panels->c_row,
		.c_block = panels->c_block,
		.first = inner[0] == 0,
		.far = panels->far && inner[0] == 0,
		.bias = inner[0] == 0 ? bias : NULL,
		.last = inner[1] == k,
		.low = panels->low,
		.high = panels->high,
	};
	bool ends = inner[1] == area->inner[1];
	int64_t next = ends ? k - inner[0] + area->inner[0] : length;
	tile.ahead = (const char *)(tile.b + next * PANELS_WIDTH);
	int64_t bytes = length * PANELS_WIDTH * (int64_t)sizeof(float);
	int64_t fetches = (area->tiles[1] - area->tiles[0]) * (length / AHEAD_EACH);
	tile.ahead_step = (bytes + fetches - 1) / fetches;
	tile.ahead_step = tile.ahead_step < LINE ? tile.ahead_step : LINE;
	for (int64_t i = area->tiles[0]; i < area->tiles[1]; i++) {
		run_tile(run, area, inner[0], i, panel, &tile);
		tile.ahead += length / AHEAD_EACH * tile.ahead_step;
	}
}

/* Length of the parts, all but equal and whole blocks, that an inner dimension of k is gone through in. */
static int64_t
even_part(int64_t k, int64_t most)
{
	int64_t parts = (k + most - 1) / most;
	return panels_round_up((k + parts - 1) / parts, PANELS_BLOCK);
}

/* The tiles of an area that are made from one panel, slice by slice that the first cache holds. */
static void
run_panel(const struct panels_run *run, const struct area *area, int64_t panel)
{
	const struct panels *panels = run->panels;
	float bias[PANELS_WIDTH] = { 0 };
	int64_t column = panel * PANELS_WIDTH, left = panels->n - column;
	if (panels->bias >= 0)
		memcpy(bias, (const float *)run->operands->inputs[panels->bias] + column,
		       (size_t)(left < PANELS_WIDTH ? left : PANELS_WIDTH) * sizeof(float));
	int64_t slice = even_part(area->inner[1] - area->inner[0], panels->slice);
	for (int64_t from = area->inner[0]; from < area->inner[1]; from += slice) {
		int64_t to = from + slice < area->inner[1] ? from + slice : area->inner[1];
		run_slice(run, area, panel, (int64_t[]){ from, to },
			  panels->bias >= 0 ? bias : NULL);
	}
}

/* The area's part of A: where it lies, or scaled. */
static void
read_area(const struct panels_run *run, struct area *area)
{
	const struct panels *panels = run->panels;
	int64_t begin = row_of_tile(panels, area->tiles[0]), step = panels->m * PANELS_BLOCK;
	area->a = run->a + area->item * panels->a_item + area->inner[0] / PANELS_BLOCK * step +
		  begin * PANELS_BLOCK;
	area->a_block = step;
	if (panels->factors < 0)
		return;
	const float *factors = run->operands->inputs[panels->factors];
	const float *summands = run->operands->inputs[panels->summands], *from = area->a;
	int64_t rows = row_of_tile(panels, area->tiles[1]) - begin;
	float *to = area->scaled;
	area->a = to;
	area->a_block = rows * PANELS_BLOCK;
	for (int64_t k = area->inner[0]; k < area->inner[1]; k += PANELS_BLOCK) {
		panels_scale(to, from, rows, factors + k, summands + k, panels->a_low);
		to += area->a_block;
		from += step;
	}
}

/* Rows of one item that the second cache holds, through all of the inner dimension and all panels of the area. */
static void
run_rows(const struct panels_run *run, struct area area)
{
	int64_t k = panels_round_up(run->panels->k, PANELS_BLOCK);
	int64_t part = even_part(k, run->panels->inner);
	for (int64_t from = 0; from < k; from += part) {
		area.inner[0] = from;
		area.inner[1] = from + part < k ? from + part : k;
		read_area(run, &area);
		for (int64_t panel = area.panels[0]; panel < area.panels[1]; panel++)
			run_panel(run, &area, panel);
	}
}

/* Tiles of rows that are gone through for each panel. */
static int64_t
most_tiles(const struct panels *panels)
{
	int64_t inner = panels->k < panels->inner ? panels->k : panels->inner;
	return A_FLOATS / (inner * PANELS_ROWS) + 1;
}

int64_t
panels_scaled_floats(const struct panels *panels)
{
	int64_t rows = most_tiles(panels) * PANELS_ROWS;
	return (rows < panels->m ? rows : panels->m) * panels_round_up(panels->inner, PANELS_BLOCK);
}

/* Part `part` of the parts that the columns and the rows are shared out in. */
static void
run_part(const struct panels_run *run, int64_t part)
{
	const struct panels *panels = run->panels;
	int64_t column = part % panels->column_parts, row = part / panels->column_parts;
	int64_t each = panels_count_tiles(panels), tiles = panels->items * each;
	int64_t begin = tiles * row / panels->row_parts,
		end = tiles * (row + 1) / panels->row_parts;
	int64_t most = most_tiles(panels);
	struct area area = { .scaled = panels->factors < 0 ? NULL
							   : (float *)run->operands->scratch +
								     part * panels->scaled_floats };
	area.panels[0] = panels_count(panels) * column / panels->column_parts;
	area.panels[1] = panels_count(panels) * (column + 1) / panels->column_parts;
	while (begin < end) {
		area.item = begin / each;
		area.tiles[0] = begin % each;
		int64_t left =
			each - area.tiles[0] < end - begin ? each - area.tiles[0] : end - begin;
		area.tiles[1] = area.tiles[0] + (left < most ? left : most);
		run_rows(run, area);
		begin += area.tiles[1] - area.tiles[0];
	}
}

static void
run_parts(void *context, int64_t begin, int64_t end)
{
	for (int64_t part = begin; part < end; part++)
		run_part(context, part);
}

/* --- A ------------------------------------------------------------------------------------------------------------------- */

struct order {
	const float *from;
	float *to;
	int64_t m;
	int64_t k;
};

/* Groups of PANELS_ORDER_BLOCKS blocks of columns, from rows one after the other to blocks of 16 columns. */
static void
order_groups(void *context, int64_t begin, int64_t end)
{
	const struct order *order = context;
	for (int64_t group = begin; group < end; group++) {
		for (int64_t row = 0; row < order->m; row++) {
			for (int64_t i = 0; i < PANELS_ORDER_BLOCKS; i++) {
				int64_t block = group * PANELS_ORDER_BLOCKS + i;
				int64_t left = order->k - block * PANELS_BLOCK;
				float *to = order->to + (block * order->m + row) * PANELS_BLOCK;
				const float *from =
					order->from + row * order->k + block * PANELS_BLOCK;
				if (left >= PANELS_BLOCK)
					memcpy(to, from, PANELS_BLOCK * sizeof(float));
				for (int64_t c = 0;
				     left > 0 && left < PANELS_BLOCK && c < PANELS_BLOCK; c++)
					to[c] = c < left ? from[c] : 0;
			}
		}
	}
}

int
panels_run(const void *state, const struct operands *operands)
{
	const struct panels *panels = state;
	struct panels_run run = { panels, operands, operands->inputs[0] };
	if (panels->plain) {
		struct order order = { operands->inputs[0], operands->scratch, panels->m,
				       panels->k };
		int64_t blocks = panels_round_up(panels->k, PANELS_BLOCK) / PANELS_BLOCK;
		parallel_for(panels->threads,
			     (blocks + PANELS_ORDER_BLOCKS - 1) / PANELS_ORDER_BLOCKS, 1,
			     order_groups, &order);
		run.a = operands->scratch;
	}
	parallel_for(panels->threads, panels->column_parts * panels->row_parts, 1, run_parts, &run);
	return 0;
}
