/*
 * Streams: each a thread with a queue of work. The order between streams is what events make, nothing else: no lock is held
 * while work runs, so that ThreadSanitizer sees a missing wait as the race that it is.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "call.h"
#include "cuda_runtime_api.h"
#include "gpu.h"

enum { STREAM_HIGHEST_PRIORITY = -5 };

struct capture;
struct pinned;

/*
 * One piece of work; what it needs follows in the larger struct that it is the head of. Counted, since a graph keeps its
 * work and runs it many times.
 */
struct work {
	struct work *next;
	_Atomic uint32_t refs;
	/* For counting and faults, named "work:…"; NULL for marks and waits. */
	struct call *call;
	/* On the stream's thread. An error makes the context useless. */
	cudaError_t (*run)(struct work *work);
	/* Frees what the larger struct holds, not itself; NULL: nothing. */
	void (*destroy)(struct work *work);
	/* Devices whose memory it touches besides the stream's reach, a bit each. */
	uint32_t touches;
	/* It has to be done also when the context is lost: it lets others go on. */
	bool always;
};

struct CUstream_st {
	struct handle handle;
	/* In the GPU's streams. */
	struct list link;
	unsigned flags;
	int priority;
	pthread_t thread;
	/* Guards what follows. */
	pthread_mutex_t lock;
	/* There is work, or stop; all work is done. */
	pthread_cond_t wake;
	pthread_cond_t idle;
	struct work *first;
	struct work **last;
	bool is_busy;
	bool stop;
	/* The capture that it takes part in; NULL: none. The putting thread's. */
	struct capture *capture;
};

/* A piece of work of bytes in all, with one reference. */
void *
work_new(size_t bytes, struct call *call, cudaError_t (*run)(struct work *work),
	 void (*destroy)(struct work *work));
struct work *
work_ref(struct work *work);
void
work_unref(struct work *work);

/* Run it now on the calling thread, unless its turn is planned to fail: the error. */
cudaError_t
work_run(struct work *work);

/*
 * Put work, whose reference it takes, on stream, or into the graph that it captures. The error is remembered for
 * cudaGetLastError.
 */
cudaError_t
stream_put(cudaStream_t stream, struct work *work);

/* 0 when stream is one whose context is well. */
cudaError_t
stream_check(cudaStream_t stream, const char *what);

/* Wait until all that was put is done. */
void
stream_wait(cudaStream_t stream);
void
stream_wait_all(struct gpu *gpu);

/* End all of a GPU's streams, whose queued work is not done. */
void
stream_abandon_all(struct gpu *gpu);
