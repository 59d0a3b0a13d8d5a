#include "spec/support/probe.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

struct probe *
probe_new(void)
{
	return calloc(1, sizeof(struct probe));
}

void
probe_delete(struct probe *probe)
{
	free(probe);
}

/* Streams of one probe are ordered by the spec, so there is one writer at a time. */
static void
add_step(struct probe *probe, uint32_t step)
{
	uint32_t at = atomic_load_explicit(&probe->count, memory_order_acquire);
	probe->steps[at % PROBE_STEPS] = step;
	atomic_store_explicit(&probe->count, at + 1, memory_order_release);
}

void
probe_done(void *context, const struct error *error)
{
	struct probe *probe = context;
	probe->error = error == NULL ? (struct error){ .code = ERR_OK } : *error;
	add_step(probe, 1000 + (uint32_t)probe->error.code);
}

static void
sleep_us(uint32_t us)
{
	struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };
	nanosleep(&time, NULL);
}

void
probe_done_gated(void *context, const struct error *error)
{
	struct probe *probe = context;
	probe_done(probe, error);
	while (atomic_load(&probe->closed) != 0)
		sleep_us(50);
}

int
probe_run(const struct device_launch *launch, void *native)
{
	const struct probe_work *work = launch->work;
	if (work->sleep_us > 0)
		sleep_us(work->sleep_us);
	add_step(work->probe, work->word == NULL ? work->number : *work->word);
	if (work->code == 0)
		return 0;
	return error_set((enum error_code)work->code, "work %u fails", work->number);
}

int
probe_run_gated(const struct device_launch *launch, void *native)
{
	const struct probe_work *work = launch->work;
	while (atomic_load(&work->probe->closed) != 0)
		sleep_us(50);
	return probe_run(launch, native);
}

void
probe_close(struct probe *probe)
{
	atomic_store(&probe->closed, 1);
}

void
probe_open(struct probe *probe)
{
	atomic_store(&probe->closed, 0);
}

uint32_t
probe_count(struct probe *probe)
{
	return atomic_load_explicit(&probe->count, memory_order_acquire);
}

bool
probe_wait(struct probe *probe, uint32_t count, uint32_t timeout_ms)
{
	uint64_t end = clock_now() + (uint64_t)timeout_ms * 1000000;
	while (probe_count(probe) < count) {
		if (clock_now() > end)
			return false;
		sleep_us(50);
	}
	return true;
}

uint32_t
probe_thread(void)
{
	return (uint32_t)gettid();
}

int
probe_run_thread(const struct device_launch *launch, void *native)
{
	const struct probe_work *work = launch->work;
	add_step(work->probe, probe_thread());
	return 0;
}

void
probe_part(void *context, int64_t begin, int64_t end)
{
	(void)context;
	(void)begin;
	(void)end;
}

static _Atomic uint32_t scraps[2];

void
probe_scrap(void *memory, size_t bytes)
{
	(void)bytes;
	free(memory);
	atomic_fetch_add(&scraps[gettid() == getpid()], 1);
}

uint32_t
probe_scraps(bool on_main)
{
	return atomic_load(&scraps[on_main]);
}
