#include "exec/parallel.h"

#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * OpenMP's runtime is built without ThreadSanitizer, which is therefore told that a loop's parts come after its start and
 * before its end. Races between parts still show.
 */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define comes_after(mark) __tsan_acquire(mark)
#define comes_before(mark) __tsan_release(mark)
#else
#define comes_after(mark) ((void)(mark))
#define comes_before(mark) ((void)(mark))
#endif

/* Rounds that a thread of OpenMP's looks for work before it sleeps. */
static const char SPIN_ROUNDS[] = "10000";

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
	comes_before(&share);
#pragma omp parallel for num_threads(parts) schedule(static, 1)
	for (int64_t i = 0; i < parts; i++) {
		comes_after(&share);
		int64_t end = (i + 1) * share < count ? (i + 1) * share : count;
		if (i * share < end)
			part(context, i * share, end);
		comes_before(&share);
	}
	comes_after(&share);
}

void
parallel_rest(void)
{
	omp_pause_resource(omp_pause_soft, omp_get_initial_device());
}

void
parallel_settle(char *const arguments[])
{
	if (getenv("GOMP_SPINCOUNT") != NULL || getenv("OMP_WAIT_POLICY") != NULL)
		return;
	if (setenv("GOMP_SPINCOUNT", SPIN_ROUNDS, 0) == 0)
		execv("/proc/self/exe", arguments);
}
