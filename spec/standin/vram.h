/*
 * Device memory: a range of addresses a GPU, given out from its beginning to its end and never twice, so that a pointer into
 * memory that was freed is known for what it is. While no stream of a GPU works its memory cannot be touched at all, so that
 * host code that reads through a device pointer is caught (but under ThreadSanitizer, whose view of what is ordered the
 * gate's lock would blur).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_runtime_api.h"
#include "gpu.h"

/* What an address is. */
enum vram_place {
	/* None of any device's. */
	VRAM_ELSEWHERE,
	/* Memory in use, all of the bytes. */
	VRAM_LIVE,
	/* It was freed. */
	VRAM_FREED,
	/* Of a device, but never given out, or beyond the end of what was. */
	VRAM_OUTSIDE,
};

/* What lies at those bytes; *device: whose it is, unless elsewhere. */
enum vram_place
vram_find(const void *address, size_t bytes, int *device);

/*
 * May a context of gpu use those bytes as device memory? cudaSuccess, or cudaErrorInvalidValue with the misuse reported in
 * the name of what.
 */
cudaError_t
vram_check(const struct gpu *gpu, const void *address, size_t bytes, const char *what);

/* Let the memory of those devices (a bit each) be touched; let go of it. Nest; any thread. */
void
vram_open(uint32_t devices);
void
vram_close(uint32_t devices);

/* Free all of a GPU's. How many allocations that were. */
uint32_t
vram_free_all(struct gpu *gpu);
