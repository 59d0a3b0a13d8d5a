/* Element-wise functions that feed each other: what lies between stays with the thread. */
#include "exec/cuda/real.cuh"

static __device__ __forceinline__ float
operand_of(const struct kernel_elements &elements, const float *registers, int from, int64_t i)
{
	if (from >= 0)
		return registers[from];
	const auto &input = elements.inputs[~from];
	return input.address[input.period == 0 ? i : i / input.step % input.period];
}

static __global__ void
elements_kernel(struct kernel_elements elements, int64_t n)
{
	typedef number<float>::kind K;
	KERNEL_LOOP(i, n)
	{
		float registers[ELEMENTS_STEPS_MAX];
		for (uint32_t s = 0; s < elements.count; s++) {
			const auto &step = elements.steps[s];
			float x = operand_of(elements, registers, step.operands[0], i);
			if (step.operand_count == 1)
				x = common<float>((enum row_unary)step.function, x, step.alpha,
						  step.beta);
			else
				x = of_two((enum row_binary)step.function, x,
					   operand_of(elements, registers, step.operands[1], i),
					   (const K *)0);
			registers[step.result] = x;
			if (step.output >= 0)
				elements.outputs[step.output][i] = x;
		}
	}
}

extern "C" cudaError_t
kernel_elements(cudaStream_t stream, const struct kernel_elements *elements, int64_t n)
{
	KERNEL_LAUNCH_FLAT(elements_kernel, grid_for(n), BLOCK, stream, *elements, n);
	return cudaGetLastError();
}

extern "C" bool
kernel_elements_has(enum row_unary function)
{
	return is_common(function);
}
