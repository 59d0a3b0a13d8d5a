/*
 * Memory copies of the host device.
 */
#pragma once

#include <stddef.h>

/*
 * memcpy; large ones by stores past the caches, which do not read the lines that they overwrite. What was copied can be seen by
 * other threads as after memcpy.
 */
void
host_copy(void *to, const void *from, size_t bytes);
