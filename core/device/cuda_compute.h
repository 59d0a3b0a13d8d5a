/*
 * What a compute stream carries for the operators that run on it: the CUDA stream, the libraries' handles, memory that
 * serves every kernel in turn, and where a kernel or a host function tells what went wrong. It is what device_launch's run
 * gets as `native`. The putting thread's, but for what says otherwise.
 */
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "device/cuda_fault.h"
#include "device/cuda_watch.h"

struct cuda_device;

enum {
	/* Recordings kept; the least recently used goes first. */
	CUDA_GRAPHS = 32,
	/* What the libraries get: as cuBLASLt's documentation advises for Hopper. */
	CUDA_WORKSPACE_BYTES = 64 << 20,
};

/* A launch's recorded work. */
struct cuda_graph {
	/* The launch's key; 0: no entry. */
	uint64_t key;
	/* NULL: seen once, not recorded yet. */
	cudaGraphExec_t exec;
	/* It could not be recorded. */
	bool refused;
	/* Counts launches: when it was used last. */
	uint64_t used;
};

struct cuda_compute {
	struct cuda_device *device;
	cudaStream_t stream;
	cublasLtHandle_t blas;
	/* NULL where cuDNN cannot be used: convolutions then run on our own kernel. */
	cudnnHandle_t dnn;
	/* Device memory for the libraries. */
	void *workspace;
	size_t workspace_bytes;
	struct cuda_fault *fault;
	/* Page-locked memory through which host functions get at operands; grown by need, older ones freed with the stream. */
	void **stagings;
	uint32_t staging_count;
	size_t staging_bytes;
	struct cuda_graph graphs[CUDA_GRAPHS];
	uint64_t launches;
	/* A launch is being recorded: work that cannot be is to fail. */
	bool recording;
	struct cuda_watch watch;
	/* Guards what follows. */
	pthread_mutex_t lock;
	/* The first error of a host function since the last notify. */
	bool failed;
	struct error error;
};

/*
 * Fill in for a stream of the device, which the calling thread has entered; without libraries and their workspace when it
 * runs kernels alone. -1 with the error set.
 */
int
cuda_compute_create(struct cuda_compute *compute, struct cuda_device *device, cudaStream_t stream,
		    bool has_libraries);

/* The stream has run dry. */
void
cuda_compute_destroy(struct cuda_compute *compute);

/* Page-locked memory of bytes for host functions on this stream; the same each time. NULL with the error set. */
void *
cuda_compute_staging(struct cuda_compute *compute, size_t bytes);

/* Keep error for the next notify, unless there is one. Any thread. */
void
cuda_compute_fail(struct cuda_compute *compute, const struct error *error);

/* Take what a kernel or a host function met since the last time. False: nothing. Called in the stream's order, any thread. */
bool
cuda_compute_take_error(struct cuda_compute *compute, struct error *error);

/* As stream_launch's contract: run the launch, or replay what it put the last time. */
struct device_launch;
int
cuda_compute_launch(struct cuda_compute *compute, const struct device_launch *launch);

/* -1 with the error set for a failed call of cuBLASLt or cuDNN, or of the runtime after a kernel launch. */
int
cuda_compute_check(struct cuda_compute *compute, cudaError_t status, const char *what);
int
cuda_compute_check_blas(struct cuda_compute *compute, cublasStatus_t status, const char *what);
int
cuda_compute_check_dnn(struct cuda_compute *compute, cudnnStatus_t status, const char *what);
