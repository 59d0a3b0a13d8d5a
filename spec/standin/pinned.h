/* Host memory that CUDA knows: allocated by it, or registered. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pinned;

/* The piece that holds all of the bytes, counted as in use until pinned_leave; NULL: it is ordinary memory. */
struct pinned *
pinned_enter(const void *address, size_t bytes);
void
pinned_leave(struct pinned *pinned);

/* Do the bytes lie in one piece? */
bool
pinned_holds(const void *address, size_t bytes);

/* Free and unregister all; how many pieces that were. */
uint32_t
pinned_forget_all(void);
