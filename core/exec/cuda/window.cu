/* Pooling: kernels that look at a window around each place. */
#include "exec/cuda/kernel.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_pool.h"
}

/* What a window sees of one dimension: its first position, how many, and how many an average that counts padding has. */
struct sight {
	int64_t first;
	int64_t count;
	int64_t padded;
};

static __device__ __forceinline__ int64_t
divide_up(int64_t a, int64_t b)
{
	return a <= 0 ? 0 : (a + b - 1) / b;
}

static __device__ __forceinline__ struct sight
look(const struct pool &pool, int d, int64_t position)
{
	const struct window &window = pool.window;
	int64_t start = position * window.strides[d] - window.begin[d];
	int64_t dilation = window.dilations[d], kernel = window.kernel[d];
	int64_t skipped = divide_up(-start, dilation);
	int64_t end = divide_up(pool.in[d] - start, dilation);
	int64_t padded = divide_up(pool.in[d] + window.end[d] - start, dilation);
	end = end < kernel ? end : kernel;
	struct sight sight = { start + skipped * dilation, end > skipped ? end - skipped : 0,
			       padded < kernel ? padded : kernel };
	return sight;
}

/* Index of a position in a plane as the operator's second output has it. */
static __device__ __forceinline__ int64_t
index_of(const struct pool &pool, int64_t at)
{
	if (!pool.by_columns)
		return at;
	int64_t x = at % pool.in[2], y = at / pool.in[2] % pool.in[1];
	int64_t z = at / pool.in[2] / pool.in[1];
	return (x * pool.in[1] + y) * pool.in[0] + z;
}

/* The three sights of output i, and the plane that it is in. */
static __device__ __forceinline__ int64_t
look_all(const struct pool &pool, int64_t i, struct sight *sights)
{
	int64_t position = i % pool.out_size;
	for (int d = 2; d >= 0; d--) {
		sights[d] = look(pool, d, position % pool.window.out[d]);
		position /= pool.window.out[d];
	}
	return i / pool.out_size;
}

/* The loops over what the sights see; `at` is the position in the plane. */
#define EACH(pool, sights, at)                                                                     \
	for (int64_t z = 0; z < sights[0].count; z++)                                              \
		for (int64_t y = 0; y < sights[1].count; y++)                                      \
			for (int64_t x = 0,                                                        \
				     at = ((sights[0].first + z * pool.window.dilations[0]) *      \
						   pool.in[1] +                                    \
					   sights[1].first + y * pool.window.dilations[1]) *       \
						  pool.in[2] +                                     \
					  sights[2].first;                                         \
			     x < sights[2].count; x++, at += pool.window.dilations[2])

template <typename T>
static __global__ void
max_pool_kernel(struct pool pool, const T *in, T *out, int64_t *indices, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		struct sight sights[3];
		int64_t plane = look_all(pool, i, sights), best = -1;
		const T *from = in + plane * pool.in_size;
		T most = 0;
		EACH(pool, sights, at)
		{
			T x_at = from[at];
			if (best >= 0 && !(x_at > most) && x_at == x_at)
				continue;
			best = at;
			most = x_at;
		}
		out[i] = most;
		if (indices != NULL)
			indices[i] = plane * pool.in_size + index_of(pool, best < 0 ? 0 : best);
	}
}

template <typename T>
static __global__ void
mean_pool_kernel(struct pool pool, const T *in, T *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		struct sight sights[3];
		const T *from = in + look_all(pool, i, sights) * pool.in_size;
		T sum = 0;
		if (pool.kind == POOL_AVERAGE) {
			int64_t seen = 1, padded = 1;
			for (int d = 0; d < 3; d++) {
				seen *= sights[d].count;
				padded *= sights[d].padded;
			}
			int64_t divisor = pool.counts_padding ? padded : seen;
			EACH(pool, sights, at)
			sum += from[at];
			sum = divisor == 0 ? 0 : sum / (T)divisor;
		} else if (pool.p == 2) {
			EACH(pool, sights, at)
			sum += from[at] * from[at];
			sum = sqrt(sum);
		} else {
			EACH(pool, sights, at)
			sum += pow(fabs(from[at]), (T)pool.p);
			sum = pow(sum, 1 / (T)pool.p);
		}
		out[i] = sum;
	}
}

/* A block a plane: for global poolings, whose planes are large and whose outputs are few. */
template <typename T>
static __global__ void
mean_plane_kernel(struct pool pool, const T *in, T *out)
{
	__shared__ T scratch[WARP];
	for (int64_t plane = blockIdx.x; plane < pool.planes; plane += gridDim.x) {
		const T *from = in + plane * pool.in_size;
		T sum = 0;
		for (int64_t i = threadIdx.x; i < pool.in_size; i += blockDim.x)
			sum += from[i];
		sum = block_reduce(sum, add_up(), scratch);
		if (threadIdx.x == 0)
			out[plane] = sum / (T)pool.in_size;
	}
}

/* The pool for a kernel, which works out itself what the host keeps in tables. */
static struct pool
bare(const struct pool *pool)
{
	struct pool copy = *pool;
	for (int d = 0; d < WINDOW_MAX_RANK; d++)
		copy.spans[d] = NULL;
	return copy;
}

template <typename T>
static void
put_max_pool(const struct pool *pool, const struct operands *operands)
{
	int64_t n = pool->planes * pool->out_size;
	KERNEL_LAUNCH_FLAT(max_pool_kernel<T>, grid_for(n), BLOCK, stream_of(operands), bare(pool),
			   (const T *)operands->inputs[0], (T *)operands->outputs[0],
			   pool->has_indices ? (int64_t *)operands->outputs[1] : NULL, n);
}

template <typename T>
static void
put_mean_pool(const struct pool *pool, const struct operands *operands)
{
	const T *in = (const T *)operands->inputs[0];
	T *out = (T *)operands->outputs[0];
	int64_t n = pool->planes * pool->out_size;
	if (pool->kind == POOL_AVERAGE && pool->out_size == 1 &&
	    pool->window.kernel[2] == pool->in_size)
		KERNEL_LAUNCH(mean_plane_kernel<T>,
			      (unsigned)(pool->planes > GRID_MOST ? GRID_MOST : pool->planes),
			      pool->in_size < BLOCK ? (int)WARP : (int)BLOCK, 0,
			      stream_of(operands), bare(pool), in, out);
	else
		KERNEL_LAUNCH_FLAT(mean_pool_kernel<T>, grid_for(n), BLOCK, stream_of(operands),
				   bare(pool), in, out, n);
}

extern "C" int
cuda_window_pool(const void *state, const struct operands *operands)
{
	const struct pool *pool = (const struct pool *)state;
	if (pool->kind != POOL_MAX && pool->data_type == DATA_TYPE_FLOAT)
		put_mean_pool<float>(pool, operands);
	else if (pool->kind != POOL_MAX)
		put_mean_pool<double>(pool, operands);
	else if (pool->data_type == DATA_TYPE_FLOAT)
		put_max_pool<float>(pool, operands);
	else if (pool->data_type == DATA_TYPE_DOUBLE)
		put_max_pool<double>(pool, operands);
	else if (pool->data_type == DATA_TYPE_INT8)
		put_max_pool<int8_t>(pool, operands);
	else
		put_max_pool<uint8_t>(pool, operands);
	return launched(operands, "pool_kernel");
}
