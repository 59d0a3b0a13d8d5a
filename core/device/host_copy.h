/*
 * Memory copies of the host device.
 */
#pragma once

#include <stddef.h>

/*
 * memcpy; large ones by the processor's string copy, which does not read the lines that it overwrites. What was copied can be
 * seen by other threads as after memcpy.
 */
void
host_copy(void *to, const void *from, size_t bytes);
