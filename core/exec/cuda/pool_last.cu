/* Pooling of tensors whose channels lie last: neighbouring threads have neighbouring channels. */
#include "exec/cuda/kernel.cuh"

enum {
	/* Channels and places that a block of plane_kernel is about at once. */
	LANES = WARP,
	ROWS = BLOCK / WARP,
};

/* Channels that are loaded and stored at once. */
template <typename T, int count> struct alignas(count * sizeof(T)) channels {
	T v[count];
};

/* What a window sees of one dimension: its first position, how many, and how many an average that counts padding has. */
struct sight {
	int64_t first;
	int64_t count;
	int64_t padded;
};

/* Steps from start (maybe negative) until `end` is reached. */
static __device__ __forceinline__ int64_t
steps_to(int64_t start, int64_t end, int64_t dilation)
{
	int64_t distance = end - start;
	return distance <= 0 ? 0 : (distance + dilation - 1) / dilation;
}

static __device__ __forceinline__ struct sight
look(const struct kernel_window &window, int d, int64_t position)
{
	int64_t start = position * window.strides[d] - window.begin[d];
	int64_t dilation = window.dilations[d], kernel = window.kernel[d];
	int64_t skipped = steps_to(start, 0, dilation);
	int64_t end = steps_to(start, window.in[d], dilation);
	int64_t padded = steps_to(start, window.in[d] + window.end[d], dilation);
	end = end < kernel ? end : kernel;
	struct sight sight = { start + skipped * dilation, end > skipped ? end - skipped : 0,
			       padded < kernel ? padded : kernel };
	return sight;
}

/* NaN stays, and the first of a window always. */
static __device__ __forceinline__ float
most_of(float most, float x, bool is_first)
{
	return is_first || x > most || x != x ? x : most;
}

/* A thread `count` channels of one place of the output. */
template <typename T, int count>
static __global__ void
pool_kernel(struct kernel_pool pool, const T *in, T *out, int64_t n)
{
	typedef channels<T, count> pack;
	const struct kernel_window &window = pool.window;
	int64_t packs = pool.channels / count;
	KERNEL_LOOP(i, n)
	{
		struct sight sights[3];
		int64_t rest = i / packs;
		for (int d = 2; d >= 0; d--) {
			sights[d] = look(window, d, rest % window.out[d]);
			rest /= window.out[d];
		}
		const pack *from = (const pack *)in +
				   rest * window.in[0] * window.in[1] * window.in[2] * packs +
				   i % packs;
		float sum[count] = { 0 };
		bool is_first = true;
		for (int64_t z = 0; z < sights[0].count; z++)
			for (int64_t y = 0; y < sights[1].count; y++)
				for (int64_t x = 0; x < sights[2].count; x++) {
					int64_t at = sights[0].first + z * window.dilations[0];
					at = at * window.in[1] + sights[1].first +
					     y * window.dilations[1];
					at = at * window.in[2] + sights[2].first +
					     x * window.dilations[2];
					pack seen = from[at * packs];
					KERNEL_UNROLL
					for (int k = 0; k < count; k++) {
						float value = to_real(seen.v[k]);
						sum[k] = pool.averages
								 ? sum[k] + value
								 : most_of(sum[k], value, is_first);
					}
					is_first = false;
				}
		int64_t seen = sights[0].count * sights[1].count * sights[2].count;
		int64_t padded = sights[0].padded * sights[1].padded * sights[2].padded;
		int64_t divisor = pool.counts_padding ? padded : seen;
		float by = !pool.averages ? 1.0f : divisor == 0 ? 0.0f : (float)divisor;
		pack result;
		KERNEL_UNROLL
		for (int k = 0; k < count; k++)
			result.v[k] = from_real<T>::of(by == 0 ? 0 : sum[k] / by);
		((pack *)out)[i] = result;
	}
}

/* A block LANES channels of all places: for global poolings, whose windows are large and whose outputs are few. */
template <typename T>
static __global__ void
plane_kernel(struct kernel_pool pool, const T *in, T *out)
{
	__shared__ float scratch[ROWS][LANES];
	int64_t places = pool.window.kernel[2], lane = threadIdx.x % LANES;
	int64_t row = threadIdx.x / LANES, parts = (pool.channels + LANES - 1) / LANES;
	for (int64_t part = blockIdx.x; part < pool.batch * parts; part += gridDim.x) {
		int64_t image = part / parts, channel = part % parts * LANES + lane;
		bool is_there = channel < pool.channels;
		const T *from = in + image * places * pool.channels + channel;
		float sum = 0;
		for (int64_t i = row; is_there && i < places; i += ROWS) {
			float value = to_real(from[i * pool.channels]);
			sum = pool.averages ? sum + value : most_of(sum, value, i == row);
		}
		scratch[row][lane] = sum;
		__syncthreads();
		int64_t rows = places < ROWS ? places : ROWS;
		for (int64_t i = 1; row == 0 && i < rows; i++)
			sum = pool.averages ? sum + scratch[i][lane]
					    : most_of(sum, scratch[i][lane], false);
		if (row == 0 && is_there)
			out[image * pool.channels + channel] =
				from_real<T>::of(pool.averages ? sum / (float)places : sum);
		__syncthreads();
	}
}

template <typename T, int count>
static void
put_windows(cudaStream_t stream, const struct kernel_pool *pool, const void *in, void *out)
{
	const int64_t *places = pool->window.out;
	int64_t n = pool->batch * places[0] * places[1] * places[2] * pool->channels / count;
	KERNEL_LAUNCH_FLAT((pool_kernel<T, count>), grid_for(n), BLOCK, stream, *pool,
			   (const T *)in, (T *)out, n);
}

template <typename T>
static void
put_pool(cudaStream_t stream, const struct kernel_pool *pool, const void *in, void *out)
{
	enum { WIDE = 16 / sizeof(T) };
	const struct kernel_window *window = &pool->window;
	int64_t blocks = pool->batch * ((pool->channels + LANES - 1) / LANES);
	bool is_whole = window->in[0] == 1 && window->in[1] == 1 &&
			window->kernel[2] == window->in[2] && window->out[2] == 1;
	if (is_whole && window->begin[2] == 0)
		KERNEL_LAUNCH(plane_kernel<T>, (unsigned)(blocks > GRID_MOST ? GRID_MOST : blocks),
			      BLOCK, 0, stream, *pool, (const T *)in, (T *)out);
	else if (pool->channels % WIDE == 0)
		put_windows<T, WIDE>(stream, pool, in, out);
	else
		put_windows<T, 1>(stream, pool, in, out);
}

extern "C" cudaError_t
kernel_pool_last(cudaStream_t stream, enum data_type data_type, const struct kernel_pool *pool,
		 const void *in, void *out)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		put_pool<float>(stream, pool, in, out);
		break;
	case DATA_TYPE_FLOAT16:
		put_pool<f16>(stream, pool, in, out);
		break;
	case DATA_TYPE_BFLOAT16:
		put_pool<bf16>(stream, pool, in, out);
		break;
	default:
		return cudaErrorInvalidValue;
	}
	return cudaGetLastError();
}
