/* What is new of a sequence, written into a cache of keys or values. */
#include "exec/cuda/number.cuh"

extern "C" {
#include "exec/cuda/runs.h"
#include "exec/op_cache.h"
}

/* Rows of `row` units of an update go behind each other to where they belong among the cache's. */
template <typename T>
static __global__ void
cache_kernel(struct cache cache, int64_t row, const void *indices, const T *update, T *out,
	     int64_t n, struct cuda_fault *fault, uint64_t label)
{
	int64_t last = cache.circular ? cache.length - 1 : cache.length - cache.count;
	KERNEL_LOOP(i, n)
	{
		int64_t line = i / row, prefix = line / cache.count, begin = 0;
		if (indices != NULL)
			begin = load_index(indices, cache.index_type == DATA_TYPE_INT64,
					   prefix / cache.prefixes);
		if (begin < 0 || begin > last) {
			report_fault(fault, label, begin, last + 1);
			continue;
		}
		int64_t to = (begin + line % cache.count) % cache.length;
		out[(prefix * cache.length + to) * row + i % row] = update[i];
	}
}

/* What of the cache is not written stays as it is. */
extern "C" int
cuda_cache_run(const void *state, const struct operands *operands)
{
	const struct cache *cache = (const struct cache *)state;
	int64_t prefixes = cache->batches * cache->prefixes;
	const void *indices = cache->has_indices ? operands->inputs[2] : NULL;
	cudaError_t status = cudaMemcpyAsync(operands->outputs[0], operands->inputs[0],
					     (size_t)(prefixes * cache->length) * cache->row_bytes,
					     cudaMemcpyDeviceToDevice, stream_of(operands));
	if (cuda_op_launched(operands, status, "cudaMemcpyAsync") != 0)
		return -1;
	if (cache->count == 0)
		return 0;
	by_unit(cache->row_bytes, [=](auto unit) {
		typedef decltype(unit) T;
		int64_t row = (int64_t)(cache->row_bytes / sizeof(T));
		int64_t n = prefixes * cache->count * row;
		KERNEL_LAUNCH_FLAT(cache_kernel<T>, grid_for(n), BLOCK, stream_of(operands), *cache,
				   row, indices, (const T *)operands->inputs[1],
				   (T *)operands->outputs[0], n, cuda_op_compute(operands)->fault,
				   label_of(operands));
	});
	return launched(operands, "cache_kernel");
}
