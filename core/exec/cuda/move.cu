/* Kernels that move elements without looking at them. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_blocks.h"
#include "exec/op_generate.h"
#include "exec/op_move.h"
#include "exec/op_select.h"
#include "exec/op_sequence.h"
}

enum {
	/* Side of the square that a transposition moves through shared memory; a block has TILE times TILE_ROWS threads. */
	TILE = 32,
	TILE_ROWS = 8,
};

/* --- strided copies ---------------------------------------------------------------------------------------------------- */

template <typename T>
static __global__ void
strided_kernel(struct strided strided, const T *in, T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at = strided.offset, rest = i;
		for (int d = (int)strided.rank - 1; d >= 0; d--) {
			at += rest % strided.dims[d] * strided.steps[d];
			rest /= strided.dims[d];
		}
		out[i] = in[at];
	}
}

/* out[b][r][c] = in[b * batch_step + r + c * column_step], a square at a time, so that both sides are read in rows. */
template <typename T>
static __global__ void
transpose_kernel(const T *in, T *out, int64_t batch, int64_t rows, int64_t columns,
		 int64_t batch_step, int64_t column_step)
{
	__shared__ T tile[TILE][TILE + 1];
	int64_t across = (columns + TILE - 1) / TILE, down = (rows + TILE - 1) / TILE;
	int x = (int)threadIdx.x % TILE, y = (int)threadIdx.x / TILE;
	for (int64_t t = blockIdx.x; t < batch * across * down; t += gridDim.x) {
		int64_t b = t / across / down;
		int64_t row = t / across % down * TILE, column = t % across * TILE;
		for (int k = y; k < TILE; k += TILE_ROWS) {
			if (row + x < rows && column + k < columns)
				tile[k][x] =
					in[b * batch_step + row + x + (column + k) * column_step];
		}
		__syncthreads();
		for (int k = y; k < TILE; k += TILE_ROWS) {
			if (row + k < rows && column + x < columns)
				out[(b * rows + row + k) * columns + column + x] = tile[x][k];
		}
		__syncthreads();
	}
}

/* Is it a transposition of matrices, one or many? */
static bool
transposes(const struct strided *strided)
{
	uint32_t rank = strided->rank;
	return (rank == 2 || rank == 3) && strided->steps[rank - 2] == 1 &&
	       strided->steps[rank - 1] > 1 && strided->dims[rank - 2] >= TILE_ROWS &&
	       strided->dims[rank - 1] >= TILE_ROWS;
}

template <typename T>
static void
put_strided(cudaStream_t stream, const struct strided *strided, const void *in, void *out)
{
	uint32_t last = strided->rank - 1;
	int64_t n = strided->rows * strided->dims[last];
	if (!transposes(strided)) {
		KERNEL_LAUNCH_FLAT(strided_kernel<T>, grid_for(n), BLOCK, stream, *strided,
				   (const T *)in, (T *)out, n);
		return;
	}
	int64_t batch = strided->rank == 3 ? strided->dims[0] : 1;
	int64_t tiles = batch * ((strided->dims[last] + TILE - 1) / TILE) *
			((strided->dims[last - 1] + TILE - 1) / TILE);
	unsigned grid = tiles > GRID_MOST ? (unsigned)GRID_MOST : (unsigned)tiles;
	KERNEL_LAUNCH(transpose_kernel<T>, grid, TILE * TILE_ROWS, 0, stream,
		      (const T *)in + strided->offset, (T *)out, batch, strided->dims[last - 1],
		      strided->dims[last], strided->rank == 3 ? strided->steps[0] : 0,
		      strided->steps[last]);
}

static void
launch_strided(cudaStream_t stream, const struct strided *strided, const void *in, void *out)
{
	switch (strided->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		put_strided<type>(stream, strided, in, out);                                       \
		break;
		SIZES(X)
#undef X
	default:
		KERNEL_UNREACHABLE;
	}
}

extern "C" int
cuda_move_run(const void *state, const struct operands *operands)
{
	const struct move *move = (const struct move *)state;
	for (uint32_t i = 0; i < move->outputs; i++)
		if (operands->outputs[i] != NULL)
			launch_strided(stream_of(operands), &move->copies[i], operands->inputs[0],
				       operands->outputs[i]);
	return launched(operands, "strided_kernel");
}

extern "C" int
cuda_move_blocks(const void *state, const struct operands *operands)
{
	const struct blocks *blocks = (const struct blocks *)state;
	launch_strided(stream_of(operands), &blocks->strided, operands->inputs[0],
		       operands->outputs[0]);
	return launched(operands, "strided_kernel");
}

/* --- Concat -------------------------------------------------------------------------------------------------------------- */

/* Blocks of `block` units go to every `step` units of out. */
template <typename T>
static __global__ void
blocks_kernel(const T *in, T *out, int64_t block, int64_t step, int64_t n)
{
	KERNEL_LOOP(i, n)
	out[i / block * step + i % block] = in[i];
}

template <typename T>
static void
put_blocks(cudaStream_t stream, const void *in, void *out, size_t block, size_t step,
	   int64_t blocks)
{
	int64_t n = blocks * (int64_t)(block / sizeof(T));
	KERNEL_LAUNCH_FLAT(blocks_kernel<T>, grid_for(n), BLOCK, stream, (const T *)in, (T *)out,
			   (int64_t)(block / sizeof(T)), (int64_t)(step / sizeof(T)), n);
}

/* By the largest unit that everything is a multiple of; tensors are aligned to more than that. */
static void
launch_blocks(cudaStream_t stream, const void *in, char *out, size_t offset, size_t block,
	      size_t step, int64_t blocks)
{
	size_t all = offset | block | step;
	if (all % sizeof(uint4) == 0)
		put_blocks<uint4>(stream, in, out + offset, block, step, blocks);
	else if (all % 4 == 0)
		put_blocks<uint32_t>(stream, in, out + offset, block, step, blocks);
	else if (all % 2 == 0)
		put_blocks<uint16_t>(stream, in, out + offset, block, step, blocks);
	else
		put_blocks<uint8_t>(stream, in, out + offset, block, step, blocks);
}

extern "C" int
cuda_move_concat(const void *state, const struct operands *operands)
{
	const struct concat *concat = (const struct concat *)state;
	size_t offset = 0;
	for (uint32_t i = 0; i < concat->inputs; i++) {
		size_t bytes = concat->input_bytes[i];
		if (bytes != 0)
			launch_blocks(stream_of(operands), operands->inputs[i],
				      (char *)operands->outputs[0], offset, bytes,
				      concat->block_bytes, concat->blocks);
		offset += bytes;
	}
	return launched(operands, "blocks_kernel");
}

/* --- Pad, Tile, CenterCropPad ---------------------------------------------------------------------------------------------- */

/* The input's index that index i of a padded dimension shows; -1 for the constant. */
static __device__ __forceinline__ int64_t
padded_index(enum pad_mode mode, int64_t at, int64_t dim)
{
	if (at >= 0 && at < dim)
		return at;
	if (dim == 0)
		return -1;
	switch (mode) {
	case PAD_REFLECT: {
		int64_t period = dim == 1 ? 1 : 2 * (dim - 1);
		at = (at % period + period) % period;
		return at < dim ? at : period - at;
	}
	case PAD_EDGE:
		return at < 0 ? 0 : dim - 1;
	case PAD_WRAP:
		return (at % dim + dim) % dim;
	default:
		return -1;
	}
}

template <typename T>
static __global__ void
pad_kernel(struct pad pad, struct tensor_type shape, const T *in, const T *constant, T value,
	   T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t from = 0, step = 1, rest = i;
		bool inside = true;
		for (int d = (int)shape.rank - 1; d >= 0; d--) {
			int64_t at = padded_index(pad.mode, rest % shape.dims[d] - pad.begin[d],
						  pad.dims[d]);
			rest /= shape.dims[d];
			inside &= at >= 0;
			from += at * step;
			step *= pad.dims[d];
		}
		out[i] = inside ? in[from] : constant != NULL ? constant[0] : value;
	}
}

extern "C" cudaError_t
kernel_pad(cudaStream_t stream, const struct pad *pad, const struct tensor_type *shape,
	   size_t element_bytes, const void *in, const void *constant, uint64_t value, void *out,
	   int64_t n)
{
	switch (element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(pad_kernel<type>, grid_for(n), BLOCK, stream, *pad, *shape,     \
				   (const type *)in, (const type *)constant, (type)value,          \
				   (type *)out, n);                                                \
		break;
		SIZES(X)
#undef X
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}

/* --- made of nothing --------------------------------------------------------------------------------------------------------- */

static __global__ void
numbers_kernel(struct numbers numbers, int64_t *out)
{
	KERNEL_LOOP(i, numbers.count)
	out[i] = numbers.numbers[i];
}

extern "C" int
cuda_move_numbers(const void *state, const struct operands *operands)
{
	const struct numbers *numbers = (const struct numbers *)state;
	KERNEL_LAUNCH_FLAT(numbers_kernel, 1, WARP, stream_of(operands), *numbers,
			   (int64_t *)operands->outputs[0]);
	return launched(operands, "numbers_kernel");
}

extern "C" int
cuda_move_fill(const void *state, const struct operands *operands)
{
	const struct fill *fill = (const struct fill *)state;
	uint64_t value = 0;
	for (size_t i = 0; i < fill->element_bytes; i++)
		value |= (uint64_t)fill->value[i] << 8 * i;
	return cuda_op_launched(operands,
				kernel_fill(stream_of(operands), fill->element_bytes,
					    operands->outputs[0], fill->elements, value),
				"kernel_fill");
}

static __global__ void
range_kernel(struct range range, void *out)
{
	KERNEL_LOOP(i, range.count)
	{
		double real = range.real_start + (double)i * range.real_step;
		uint64_t whole = (uint64_t)range.start + (uint64_t)i * (uint64_t)range.step;
		if (range.data_type == DATA_TYPE_INT64)
			((uint64_t *)out)[i] = whole;
		else
			store_any(range.data_type, out, i, DATA_TYPE_DOUBLE,
				  any_number{ real, 0, false });
	}
}

extern "C" int
cuda_move_range(const void *state, const struct operands *operands)
{
	const struct range *range = (const struct range *)state;
	KERNEL_LAUNCH_FLAT(range_kernel, grid_for(range->count), BLOCK, stream_of(operands), *range,
			   operands->outputs[0]);
	return launched(operands, "range_kernel");
}

/* One on the diagonal, 0 elsewhere. */
template <typename T>
static __global__ void
eye_kernel(struct matrices eye, T one, T *out)
{
	KERNEL_LOOP(i, eye.rows * eye.columns)
	out[i] = i % eye.columns == i / eye.columns + eye.diagonal ? one : T(0);
}

/* The bits of 1. */
static uint64_t
one_of(enum data_type data_type)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		return 0x3f800000;
	case DATA_TYPE_DOUBLE:
		return 0x3ff0000000000000;
	case DATA_TYPE_FLOAT16:
		return 0x3c00;
	case DATA_TYPE_BFLOAT16:
		return 0x3f80;
	default:
		return 1;
	}
}

extern "C" int
cuda_move_eye_like(const void *state, const struct operands *operands)
{
	const struct matrices *eye = (const struct matrices *)state;
	int64_t n = eye->rows * eye->columns;
	switch (data_type_bytes(eye->data_type)) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(eye_kernel<type>, grid_for(n), BLOCK, stream_of(operands),      \
				   *eye, (type)one_of(eye->data_type),                             \
				   (type *)operands->outputs[0]);                                  \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "eye_kernel");
}

template <typename T>
static __global__ void
trilu_kernel(struct matrices trilu, const T *in, T *out)
{
	KERNEL_LOOP(i, trilu.count * trilu.rows * trilu.columns)
	{
		int64_t column = i % trilu.columns, row = i / trilu.columns % trilu.rows;
		bool kept = trilu.upper ? column >= row + trilu.diagonal
					: column <= row + trilu.diagonal;
		out[i] = kept ? in[i] : T(0);
	}
}

extern "C" int
cuda_move_trilu(const void *state, const struct operands *operands)
{
	const struct matrices *trilu = (const struct matrices *)state;
	int64_t n = trilu->count * trilu->rows * trilu->columns;
	switch (data_type_bytes(trilu->data_type)) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(trilu_kernel<type>, grid_for(n), BLOCK, stream_of(operands),    \
				   *trilu, (const type *)operands->inputs[0],                      \
				   (type *)operands->outputs[0]);                                  \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "trilu_kernel");
}

/* --- along sequences ------------------------------------------------------------------------------------------------------------ */

static __global__ void
reverse_kernel(struct reverse reverse, const uint8_t *in, const void *lengths, uint8_t *out,
	       int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t place = i / (int64_t)reverse.bytes;
		int64_t first = place / reverse.dims[1], second = place % reverse.dims[1];
		int64_t time = reverse.time_first ? first : second;
		int64_t batch = reverse.time_first ? second : first;
		int64_t most = reverse.dims[reverse.time_first ? 0 : 1];
		int64_t length = load_index(lengths, reverse.length_type == DATA_TYPE_INT64, batch);
		length = length < 0 ? 0 : length > most ? most : length;
		if (time < length)
			time = length - 1 - time;
		first = reverse.time_first ? time : batch;
		second = reverse.time_first ? batch : time;
		out[i] = in[(first * reverse.dims[1] + second) * (int64_t)reverse.bytes +
			    i % (int64_t)reverse.bytes];
	}
}

extern "C" int
cuda_move_reverse(const void *state, const struct operands *operands)
{
	const struct reverse *reverse = (const struct reverse *)state;
	int64_t n = reverse->dims[0] * reverse->dims[1] * (int64_t)reverse->bytes;
	KERNEL_LAUNCH_FLAT(reverse_kernel, grid_for(n), BLOCK, stream_of(operands), *reverse,
			   (const uint8_t *)operands->inputs[0], operands->inputs[1],
			   (uint8_t *)operands->outputs[0], n);
	return launched(operands, "reverse_kernel");
}

extern "C" int
cuda_move_dropout(const void *state, const struct operands *operands)
{
	const struct dropout *dropout = (const struct dropout *)state;
	cudaError_t status = cudaSuccess;
	if (dropout->wants_output)
		status = cudaMemcpyAsync(operands->outputs[0], operands->inputs[0], dropout->bytes,
					 cudaMemcpyDeviceToDevice, stream_of(operands));
	if (status == cudaSuccess && dropout->wants_mask)
		status = kernel_fill(stream_of(operands), data_type_bytes(dropout->mask_type),
				     operands->outputs[1], (int64_t)dropout->elements,
				     one_of(dropout->mask_type));
	return cuda_op_launched(operands, status, "Dropout");
}

/* --- OneHot --------------------------------------------------------------------------------------------------------------------- */

/* values: off, then on. An index out of range has no hot element. */
template <typename T>
static __global__ void
one_hot_kernel(struct one_hot hot, const void *indices, const T *values, T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t inner = i % hot.inner, at = i / hot.inner % hot.depth;
		double index = load_any(hot.index_type, indices,
					i / hot.inner / hot.depth * hot.inner + inner)
				       .real;
		index = index < 0 ? index + (double)hot.depth : index;
		bool fits = index >= 0 && index < (double)hot.depth;
		out[i] = values[fits && (int64_t)index == at ? 1 : 0];
	}
}

extern "C" int
cuda_move_one_hot(const void *state, const struct operands *operands)
{
	const struct one_hot *hot = (const struct one_hot *)state;
	int64_t n = hot->outer * hot->inner * hot->depth;
	switch (hot->element_bytes) {
#define X(bytes, type)                                                                             \
	case bytes:                                                                                \
		KERNEL_LAUNCH_FLAT(one_hot_kernel<type>, grid_for(n), BLOCK, stream_of(operands),  \
				   *hot, operands->inputs[0], (const type *)operands->inputs[2],   \
				   (type *)operands->outputs[0], n);                               \
		break;
		SIZES(X)
#undef X
	}
	return launched(operands, "one_hot_kernel");
}
