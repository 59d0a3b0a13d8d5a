/* Kernels on quantized numbers: conversions, and products of 8-bit integers. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_integer.h"
#include "exec/op_quantize.h"
}

/* --- conversions ----------------------------------------------------------------------------------------------------------- */

/* The least and greatest number of an integer type of at most 32 bits. */
struct range_of {
	double low;
	double high;
};

static struct range_of
range_of_type(enum data_type data_type)
{
	bool is_signed = data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_INT16 ||
			 data_type == DATA_TYPE_INT32;
	double values = ldexp(1, 8 * (int)data_type_bytes(data_type));
	double low = is_signed ? -values / 2 : 0;
	return { low, low + values - 1 };
}

/* Already divided by the scale: to the nearest, halves to even, cut to the range. */
static __device__ __forceinline__ double
round_to(double value, double zero_point, const struct range_of &range)
{
	double rounded = rint(value) + zero_point;
	return rounded < range.low ? range.low : rounded > range.high ? range.high : rounded;
}

/* The scale that element i has. */
static __device__ __forceinline__ int64_t
scale_of(const struct quantize &quantize, int64_t i)
{
	const struct axis &axis = quantize.axis;
	int64_t row = i / axis.inner;
	if (quantize.block <= 1)
		return row % axis.dim;
	int64_t blocks = (axis.dim + quantize.block - 1) / quantize.block;
	int64_t block = row / axis.dim * blocks + row % axis.dim / quantize.block;
	return block * axis.inner + i % axis.inner;
}

static __global__ void
quantize_kernel(struct quantize quantize, struct range_of range, const void *in, const void *scales,
		const void *zeros, void *out, int64_t n)
{
	KERNEL_LOOP(i, n)
	{
		int64_t at = scale_of(quantize, i);
		double scale = load_any(quantize.scale_type, scales, at).real;
		double value = load_any(quantize.from, in, i).real, zero = 0, result;
		if (zeros != NULL)
			zero = load_any(quantize.saturates ? quantize.to : quantize.from, zeros, at)
				       .real;
		if (!quantize.saturates)
			result = (value - zero) * scale;
		else if (quantize.from == DATA_TYPE_FLOAT)
			/* Divided as floats, as the host does: halves fall to the same side. */
			result = round_to((float)value / (float)scale, zero, range);
		else
			result = round_to(value / scale, zero, range);
		store_any(quantize.to, out, i, DATA_TYPE_DOUBLE, any_number{ result, 0, false });
	}
}

extern "C" int
cuda_quantize_run(const void *state, const struct operands *operands)
{
	const struct quantize *quantize = (const struct quantize *)state;
	int64_t n = quantize->axis.outer * quantize->axis.dim * quantize->axis.inner;
	struct range_of range = { 0, 0 };
	if (quantize->saturates)
		range = range_of_type(quantize->to);
	KERNEL_LAUNCH_FLAT(quantize_kernel, grid_for(n), BLOCK, stream_of(operands), *quantize,
			   range, operands->inputs[0], operands->inputs[1],
			   quantize->has_zero_point ? operands->inputs[2] : NULL,
			   operands->outputs[0], n);
	return launched(operands, "quantize_kernel");
}

/* Outputs that nobody wants are NULL. One block, since all elements decide on the scale. */
static __global__ void
dynamic_kernel(int64_t n, const float *in, uint8_t *out, float *scale_out, uint8_t *zero_out)
{
	__shared__ float scratch[WARP];
	float low = 0, high = 0;
	for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
		low = in[i] < low ? in[i] : low;
		high = in[i] > high ? in[i] : high;
	}
	high = block_reduce(high, larger(), scratch);
	low = -block_reduce(-low, larger(), scratch);
	float scale = (high - low) / 255, divisor = scale == 0 ? 1 : scale;
	float zero = fminf(fmaxf(rintf(-low / divisor), 0), 255);
	for (int64_t i = threadIdx.x; out != NULL && i < n; i += blockDim.x)
		out[i] = (uint8_t)fminf(fmaxf(rintf(in[i] / divisor) + zero, 0), 255);
	if (threadIdx.x == 0 && scale_out != NULL)
		*scale_out = scale;
	if (threadIdx.x == 0 && zero_out != NULL)
		*zero_out = (uint8_t)zero;
}

extern "C" int
cuda_quantize_dynamic(const void *state, const struct operands *operands)
{
	const struct dynamic *dynamic = (const struct dynamic *)state;
	KERNEL_LAUNCH(dynamic_kernel, 1, 1024, 0, stream_of(operands), dynamic->elements,
		      (const float *)operands->inputs[0],
		      dynamic->wants[0] ? (uint8_t *)operands->outputs[0] : NULL,
		      dynamic->wants[1] ? (float *)operands->outputs[1] : NULL,
		      dynamic->wants[2] ? (uint8_t *)operands->outputs[2] : NULL);
	return launched(operands, "dynamic_kernel");
}

/* --- products ----------------------------------------------------------------------------------------------------------------- */

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

static __device__ __forceinline__ int32_t
byte_of(const struct side &side, const uint8_t *data, int64_t i)
{
	return side.data_type == DATA_TYPE_INT8 ? (int32_t)(int8_t)data[i] : (int32_t)data[i];
}

static __device__ __forceinline__ int32_t
zero_of(const struct side &side, const uint8_t *zeros, int64_t i)
{
	return zeros == NULL ? 0 : byte_of(side, zeros, side.zeros == 1 ? 0 : i % side.zeros);
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

static __global__ void
integer_matmul_kernel(struct integer integer, struct integer_at at, int64_t count)
{
	KERNEL_LOOP(i, count)
	{
		int64_t column = i % integer.n, row = i / integer.n % integer.m;
		int64_t batch = i / integer.n / integer.m, a = row * integer.k, b = column;
		for (int d = (int)integer.batch_rank - 1; d >= 0; d--) {
			a += batch % integer.dims[d] * integer.a_steps[d];
			b += batch % integer.dims[d] * integer.b_steps[d];
			batch /= integer.dims[d];
		}
		int32_t a_zero = zero_of(integer.a, at.a_zero, a / integer.k);
		int32_t b_zero = zero_of(integer.b, at.b_zero, column), sum = 0;
		for (int64_t k = 0; k < integer.k; k++)
			sum += (byte_of(integer.a, at.a, a + k) - a_zero) *
			       (byte_of(integer.b, at.b, b + k * integer.n) - b_zero);
		store_sum(integer, at, i, sum, row, column);
	}
}

/* The sum over the window of one output, at `place` of image and channel. */
static __device__ int32_t
sum_window(const struct integer &integer, const struct integer_at &at, int64_t image,
	   int64_t channel, int64_t place)
{
	const struct window &window = integer.window;
	int64_t group = channel / (integer.m / integer.groups), position[3];
	int64_t plane = integer.in[0] * integer.in[1] * integer.in[2];
	int64_t taps = window.kernel[0] * window.kernel[1] * window.kernel[2];
	int64_t in = (image * integer.groups + group) * integer.channels * plane;
	int64_t weights = channel * integer.channels * taps;
	int32_t in_zero = zero_of(integer.a, at.a_zero, 0);
	int32_t weight_zero = zero_of(integer.b, at.b_zero, channel), sum = 0;
	for (int d = 2; d >= 0; d--) {
		position[d] = place % window.out[d] * window.strides[d] - window.begin[d];
		place /= window.out[d];
	}
	for (int64_t k = 0; k < taps; k++) {
		int64_t from = 0, rest = k, step = 1;
		bool inside = true;
		for (int d = 2; d >= 0; d--) {
			int64_t x = position[d] + rest % window.kernel[d] * window.dilations[d];
			rest /= window.kernel[d];
			inside &= x >= 0 && x < integer.in[d];
			from += x * step;
			step *= integer.in[d];
		}
		for (int64_t c = 0; inside && c < integer.channels; c++)
			sum += (byte_of(integer.a, at.a, in + c * plane + from) - in_zero) *
			       (byte_of(integer.b, at.b, weights + c * taps + k) - weight_zero);
	}
	return sum;
}

static __global__ void
integer_conv_kernel(struct integer integer, struct integer_at at, int64_t count)
{
	KERNEL_LOOP(i, count)
	{
		int64_t channel = i / integer.n % integer.m;
		int32_t sum =
			sum_window(integer, at, i / integer.n / integer.m, channel, i % integer.n);
		if (at.bias != NULL)
			sum += at.bias[channel];
		store_sum(integer, at, i, sum, 0, channel);
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

extern "C" int
cuda_quantize_matmul(const void *state, const struct operands *operands)
{
	const struct integer *integer = (const struct integer *)state;
	int64_t n = integer->batches * integer->m * integer->n;
	KERNEL_LAUNCH_FLAT(integer_matmul_kernel, grid_for(n), BLOCK, stream_of(operands), *integer,
			   addresses_of(integer, operands), n);
	return launched(operands, "integer_matmul_kernel");
}

extern "C" int
cuda_quantize_conv(const void *state, const struct operands *operands)
{
	const struct integer *integer = (const struct integer *)state;
	int64_t n = integer->batches * integer->m * integer->n;
	KERNEL_LAUNCH_FLAT(integer_conv_kernel, grid_for(n), BLOCK, stream_of(operands), *integer,
			   addresses_of(integer, operands), n);
	return launched(operands, "integer_conv_kernel");
}
