/*
 * Attention where cuDNN has no engine for it: scores of a row are never written down. A warp has a row of Q; keys and values come
 * to shared memory a tile at a time, and what is summed so far is scaled down when a larger score comes (online softmax; Milakov
 * and Gimelshein, 2018).
 */
#include "exec/cuda/kernel.cuh"

enum {
	/* Rows of a block, a warp each, and keys of a tile, a lane each. */
	ROWS = BLOCK / WARP,
	KEYS = WARP,
	/* Sums of a lane. */
	SUMS = ATTENTION_NARROW_WIDTH / WARP,
};

/* One of the batch's tensors: its first element (NULL: there is none), and the steps of rows and columns. */
template <typename T> struct matrix {
	const T *first;
	int64_t row;
	int64_t column;
};

template <typename T>
static __device__ __forceinline__ struct matrix<T>
matrix_at(const T *tensor, const struct attention_steps &steps, int64_t batch, int64_t head) {
	return matrix<T>{ tensor + batch * steps.steps[0] + head * steps.steps[1], steps.steps[2],
			  steps.steps[3] };
}

/* Rows first … of the matrix as floats, `pitch` from one to the next; rows that there are not become zeros. All threads. */
template <typename T>
static __device__ void
load_rows(const struct matrix<T> &from, int64_t first, int64_t rows, int count, int64_t columns,
	  int pitch, float *to)
{
	for (int i = (int)threadIdx.x; i < count * (int)columns; i += (int)blockDim.x) {
		int row = i / (int)columns, column = i % (int)columns;
		float value = 0;
		if (first + row < rows)
			value = to_real(
				from.first[(first + row) * from.row + column * from.column]);
		to[row * pitch + column] = value;
	}
}

/* The softmax of a row so far: its largest score, the sum of its powers, and the values summed with them. */
struct row_state {
	float most;
	float sum;
	float mixed[SUMS];
};

/* Take a tile's scores into account, one a lane; returns the lane's power. */
static __device__ __forceinline__ float
take_scores(struct row_state *state, float score)
{
	float most = score;
	for (int step = WARP / 2; step > 0; step /= 2)
		most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, step));
	most = fmaxf(most, state->most);
	/* All are masked so far. */
	if (most == -INFINITY)
		return 0;
	float power = expf(score - most), shrink = expf(state->most - most), sum = power;
	for (int step = WARP / 2; step > 0; step /= 2)
		sum += __shfl_xor_sync(0xffffffffU, sum, step);
	state->sum = state->sum * shrink + sum;
	state->most = most;
	for (int i = 0; i < SUMS; i++)
		state->mixed[i] *= shrink;
	return power;
}

template <typename T>
static __device__ void
attend(const struct attention &attention, const struct matrix<T> &q, const struct matrix<T> &k,
       const struct matrix<T> &v, const struct matrix<T> &mask, int64_t first, float *shared,
       T *out)
{
	int inner = (int)attention.inner, width = (int)attention.width;
	int warp = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP;
	int64_t row = first + warp;
	float *queries = shared, *tile = shared + ROWS * inner;
	struct row_state state = { -INFINITY, 0, {} };
	load_rows(q, first, attention.rows, ROWS, inner, inner, queries);
	for (int64_t base = 0; base < attention.columns; base += KEYS) {
		bool is_there = base + lane < attention.columns && row < attention.rows;
		float score = 0;
		__syncthreads();
		load_rows(k, base, attention.columns, KEYS, inner, inner + 1, tile);
		__syncthreads();
		for (int i = 0; i < inner; i++)
			score += queries[warp * inner + i] * tile[lane * (inner + 1) + i];
		score *= attention.scale;
		if (is_there && mask.first != NULL)
			score += to_real(mask.first[row * mask.row + (base + lane) * mask.column]);
		float power = take_scores(&state, is_there ? score : -INFINITY);
		__syncthreads();
		load_rows(v, base, attention.columns, KEYS, width, width, tile);
		__syncthreads();
		for (int key = 0; key < KEYS; key++) {
			float weight = __shfl_sync(0xffffffffU, power, key);
			for (int i = 0; i < SUMS; i++)
				if (i * WARP + lane < width)
					state.mixed[i] +=
						weight * tile[key * width + i * WARP + lane];
		}
	}
	__syncthreads();
	if (row >= attention.rows)
		return;
	for (int i = 0; i < SUMS; i++)
		if (i * WARP + lane < width)
			out[row * attention.out.steps[2] +
			    (i * WARP + lane) * attention.out.steps[3]] =
				from_real<T>::of(state.mixed[i] / state.sum);
}

template <typename T>
static __global__ void
attention_kernel(struct attention attention, const T *q, const T *k, const T *v, const T *mask,
		 T *out)
{
	KERNEL_SHARED(float, shared);
	int64_t blocks = (attention.rows + ROWS - 1) / ROWS;
	for (int64_t i = blockIdx.x; i < attention.batch[0] * attention.batch[1] * blocks;
	     i += gridDim.x) {
		int64_t head = i / blocks % attention.batch[1],
			batch = i / blocks / attention.batch[1];
		attend(attention, matrix_at(q, attention.q, batch, head),
		       matrix_at(k, attention.k, batch, head),
		       matrix_at(v, attention.v, batch, head),
		       matrix_at(mask, attention.mask, batch, head), i % blocks * ROWS, shared,
		       out + batch * attention.out.steps[0] + head * attention.out.steps[1]);
	}
}

template <typename T>
static void
put(cudaStream_t stream, const struct attention *attention, const void *q, const void *k,
    const void *v, const void *mask, void *out)
{
	int64_t blocks =
		(attention->rows + ROWS - 1) / ROWS * attention->batch[0] * attention->batch[1];
	int64_t pitch =
		attention->inner + 1 > attention->width ? attention->inner + 1 : attention->width;
	size_t shared = (size_t)(ROWS * attention->inner + KEYS * pitch) * sizeof(float);
	KERNEL_LAUNCH(attention_kernel<T>, (unsigned)(blocks > GRID_MOST ? GRID_MOST : blocks),
		      BLOCK, shared, stream, *attention, (const T *)q, (const T *)k, (const T *)v,
		      (const T *)mask, (T *)out);
}

extern "C" cudaError_t
kernel_attention(cudaStream_t stream, const struct attention *attention, const void *q,
		 const void *k, const void *v, const void *mask, void *out)
{
	if (attention->data_type == DATA_TYPE_FLOAT16)
		put<f16>(stream, attention, q, k, v, mask, out);
	else if (attention->data_type == DATA_TYPE_BFLOAT16)
		put<bf16>(stream, attention, q, k, v, mask, out);
	else
		return cudaErrorInvalidValue;
	return cudaGetLastError();
}
