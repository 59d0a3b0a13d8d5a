/* Putting things in order: what the threads of a block do together for TopK and NonMaxSuppression. */
#pragma once

#include "exec/cuda/kernel.cuh"

/*
 * Sorts items[0 … count-1], in shared or device memory, so that before(a, b) holds for none the other way round. All threads
 * of the block call it; what they wrote to items is seen. A bitonic network (Batcher, 1968) in the form all of whose
 * comparisons point one way: of count that is no power of two the missing items are the last, and stay where they are.
 */
template <typename T, typename F>
static __device__ void
block_sort(T *items, int64_t count, F before)
{
	for (int64_t size = 2; size / 2 < count; size *= 2) {
		for (int64_t step = size / 2; step > 0; step /= 2) {
			__syncthreads();
			/* The first of a merge compares the halves mirrored: then both are in order already. */
			bool mirrored = step == size / 2;
			for (int64_t i = threadIdx.x; i < (count + 1) / 2 + step; i += blockDim.x) {
				/* step is a power of two. */
				int64_t at = i & (step - 1), first = 2 * (i - at);
				int64_t low = first + at;
				int64_t high = first + (mirrored ? 2 * step - 1 - at : step + at);
				if (high >= count || !before(items[high], items[low]))
					continue;
				T item = items[low];
				items[low] = items[high];
				items[high] = item;
			}
		}
	}
	__syncthreads();
}
