#include "exec/parallel.h"

void
parallel_for(unsigned threads, int64_t count, int64_t grain, parallel_part_f *part, void *context)
{
	int64_t parts = (count + grain - 1) / grain;
	if (parts > (int64_t)threads)
		parts = threads;
	if (parts <= 1) {
		part(context, 0, count);
		return;
	}
	int64_t share = (count + parts - 1) / parts;
#pragma omp parallel for num_threads(parts) schedule(static, 1)
	for (int64_t i = 0; i < parts; i++) {
		int64_t end = (i + 1) * share < count ? (i + 1) * share : count;
		if (i * share < end)
			part(context, i * share, end);
	}
}
