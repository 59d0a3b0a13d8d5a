#include "library.h"

#include <stdlib.h>
#include <string.h>

struct library_work {
	struct work work;
	void (*run)(const void *context);
	void *context;
};

bool
library_check(const char *what, cudaStream_t stream, const void *address, size_t bytes)
{
	struct gpu *gpu = ((const struct handle *)stream)->gpu;
	return bytes == 0 || vram_check(gpu, address, bytes, what) == cudaSuccess;
}

static cudaError_t
run(struct work *base)
{
	struct library_work *work = (struct library_work *)base;
	work->run(work->context);
	return cudaSuccess;
}

static void
destroy(struct work *base)
{
	free(((struct library_work *)base)->context);
}

cudaError_t
library_put(cudaStream_t stream, void (*run_context)(const void *context), const void *context,
	    size_t bytes)
{
	static struct call work_call = { .name = "work:library" };
	/* The libraries launch kernels, which only go to streams of the thread's device. */
	if (call_thread()->device != ((const struct handle *)stream)->gpu->index)
		return cudaErrorInvalidResourceHandle;
	struct library_work *work = work_new(sizeof(*work), &work_call, run, destroy);
	work->run = run_context;
	work->context = malloc(bytes);
	memcpy(work->context, context, bytes);
	return stream_put(stream, &work->work);
}

struct gpu *
library_gpu(void)
{
	struct gpu *gpu = gpu_current();
	return gpu == NULL || gpu_error(gpu) != cudaSuccess ? NULL : gpu;
}
