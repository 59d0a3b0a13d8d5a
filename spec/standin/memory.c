/*
 * Memory of the host as the module's own sources ask for it (cmake/standin.cmake gives them these names for malloc and its
 * like): any of these calls may be told to fail, as CUDA's.
 */
#include "memory.h"

#include <stdlib.h>

#include "call.h"

/* At the start of a function: returns NULL from it when the call is to fail. */
#define MEMORY_BEGIN(called)                                                                       \
	static struct call call_here = { .name = called, .flags = CALL_ANYWAY | CALL_ANYWHERE };   \
	if (call_memory(&call_here) != 0)                                                          \
	return NULL

void *
standin_malloc(size_t bytes)
{
	MEMORY_BEGIN("malloc");
	return malloc(bytes);
}

void *
standin_calloc(size_t count, size_t bytes)
{
	MEMORY_BEGIN("calloc");
	return calloc(count, bytes);
}

void *
standin_realloc(void *old, size_t bytes)
{
	MEMORY_BEGIN("realloc");
	return realloc(old, bytes);
}
