/* malloc, calloc and realloc that can be told to fail (standin_fail, by these names). */
#pragma once

#include <stddef.h>

void *
standin_malloc(size_t bytes);
void *
standin_calloc(size_t count, size_t bytes);
void *
standin_realloc(void *old, size_t bytes);
