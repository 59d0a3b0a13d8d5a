/* Masks of attention as numbers that are added to its scores. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_mask.h"
}

static __global__ void
bias_kernel(struct mask mask, const void *in, float *out)
{
	KERNEL_LOOP(i, mask.rows * mask.keys)
	{
		int64_t row = i / mask.keys, key = i % mask.keys;
		float bias = -INFINITY;
		if (key < mask.width) {
			any_number x = load_any(mask.data_type, in, row * mask.width + key);
			if (mask.data_type != DATA_TYPE_BOOL)
				bias = float_of(mask.data_type, x);
			else if (x.whole != 0)
				bias = 0;
		}
		out[i] = bias;
	}
}

extern "C" int
cuda_mask_bias(const void *state, const struct operands *operands)
{
	const struct mask *mask = (const struct mask *)state;
	KERNEL_LAUNCH_FLAT(bias_kernel, grid_for(mask->rows * mask->keys), BLOCK,
			   stream_of(operands), *mask, operands->inputs[0],
			   (float *)operands->outputs[0]);
	return launched(operands, "bias_kernel");
}

/* Is the key hidden from the query? As op_mask.c's. */
static __device__ bool
hides(const struct key_bias &bias, const void *in, int64_t batch, int64_t query, int64_t key)
{
	enum data_type type = bias.data_type;
	if (bias.rank != 1) {
		int64_t row = bias.rank == 2 ? batch : batch * bias.queries + query;
		return load_any(type, in, row * bias.keys + key).real == 0;
	}
	double length = load_any(type, in, batch).real, at = (double)key;
	double first = bias.has_begins ? load_any(type, in, bias.batches + batch).real : 0;
	bool behind = bias.causal && at > (double)query + length - (double)bias.queries;
	return at >= length || at < first || behind;
}

static __global__ void
keys_kernel(struct key_bias bias, const void *in, float *out)
{
	KERNEL_LOOP(i, bias.batches * bias.rows * bias.keys)
	{
		int64_t row = i / bias.keys;
		out[i] = hides(bias, in, row / bias.rows, row % bias.rows, i % bias.keys)
				 ? bias.hidden
				 : 0;
	}
}

extern "C" int
cuda_mask_keys(const void *state, const struct operands *operands)
{
	const struct key_bias *bias = (const struct key_bias *)state;
	KERNEL_LAUNCH_FLAT(keys_kernel, grid_for(bias->batches * bias->rows * bias->keys), BLOCK,
			   stream_of(operands), *bias, operands->inputs[0],
			   (float *)operands->outputs[0]);
	return launched(operands, "keys_kernel");
}
