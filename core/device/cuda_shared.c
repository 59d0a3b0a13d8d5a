#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "device/cuda.h"

/* What holds for all devices, as the first that was opened says; under the lock until is_set. */
static struct {
	pthread_mutex_t lock;
	atomic_bool is_set;
	int first_index;
	enum device_math math;
	enum device_layout layout;
	bool time_plans;
	bool has_folder;
	char plans_folder[PATH_MAX];
	_Atomic uint32_t epoch;
	_Atomic uint32_t resets;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

int
cuda_first_index(void)
{
	return atomic_load(&shared.is_set) ? shared.first_index : 0;
}

enum device_math
cuda_math(void)
{
	return atomic_load(&shared.is_set) ? shared.math : DEVICE_MATH_FP32;
}

enum device_layout
cuda_layout(void)
{
	return atomic_load(&shared.is_set) ? shared.layout : DEVICE_LAYOUT_AUTO;
}

bool
cuda_times_plans(void)
{
	return atomic_load(&shared.is_set) && shared.time_plans;
}

const char *
cuda_plans_folder(void)
{
	return atomic_load(&shared.is_set) && shared.has_folder ? shared.plans_folder : NULL;
}

uint32_t
cuda_epoch(void)
{
	return atomic_load(&shared.epoch);
}

uint32_t
cuda_resets(void)
{
	return atomic_load(&shared.resets);
}

/* Under the lock: the first device decided otherwise. */
static void
warn_of_others(const struct device_options *options)
{
	if (options->math != shared.math)
		log_warn("cuda %d: math is %s as for the first device, not %s", options->index,
			 device_math_name(shared.math), device_math_name(options->math));
	if (options->layout != shared.layout)
		log_warn("cuda %d: layout is %s as for the first device, not %s", options->index,
			 device_layout_name(shared.layout), device_layout_name(options->layout));
}

void
cuda_share(const struct device_options *options)
{
	pthread_mutex_lock(&shared.lock);
	if (!atomic_load(&shared.is_set)) {
		shared.first_index = options->index;
		shared.math = options->math;
		shared.layout = options->layout;
		shared.time_plans = options->time_plans;
		shared.has_folder = options->plans_folder != NULL;
		snprintf(shared.plans_folder, sizeof(shared.plans_folder), "%s",
			 shared.has_folder ? options->plans_folder : "");
		atomic_store(&shared.is_set, true);
	} else {
		warn_of_others(options);
	}
	pthread_mutex_unlock(&shared.lock);
}

void
cuda_count_reset(int index)
{
	atomic_fetch_add(&shared.resets, 1);
	if (index == cuda_first_index())
		atomic_fetch_add(&shared.epoch, 1);
}
