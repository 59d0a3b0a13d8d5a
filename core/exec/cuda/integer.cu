/*
 * Products of 8-bit integers, matrices and convolutions: tiles of bytes in shared memory, four of each side multiplied and added
 * at once. Bytes are shifted to signed ones; what the zero points take away is worked out of the sums of rows and columns:
 * sum (a - p)(b - q) = sum a b - p sum b - q sum a + depth p q.
 */
#include "exec/cuda/quantize.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_integer.h"
}

enum {
	/* Bytes of a word, words that a tile is deep, rows and columns of it, and of one thread's part. */
	BYTES = 4,
	WORDS = 8,
	DEPTH = WORDS * BYTES,
	TILE = 64,
	EACH = 4,
	ACROSS = TILE / EACH,
	/* Words of each side that a thread loads; and its steps through them. */
	LOADS = TILE * WORDS / BLOCK,
	ROW_STEP = BLOCK / WORDS,
};

/* The operands' addresses; zero points, scales and bias may be NULL. */
struct integer_at {
	const uint8_t *a;
	const uint8_t *b;
	const uint8_t *a_zero;
	const uint8_t *b_zero;
	const void *a_scale;
	const void *b_scale;
	const void *y_scale;
	const void *y_zero;
	const int32_t *bias;
	struct range_of range;
	void *out;
};

/* A number of one side as a signed byte, and its zero point so. */
static __device__ __forceinline__ int32_t
shifted(const struct side &side, uint8_t byte)
{
	return side.data_type == DATA_TYPE_INT8 ? (int32_t)(int8_t)byte : (int32_t)byte - 128;
}

static __device__ __forceinline__ int32_t
zero_of(const struct side &side, const uint8_t *zeros, int64_t i)
{
	return shifted(side, zeros == NULL ? 0 : zeros[side.zeros == 1 ? 0 : i % side.zeros]);
}

static __device__ __forceinline__ double
scale_at(const struct side &side, const void *scales, int64_t i)
{
	return load_any(side.scale_type, scales, side.scales == 1 ? 0 : i % side.scales).real;
}

/* The sum as it is, or rounded to 8 bits again. */
static __device__ void
store_sum(const struct integer &integer, const struct integer_at &at, int64_t i, int32_t sum,
	  int64_t row, int64_t column)
{
	if (!integer.rounds) {
		((int32_t *)at.out)[i] = sum;
		return;
	}
	double scale = scale_at(integer.a, at.a_scale, row) *
		       scale_at(integer.b, at.b_scale, column) / scale_at(integer.y, at.y_scale, 0);
	double zero = at.y_zero != NULL ? load_any(integer.y.data_type, at.y_zero, 0).real : 0.0;
	store_any(integer.y.data_type, at.out, i, DATA_TYPE_DOUBLE,
		  any_number{ round_to(sum * scale, zero, at.range), 0, false });
}

/* --- what is multiplied ------------------------------------------------------------------------------------------------------ */

/* One product of a batch: A's rows and B's columns are its. */
struct matrix_sides {
	const struct integer &integer;
	const struct integer_at &at;
	int64_t batch;
	int64_t a;
	int64_t b;

	__device__
	matrix_sides(const struct integer &integer_, const struct integer_at &at_, int64_t index)
	    : integer(integer_), at(at_), batch(index), a(0), b(0)
	{
		for (int d = (int)integer.batch_rank - 1; d >= 0; d--) {
			a += index % integer.dims[d] * integer.a_steps[d];
			b += index % integer.dims[d] * integer.b_steps[d];
			index /= integer.dims[d];
		}
	}
	__device__ int64_t
	rows() const
	{
		return integer.m;
	}
	__device__ int64_t
	depth() const
	{
		return integer.k;
	}
	__device__ int32_t
	row_zero(int64_t row) const
	{
		return zero_of(integer.a, at.a_zero, a / integer.k + row);
	}
	__device__ int32_t
	column_zero(int64_t column) const
	{
		return zero_of(integer.b, at.b_zero, column);
	}
	__device__ int32_t
	left(int64_t row, int64_t k) const
	{
		return shifted(integer.a, at.a[a + row * integer.k + k]);
	}
	__device__ int32_t
	right(int64_t column, int64_t k) const
	{
		return shifted(integer.b, at.b[b + k * integer.n + column]);
	}
	__device__ void
	store(int64_t row, int64_t column, int32_t sum) const
	{
		store_sum(integer, at, (batch * integer.m + row) * integer.n + column, sum, row,
			  column);
	}
};

/* One group of one image: rows are its channels, columns the places of the result. */
struct window_sides {
	const struct integer &integer;
	const struct integer_at &at;
	int64_t image;
	int64_t group;
	int64_t taps;

	__device__
	window_sides(const struct integer &integer_, const struct integer_at &at_, int64_t index)
	    : integer(integer_), at(at_), image(index / integer_.groups),
	      group(index % integer_.groups),
	      taps(integer_.window.kernel[0] * integer_.window.kernel[1] *
		   integer_.window.kernel[2])
	{
	}
	__device__ int64_t
	rows() const
	{
		return integer.m / integer.groups;
	}
	__device__ int64_t
	depth() const
	{
		return integer.channels * taps;
	}
	__device__ int32_t
	row_zero(int64_t row) const
	{
		return zero_of(integer.b, at.b_zero, group * rows() + row);
	}
	__device__ int32_t
	column_zero(int64_t column) const
	{
		return zero_of(integer.a, at.a_zero, 0);
	}
	__device__ int32_t
	left(int64_t row, int64_t k) const
	{
		return shifted(integer.b, at.b[(group * rows() + row) * depth() + k]);
	}
	/* What tap k of the window at that place sees; the zero point outside of the image. */
	__device__ int32_t
	right(int64_t column, int64_t k) const
	{
		const struct window &window = integer.window;
		int64_t plane = integer.in[0] * integer.in[1] * integer.in[2];
		int64_t from =
			((image * integer.groups + group) * integer.channels + k / taps) * plane;
		int64_t rest = k % taps, step = 1;
		for (int d = 2; d >= 0; d--) {
			int64_t x = column % window.out[d] * window.strides[d] - window.begin[d] +
				    rest % window.kernel[d] * window.dilations[d];
			if (x < 0 || x >= integer.in[d])
				return column_zero(column);
			column /= window.out[d];
			rest /= window.kernel[d];
			from += x * step;
			step *= integer.in[d];
		}
		return shifted(integer.a, at.a[from]);
	}
	__device__ void
	store(int64_t row, int64_t column, int32_t sum) const
	{
		int64_t channel = group * rows() + row;
		if (at.bias != NULL)
			sum += at.bias[channel];
		store_sum(integer, at, (image * integer.m + channel) * integer.n + column, sum, 0,
			  channel);
	}
};

/* --- the product ------------------------------------------------------------------------------------------------------------- */

/* A row's part of the tile is a word longer, so that threads of a warp read from different banks. */
struct integer_tile {
	int left[TILE][WORDS + 1];
	int right[TILE][WORDS + 1];
	int row_sums[TILE];
	int column_sums[TILE];
};

/* Four bytes of a side from k on, zero points behind its end. */
template <typename F>
static __device__ __forceinline__ int
word_of(int64_t k, int64_t depth, int32_t zero, F byte)
{
	unsigned word = 0;
	for (int i = 0; i < BYTES; i++) {
		int32_t value = k + i < depth ? byte(k + i) : zero;
		word |= (unsigned)(value & 0xff) << 8 * i;
	}
	return (int)word;
}

/* A tile of the product, whose first row and column are these. All threads. */
template <typename S>
static __device__ void
multiply_tile(const S &sides, int64_t columns, int64_t first_row, int64_t first_column,
	      struct integer_tile *tile)
{
	const int ones = 0x01010101;
	int thread = (int)threadIdx.x, left_sums[LOADS] = {}, right_sums[LOADS] = {};
	int sums[EACH][EACH] = {};
	int64_t depth = sides.depth(), rows = sides.rows();
	for (int64_t base = 0; base < depth; base += DEPTH) {
		__syncthreads();
		KERNEL_UNROLL
		for (int i = 0; i < LOADS; i++) {
			/* Words of a row lie side by side; of columns the columns do. */
			int row = thread / WORDS + i * ROW_STEP, word = thread % WORDS;
			int64_t r = first_row + row < rows ? first_row + row : rows - 1;
			int left = word_of(base + word * BYTES, depth, sides.row_zero(r),
					   [&](int64_t k) { return sides.left(r, k); });
			tile->left[row][word] = left;
			left_sums[i] = __dp4a(left, ones, left_sums[i]);
			int column = thread % TILE, depth_word = thread / TILE + i * (BLOCK / TILE);
			int64_t c = first_column + column < columns ? first_column + column
								    : columns - 1;
			int right = word_of(base + depth_word * BYTES, depth, sides.column_zero(c),
					    [&](int64_t k) { return sides.right(c, k); });
			tile->right[column][depth_word] = right;
			right_sums[i] = __dp4a(right, ones, right_sums[i]);
		}
		__syncthreads();
		for (int word = 0; word < WORDS; word++)
			for (int i = 0; i < EACH; i++)
				for (int j = 0; j < EACH; j++)
					sums[i][j] = __dp4a(
						tile->left[thread / ACROSS * EACH + i][word],
						tile->right[thread % ACROSS + j * ACROSS][word],
						sums[i][j]);
	}
	__syncthreads();
	if (thread < TILE)
		tile->row_sums[thread] = tile->column_sums[thread] = 0;
	__syncthreads();
	KERNEL_UNROLL
	for (int i = 0; i < LOADS; i++) {
		atomicAdd(&tile->row_sums[thread / WORDS + i * ROW_STEP], left_sums[i]);
		atomicAdd(&tile->column_sums[thread % TILE], right_sums[i]);
	}
	__syncthreads();
	int padded = (int)((depth + DEPTH - 1) / DEPTH * DEPTH);
	KERNEL_UNROLL
	for (int i = 0; i < EACH; i++) {
		KERNEL_UNROLL
		for (int j = 0; j < EACH; j++) {
			int row = thread / ACROSS * EACH + i, column = thread % ACROSS + j * ACROSS;
			int64_t r = first_row + row, c = first_column + column;
			if (r >= rows || c >= columns)
				continue;
			int p = sides.row_zero(r), q = sides.column_zero(c);
			sides.store(r, c,
				    sums[i][j] - p * tile->column_sums[column] -
					    q * tile->row_sums[row] + padded * p * q);
		}
	}
}

template <typename S>
static __global__ void
integer_kernel(struct integer integer, struct integer_at at, int64_t row_tiles,
	       int64_t column_tiles, int64_t count)
{
	__shared__ struct integer_tile tile;
	for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
		S sides(integer, at, i / column_tiles / row_tiles);
		multiply_tile(sides, integer.n, i / column_tiles % row_tiles * TILE,
			      i % column_tiles * TILE, &tile);
	}
}

static const void *
input_of(const struct operands *operands, uint8_t input)
{
	return input == OP_INTEGER_NONE ? NULL : operands->inputs[input];
}

static struct integer_at
addresses_of(const struct integer *integer, const struct operands *operands)
{
	struct integer_at at = {};
	at.a = (const uint8_t *)operands->inputs[0];
	at.b = (const uint8_t *)operands->inputs[integer->rounds ? 3 : 1];
	at.a_zero = (const uint8_t *)input_of(operands, integer->a.zero);
	at.b_zero = (const uint8_t *)input_of(operands, integer->b.zero);
	at.bias = (const int32_t *)input_of(operands, integer->bias);
	at.out = operands->outputs[0];
	if (!integer->rounds)
		return at;
	at.a_scale = input_of(operands, integer->a.scale);
	at.b_scale = input_of(operands, integer->b.scale);
	at.y_scale = input_of(operands, integer->y.scale);
	at.y_zero = input_of(operands, integer->y.zero);
	at.range = range_of_type(integer->y.data_type);
	return at;
}

/* rows: of one of `products` products. */
template <typename S>
static int
put_integer(const struct integer *integer, const struct operands *operands, int64_t rows,
	    int64_t products)
{
	int64_t row_tiles = (rows + TILE - 1) / TILE, column_tiles = (integer->n + TILE - 1) / TILE;
	int64_t count = products * row_tiles * column_tiles;
	KERNEL_LAUNCH(integer_kernel<S>, (unsigned)(count > GRID_MOST ? GRID_MOST : count), BLOCK,
		      0, stream_of(operands), *integer, addresses_of(integer, operands), row_tiles,
		      column_tiles, count);
	return launched(operands, "integer_kernel");
}

/* --- beside a library's product ------------------------------------------------------------------------------------------------ */

/* A warp a row, in words of four bytes. */
static __global__ void
rows_kernel(const int *in, int *out, int32_t *sums, int64_t rows, int64_t words)
{
	/* Taking 128 off a byte turns its top bit. */
	int flip = out != NULL ? (int)0x80808080U : 0;
	int64_t step = (int64_t)gridDim.x * blockDim.x / WARP;
	int64_t first = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / WARP;
	for (int64_t row = first; row < rows; row += step) {
		int sum = 0;
		for (int64_t i = threadIdx.x % WARP; i < words; i += WARP) {
			int word = in[row * words + i] ^ flip;
			if (out != NULL)
				out[row * words + i] = word;
			sum = __dp4a(word, 0x01010101, sum);
		}
		for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
			sum += __shfl_xor_sync(0xffffffffU, sum, lanes);
		if (threadIdx.x % WARP == 0)
			sums[row] = sum;
	}
}

extern "C" cudaError_t
kernel_integer_rows(cudaStream_t stream, const void *in, void *out, int32_t *sums, int64_t rows,
		    int64_t bytes)
{
	KERNEL_LAUNCH(rows_kernel, grid_for(rows * WARP), BLOCK, 0, stream, (const int *)in,
		      (int *)out, sums, rows, bytes / BYTES);
	return cudaGetLastError();
}

static __global__ void
finish_kernel(struct integer integer, struct integer_at at, const int32_t *products,
	      const int32_t *row_sums, const int32_t *column_sums, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t row = i / integer.n, column = i % integer.n;
		int32_t p = zero_of(integer.a, at.a_zero, row);
		int32_t q = zero_of(integer.b, at.b_zero, column);
		int32_t sum = products[i] - p * column_sums[column] - q * row_sums[row] +
			      (int32_t)integer.k * p * q;
		store_sum(integer, at, i, sum, row % integer.m, column);
	}
}

extern "C" cudaError_t
kernel_integer_finish(const struct integer *integer, const struct operands *operands,
		      const int32_t *products, const int32_t *row_sums, const int32_t *column_sums,
		      int64_t rows)
{
	int64_t n = rows * integer->n;
	KERNEL_LAUNCH_FLAT(finish_kernel, grid_for(n), BLOCK, stream_of(operands), *integer,
			   addresses_of(integer, operands), products, row_sums, column_sums, n);
	return cudaGetLastError();
}

/* --- by itself ------------------------------------------------------------------------------------------------------------------- */

extern "C" int
cuda_integer_matmul(const void *state, const struct operands *operands)
{
	const struct integer *integer = (const struct integer *)state;
	return put_integer<matrix_sides>(integer, operands, integer->m, integer->batches);
}

extern "C" int
cuda_integer_conv(const void *state, const struct operands *operands)
{
	const struct integer *integer = (const struct integer *)state;
	return put_integer<window_sides>(integer, operands, integer->m / integer->groups,
					 integer->batches * integer->groups);
}
