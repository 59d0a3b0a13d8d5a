/*
 * The machine's GPUs, their contexts, and what a handle says of where it belongs. Two GPUs share a PCI switch and reach each
 * other's memory: 0 and 1, 2 and 3, and so on.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "cuda_runtime_api.h"

enum {
	GPU_MAX = 8,
	/* Kinds of handles. */
	HANDLE_STREAM = 0x5374726d,
	HANDLE_EVENT = 0x45766e74,
	HANDLE_GRAPH = 0x47726170,
	HANDLE_EXEC = 0x45786563,
	HANDLE_BLAS = 0x426c6173,
	HANDLE_DNN = 0x446e6e00,
	HANDLE_FREED = 0x66726565,
};

struct gpu {
	int index;
	/* Guards streams and the birth of a context. */
	pthread_mutex_t lock;
	/* Of struct CUstream_st. */
	struct list streams;
	/* Contexts so far, the present one among them; and is there one? */
	_Atomic uint32_t context;
	atomic_bool is_active;
	/* The context's sticky error. */
	_Atomic int error;
	/* Devices whose memory the context may reach, a bit each, its own among them. */
	_Atomic uint32_t peers;
	/* Handles that are not destroyed. */
	_Atomic uint32_t handles;
};

/* The head of what a handle points to. All are kept, destroyed ones too, so that their use is seen. */
struct handle {
	struct handle *next;
	uint32_t kind;
	uint32_t context;
	struct gpu *gpu;
};

int
gpu_count(void);

/* Bytes of memory of each. */
uint64_t
gpu_memory(void);

/* NULL when the machine has no such. */
struct gpu *
gpu_at(int index);

/* The calling thread's, with a context. NULL without GPUs. */
struct gpu *
gpu_current(void);

/* Errors that a context does not recover from. */
bool
gpu_is_sticky(int error);

/* From now on calls that need the context return error. The first one stays. */
void
gpu_fail(struct gpu *gpu, int error);
cudaError_t
gpu_error(const struct gpu *gpu);

bool
gpu_can_reach(int from, int to);

/* A new handle of that kind; its memory is bytes long, the head among them. */
void *
handle_new(struct gpu *gpu, uint32_t kind, size_t bytes);

/* 0 when pointer is such a handle of a context that lives; else the error, remembered. */
cudaError_t
handle_check(const void *pointer, uint32_t kind, const char *what);

/* From now on its use is misuse. */
void
handle_free(void *pointer);
