/* What the stand-ins of cuBLASLt and cuDNN share: work on streams, and checks of what is handed to them. */
#pragma once

#include <stddef.h>

#include "call.h"
#include "gpu.h"
#include "stream.h"
#include "vram.h"

/* Everything of bytes that a call of `what` names is device memory of the stream's device, or reported: then false. */
bool
library_check(const char *what, cudaStream_t stream, const void *address, size_t bytes);

/* Put run on the stream with a copy of *context (bytes). cudaError_t. */
cudaError_t
library_put(cudaStream_t stream, void (*run)(const void *context), const void *context,
	    size_t bytes);

/* The device of the calling thread, with a context that is well; NULL otherwise. */
struct gpu *
library_gpu(void);

/* At the start of a function of a library: returns from it when the call is to fail. refused: for calls in host functions. */
#define LIBRARY_BEGIN(type, refused)                                                               \
	static struct call call_here = { .name = __func__ };                                       \
	int call_status = call_begin_library(&call_here, refused);                                 \
	if (call_status != 0)                                                                      \
	return (type)call_status
