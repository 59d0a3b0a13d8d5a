/* Products and convolutions that no library serves: integers, and whatever cuDNN has no plan for. */
#include "exec/cuda/kernel.cuh"

/* Matrix of an operand that belongs to matrix `index` of the result. */
static __device__ int64_t
matrix_of(const struct kernel_product &product, const int64_t *dims, int64_t index)
{
	int64_t matrix = 0, step = 1;
	for (int i = (int)product.batch_rank - 1; i >= 0; i--) {
		matrix += dims[i] == 1 ? 0 : index % product.batch[i] * step;
		index /= product.batch[i];
		step *= dims[i];
	}
	return matrix;
}

template <typename T>
static __global__ void
product_kernel(struct kernel_product product, const T *a, const T *b, T *c)
{
	KERNEL_LOOP(i, product.batches * product.m * product.n)
	{
		int64_t column = i % product.n, row = i / product.n % product.m;
		int64_t batch = i / product.n / product.m;
		const T *left = a + (matrix_of(product, product.batch_a, batch) * product.m + row) *
					    product.k;
		const T *right =
			b + matrix_of(product, product.batch_b, batch) * product.k * product.n +
			column;
		T sum = 0;
		for (int64_t k = 0; k < product.k; k++)
			sum += left[k] * right[k * product.n];
		c[i] = sum;
	}
}

extern "C" cudaError_t
kernel_product(cudaStream_t stream, enum data_type data_type, const struct kernel_product *product,
	       const void *a, const void *b, void *c)
{
	unsigned grid = grid_for(product->batches * product->m * product->n);
	/* Unsigned arithmetic gives the same bits, and wraps. */
	if (data_type == DATA_TYPE_INT64 || data_type == DATA_TYPE_UINT64)
		KERNEL_LAUNCH_FLAT(product_kernel<uint64_t>, grid, BLOCK, stream, *product,
				   (const uint64_t *)a, (const uint64_t *)b, (uint64_t *)c);
	else
		KERNEL_LAUNCH_FLAT(product_kernel<uint32_t>, grid, BLOCK, stream, *product,
				   (const uint32_t *)a, (const uint32_t *)b, (uint32_t *)c);
	return cudaGetLastError();
}

/* --- convolutions -------------------------------------------------------------------------------------------------------- */

/* Where one output of a convolution is: image and channel, and its three places. */
struct place {
	int64_t image;
	int64_t channel;
	int64_t at[3];
};

static __device__ __forceinline__ struct place
place_of(const struct kernel_conv &conv, int64_t i)
{
	struct place place;
	int64_t channels = conv.groups * conv.out_channels;
	place.channel = conv.last ? i % channels : 0;
	i /= conv.last ? channels : 1;
	for (int d = 2; d >= 0; d--) {
		place.at[d] = i % conv.window.out[d];
		i /= conv.window.out[d];
	}
	place.channel += conv.last ? 0 : i % channels;
	place.image = i / (conv.last ? 1 : channels);
	return place;
}

static __host__ __device__ int64_t
outputs_of(const struct kernel_conv &conv)
{
	return conv.batch * conv.groups * conv.out_channels * conv.window.out[0] *
	       conv.window.out[1] * conv.window.out[2];
}

/* Elements from one of the input to the next. */
struct spread {
	int64_t place;
	int64_t channel;
	/* Places. */
	int64_t size;
};

static __device__ __forceinline__ struct spread
spread_of(const struct kernel_conv &conv)
{
	const struct kernel_window &window = conv.window;
	int64_t size = window.in[0] * window.in[1] * window.in[2];
	struct spread spread = { conv.last ? conv.groups * conv.in_channels : 1,
				 conv.last ? 1 : size, size };
	return spread;
}

/* The sum over the window at `place` of element(input index, weight index). */
template <typename R, typename F>
static __device__ R
sum_window(const struct kernel_conv &conv, const struct place &place, F element)
{
	const struct kernel_window &window = conv.window;
	int64_t group = place.channel / conv.out_channels;
	int64_t kernel = window.kernel[0] * window.kernel[1] * window.kernel[2];
	struct spread in = spread_of(conv);
	int64_t first = place.image * conv.groups * conv.in_channels * in.size +
			group * conv.in_channels * in.channel;
	int64_t weights = place.channel * conv.in_channels * kernel;
	int64_t next = conv.last ? 1 : kernel, tap = conv.last ? conv.in_channels : 1;
	R sum = 0;
	for (int64_t k = 0; k < kernel; k++) {
		int64_t from = 0, rest = k, step = 1;
		bool inside = true;
		for (int d = 2; d >= 0; d--) {
			int64_t x = place.at[d] * window.strides[d] - window.begin[d] +
				    rest % window.kernel[d] * window.dilations[d];
			rest /= window.kernel[d];
			inside &= x >= 0 && x < window.in[d];
			from += x * step;
			step *= window.in[d];
		}
		if (!inside)
			continue;
		for (int64_t c = 0; c < conv.in_channels; c++)
			sum += element(first + c * in.channel + from * in.place,
				       weights + c * next + k * tap);
	}
	return sum;
}

template <typename T>
static __global__ void
conv_kernel(struct kernel_conv conv, const T *in, const T *weights, const T *bias, T *out)
{
	typedef typename real_of<T>::type R;
	KERNEL_LOOP(i, outputs_of(conv))
	{
		struct place place = place_of(conv, i);
		R sum = sum_window<R>(conv, place, [&](int64_t x, int64_t w) {
			return to_real(in[x]) * to_real(weights[w]);
		});
		if (bias != NULL)
			sum += to_real(bias[place.channel]);
		out[i] = from_real<T>::of(sum);
	}
}

/* The transposed convolution, as what each output gathers: the inputs whose window it lies in. */
template <typename T>
static __global__ void
deconv_kernel(struct kernel_conv conv, const T *in, const T *weights, const T *bias, T *out)
{
	typedef typename real_of<T>::type R;
	const struct kernel_window &window = conv.window;
	struct spread spread = spread_of(conv);
	int64_t kernel = window.kernel[0] * window.kernel[1] * window.kernel[2];
	int64_t next = conv.last ? 1 : kernel, tap = conv.last ? conv.out_channels : 1;
	KERNEL_LOOP(i, outputs_of(conv))
	{
		struct place place = place_of(conv, i);
		int64_t group = place.channel / conv.out_channels;
		int64_t image = place.image * conv.groups * conv.in_channels * spread.size;
		int64_t own = place.channel % conv.out_channels;
		R sum = bias != NULL ? R(to_real(bias[place.channel])) : R(0);
		for (int64_t k = 0; k < kernel; k++) {
			int64_t from = 0, rest = k, step = 1;
			bool inside = true;
			for (int d = 2; d >= 0; d--) {
				int64_t x = place.at[d] + window.begin[d] -
					    rest % window.kernel[d] * window.dilations[d];
				rest /= window.kernel[d];
				inside &= x >= 0 && x % window.strides[d] == 0 &&
					  x / window.strides[d] < window.in[d];
				from += x / window.strides[d] * step;
				step *= window.in[d];
			}
			for (int64_t c = 0; inside && c < conv.in_channels; c++) {
				int64_t channel = group * conv.in_channels + c;
				sum += to_real(in[image + channel * spread.channel +
						  from * spread.place]) *
				       to_real(weights[channel * conv.out_channels * kernel +
						       own * next + k * tap]);
			}
		}
		out[i] = from_real<T>::of(sum);
	}
}

/* The launches for each real type. */
#define LAUNCH_REAL(kernel)                                                                        \
	switch (data_type) {                                                                       \
	case DATA_TYPE_FLOAT:                                                                      \
		LAUNCH_AS(kernel, float);                                                          \
		break;                                                                             \
	case DATA_TYPE_DOUBLE:                                                                     \
		LAUNCH_AS(kernel, double);                                                         \
		break;                                                                             \
	case DATA_TYPE_FLOAT16:                                                                    \
		LAUNCH_AS(kernel, f16);                                                            \
		break;                                                                             \
	case DATA_TYPE_BFLOAT16:                                                                   \
		LAUNCH_AS(kernel, bf16);                                                           \
		break;                                                                             \
	default:                                                                                   \
		return cudaErrorInvalidValue;                                                      \
	}
#define LAUNCH_AS(kernel, T)                                                                       \
	KERNEL_LAUNCH_FLAT(kernel<T>, grid_for(outputs_of(*conv)), BLOCK, stream, *conv,           \
			   (const T *)in, (const T *)weights, (const T *)bias, (T *)out)

extern "C" cudaError_t
kernel_conv(cudaStream_t stream, enum data_type data_type, const struct kernel_conv *conv,
	    const void *in, const void *weights, const void *bias, void *out)
{
	LAUNCH_REAL(conv_kernel)
	return cudaGetLastError();
}

extern "C" cudaError_t
kernel_deconv(cudaStream_t stream, enum data_type data_type, const struct kernel_conv *conv,
	      const void *in, const void *weights, const void *bias, void *out)
{
	LAUNCH_REAL(deconv_kernel)
	return cudaGetLastError();
}
