/* Kernels on quantized numbers: conversions. */
#include "exec/cuda/quantize.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_quantize.h"
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
static __global__ void KERNEL_WIDE
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
	KERNEL_LAUNCH(dynamic_kernel, 1, WIDE, 0, stream_of(operands), dynamic->elements,
		      (const float *)operands->inputs[0],
		      dynamic->wants[0] ? (uint8_t *)operands->outputs[0] : NULL,
		      dynamic->wants[1] ? (float *)operands->outputs[1] : NULL,
		      dynamic->wants[2] ? (uint8_t *)operands->outputs[2] : NULL);
	return launched(operands, "dynamic_kernel");
}
