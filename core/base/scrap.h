/*
 * Freeing what is large: to unmap memory takes the kernel some 0.1 µs a page, milliseconds for what a large reply or a worker
 * leaves behind, so a thread of the pool does it instead of the loop's.
 */
#pragma once

#include <stddef.h>

struct uv_loop_s;

/* Frees memory of that many bytes; any thread. */
typedef void
scrap_f(void *memory, size_t bytes);

/*
 * Have memory freed: at once when it is small, when much waits to be freed (the pool may be busy
 * for long), or when nothing is left in the loop; else on a thread of the pool, which keeps the
 * loop alive until then. Loop thread only.
 */
void
scrap(struct uv_loop_s *loop, scrap_f *free_it, void *memory, size_t bytes);

/* A scrap_f for what came from malloc. */
void
scrap_malloced(void *memory, size_t bytes);
