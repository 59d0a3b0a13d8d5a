/*
 * Work and completion callbacks for specs of devices: threads of a device must not call into Lua, so these note in C what
 * came by.
 */
#pragma once

#include "device/device.h"

enum { PROBE_STEPS = 4096 };

/* What a stream did, in order. */
struct probe {
	/* Steps so far; read it by probe_count. */
	_Atomic uint32_t count;
	/* What launches added, by number; completions add 1000 + the error's code. */
	uint32_t steps[PROBE_STEPS];
	/* The last completion's error; code ERR_OK when there was none. */
	struct error error;
	/* While not 0, launches of probe_run_gated wait. */
	_Atomic uint32_t closed;
};

/* One launch: what device_launch.work points to. */
struct probe_work {
	struct probe *probe;
	uint32_t number;
	/* Sleep that long first, us. */
	uint32_t sleep_us;
	/* When not 0: fail with this code. */
	int code;
	/* When not NULL: the step noted is the 32-bit word that lies there when the work runs. */
	const uint32_t *word;
};

struct probe *
probe_new(void);
void
probe_delete(struct probe *probe);

/* A stream_done_f for probe as the context. */
void
probe_done(void *probe, const struct error *error);

/* The same, and then the thread stays in the callback while the probe is closed. */
void
probe_done_gated(void *probe, const struct error *error);

/* device_launch.run: sleep, note, fail, as the work says. */
int
probe_run(const struct device_launch *launch, void *native);

/* As probe_run, once probe_open was called. */
int
probe_run_gated(const struct device_launch *launch, void *native);

/* Make probe_run_gated wait, or go on. */
void
probe_close(struct probe *probe);
void
probe_open(struct probe *probe);

/* Steps so far; the steps before it can be read. */
uint32_t
probe_count(struct probe *probe);

/* True once count steps were made; false after timeout_ms. */
bool
probe_wait(struct probe *probe, uint32_t count, uint32_t timeout_ms);

/* The id that the kernel gives the calling thread, as a launch's step. */
int
probe_run_thread(const struct device_launch *launch, void *native);
uint32_t
probe_thread(void);

/* A parallel_part_f that does nothing. */
void
probe_part(void *context, int64_t begin, int64_t end);

/* A scrap_f that counts, by whether the main thread calls it or another one. */
void
probe_scrap(void *memory, size_t bytes);
uint32_t
probe_scraps(bool on_main);
