/* Operators that lay out places and patches of pictures: AffineGrid, Col2Im. */
#include <inttypes.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/cast.h"
#include "exec/operator.h"

enum {
	/* Spatial dimensions of Col2Im. */
	SPATIAL_MAX = TENSOR_MAX_RANK - 2,
	/* Pixels, cells or blocks; products of two more sizes do not overflow. */
	ELEMENTS_MAX = INT32_MAX,
};

/* --- AffineGrid --------------------------------------------------------------------------------------------------- */

struct grid {
	enum data_type data_type;
	int64_t batch;
	/* 2 or 3 sizes, outermost first. */
	uint32_t rank;
	int64_t size[3];
	bool align_corners;
};

/* Place i of n from -1 to 1: of centres, or of corners. */
static double
place_of(const struct grid *grid, int64_t i, int64_t n)
{
	if (!grid->align_corners)
		return (2 * (double)i + 1) / (double)n - 1;
	return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : 0;
}

/* Where the matrix (rank rows of rank + 1) takes the point, whose coordinates are innermost first. */
static void
write_point(const struct grid *grid, const void *matrix, int64_t from, const double *point,
	    void *out, int64_t to)
{
	int64_t columns = grid->rank + 1;
	for (int64_t row = 0; row < grid->rank; row++) {
		double sum = cast_get(grid->data_type, matrix, from + row * columns + grid->rank);
		for (int64_t k = 0; k < grid->rank; k++)
			sum += point[k] *
			       cast_get(grid->data_type, matrix, from + row * columns + k);
		cast_set(grid->data_type, out, to + row, sum);
	}
}

static int
run_grid(const void *state, const struct operands *operands)
{
	const struct grid *grid = state;
	int64_t points = 1, matrix = (int64_t)grid->rank * (grid->rank + 1);
	for (uint32_t i = 0; i < grid->rank; i++)
		points *= grid->size[i];
	for (int64_t i = 0; i < grid->batch * points; i++) {
		double point[3];
		int64_t rest = i % points;
		for (uint32_t k = 0; k < grid->rank; k++) {
			int64_t n = grid->size[grid->rank - 1 - k];
			point[k] = place_of(grid, rest % n, n);
			rest /= n;
		}
		write_point(grid, operands->inputs[0], i / points * matrix, point,
			    operands->outputs[0], i * grid->rank);
	}
	return 0;
}

static int
read_grid(const struct operator_call *call, struct grid *grid)
{
	const struct tensor_type *theta = &call->inputs[0];
	int64_t size[TENSOR_MAX_RANK];
	int count = operator_read_ints(call, 1, size, TENSOR_MAX_RANK);
	if (count < 0)
		return -1;
	*grid = (struct grid){ .data_type = theta->data_type,
			       .rank = count == 5 ? 3 : 2,
			       .align_corners = node_int(call->node, "align_corners", 0) != 0 };
	if (theta->data_type != DATA_TYPE_FLOAT && theta->data_type != DATA_TYPE_DOUBLE)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(theta->data_type));
	if ((count != 4 && count != 5) || theta->rank != 3 || theta->dims[1] != grid->rank ||
	    theta->dims[2] != grid->rank + 1 || theta->dims[0] != size[0])
		return operator_error(call, "theta and size do not fit");
	grid->batch = size[0];
	for (uint32_t i = 0; i < grid->rank; i++) {
		grid->size[i] = size[i + 2];
		if (grid->size[i] < 0)
			return operator_error(call, "size %" PRId64, grid->size[i]);
	}
	return 0;
}

static int
infer_grid(struct operator_call *call)
{
	struct grid grid;
	if (read_grid(call, &grid) != 0)
		return -1;
	int64_t dims[5] = { grid.batch };
	memcpy(dims + 1, grid.size, grid.rank * sizeof(dims[0]));
	dims[grid.rank + 1] = grid.rank;
	return operator_output(call, 0, grid.data_type, grid.rank + 2, dims);
}

static int
prepare_grid(struct operator_call *call)
{
	struct grid *grid = operator_state(call, sizeof(*grid));
	call->kernel->run = run_grid;
	return grid != NULL ? read_grid(call, grid) : -1;
}

/* --- Col2Im ------------------------------------------------------------------------------------------------------- */

struct fold {
	enum data_type data_type;
	/* Pictures: batch times channels. */
	int64_t planes;
	uint32_t rank;
	int64_t image[SPATIAL_MAX];
	int64_t block[SPATIAL_MAX];
	int64_t strides[SPATIAL_MAX];
	int64_t dilations[SPATIAL_MAX];
	int64_t begin[SPATIAL_MAX];
	/* Blocks along each dimension. */
	int64_t counts[SPATIAL_MAX];
	/* Products. */
	int64_t pixels;
	int64_t cells;
	int64_t blocks;
};

/* Pixel that cell `cell` of block `block` lies on; -1 outside. */
static int64_t
pixel_of(const struct fold *fold, int64_t cell, int64_t block)
{
	int64_t pixel = 0, step = 1;
	for (uint32_t i = fold->rank; i-- > 0;) {
		int64_t at = block % fold->counts[i] * fold->strides[i] - fold->begin[i] +
			     cell % fold->block[i] * fold->dilations[i];
		if (at < 0 || at >= fold->image[i])
			return -1;
		pixel += at * step;
		step *= fold->image[i];
		block /= fold->counts[i];
		cell /= fold->block[i];
	}
	return pixel;
}

static int
run_fold(const void *state, const struct operands *operands)
{
	const struct fold *fold = state;
	void *out = operands->outputs[0];
	enum data_type type = fold->data_type;
	memset(out, 0, (size_t)(fold->planes * fold->pixels) * data_type_bytes(type));
	for (int64_t cell = 0; cell < fold->cells; cell++) {
		for (int64_t block = 0; block < fold->blocks; block++) {
			int64_t pixel = pixel_of(fold, cell, block);
			for (int64_t plane = 0; pixel >= 0 && plane < fold->planes; plane++) {
				int64_t from = (plane * fold->cells + cell) * fold->blocks + block;
				int64_t to = plane * fold->pixels + pixel;
				cast_set(type, out, to,
					 cast_get(type, out, to) +
						 cast_get(type, operands->inputs[0], from));
			}
		}
	}
	return 0;
}

/* An attribute with a number a dimension, or `count` of them; fallback where it is absent. */
static int
read_numbers(const struct operator_call *call, const char *name, int64_t fallback, uint32_t count,
	     int64_t *numbers)
{
	uint32_t given;
	const int64_t *values = node_ints(call->node, name, &given);
	if (values != NULL && given != count)
		return operator_error(call, "%s has %" PRIu32 " values, not %" PRIu32, name, given,
				      count);
	for (uint32_t i = 0; i < count; i++) {
		numbers[i] = values != NULL ? values[i] : fallback;
		if (numbers[i] < fallback || numbers[i] > INT32_MAX)
			return operator_error(call, "%s: %" PRId64, name, numbers[i]);
	}
	return 0;
}

/* How many blocks there are along each dimension, and the products. */
static int
count_blocks(const struct operator_call *call, struct fold *fold, const int64_t *pads)
{
	fold->pixels = fold->cells = fold->blocks = 1;
	for (uint32_t i = 0; i < fold->rank; i++) {
		if (fold->image[i] < 1 || fold->image[i] > INT32_MAX || fold->block[i] < 1 ||
		    fold->block[i] > INT32_MAX)
			return operator_error(call, "image or block size %" PRIu32, i);
		int64_t span = (fold->block[i] - 1) * fold->dilations[i] + 1;
		int64_t padded = fold->image[i] + pads[i] + pads[fold->rank + i];
		if (span > padded)
			return operator_error(call, "a block is larger than the image");
		fold->begin[i] = pads[i];
		fold->counts[i] = (padded - span) / fold->strides[i] + 1;
		fold->pixels *= fold->image[i];
		fold->cells *= fold->block[i];
		fold->blocks *= fold->counts[i];
		if (fold->pixels > ELEMENTS_MAX || fold->cells > ELEMENTS_MAX ||
		    fold->blocks > ELEMENTS_MAX)
			return operator_error(call, "the image is too large");
	}
	return 0;
}

static int
read_fold(const struct operator_call *call, struct fold *fold)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t pads[2 * SPATIAL_MAX];
	*fold = (struct fold){ .data_type = input->data_type };
	int rank = operator_read_ints(call, 1, fold->image, SPATIAL_MAX);
	if (rank < 1 || operator_read_ints(call, 2, fold->block, SPATIAL_MAX) != rank)
		return operator_error(call, "image and block must have as many sizes");
	fold->rank = (uint32_t)rank;
	if (read_numbers(call, "strides", 1, fold->rank, fold->strides) != 0 ||
	    read_numbers(call, "dilations", 1, fold->rank, fold->dilations) != 0 ||
	    read_numbers(call, "pads", 0, 2 * fold->rank, pads) != 0 ||
	    count_blocks(call, fold, pads) != 0)
		return -1;
	if (input->rank != 3 || input->dims[1] % fold->cells != 0 || input->dims[2] != fold->blocks)
		return operator_error(
			call, "the input does not have %" PRId64 " blocks of %" PRId64 " cells",
			fold->blocks, fold->cells);
	fold->planes = input->dims[0] * (input->dims[1] / fold->cells);
	return 0;
}

static int
infer_fold(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	struct fold fold;
	if (read_fold(call, &fold) != 0)
		return -1;
	int64_t dims[TENSOR_MAX_RANK] = { input->dims[0], input->dims[1] / fold.cells };
	memcpy(dims + 2, fold.image, fold.rank * sizeof(dims[0]));
	return operator_output(call, 0, input->data_type, fold.rank + 2, dims);
}

static int
prepare_fold(struct operator_call *call)
{
	struct fold *fold = operator_state(call, sizeof(*fold));
	call->kernel->run = run_fold;
	return fold != NULL ? read_fold(call, fold) : -1;
}

static const struct op fold_operators[] = {
	{ .type = "AffineGrid",
	  .since = 20,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1,
	  .infer = infer_grid,
	  .prepare = prepare_grid },
	{ .type = "Col2Im",
	  .since = 18,
	  .inputs = { 3, 3 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1 | 1 << 2,
	  .infer = infer_fold,
	  .prepare = prepare_fold },
};

const struct operator_family operator_family_fold = {
	fold_operators,
	sizeof(fold_operators) / sizeof(fold_operators[0]),
};
