/*
 * The planner: what prepare functions ask cuBLASLt and cuDNN how to do something, and what was found out before. Programs are
 * compiled for a kind of device, so they are planned on the first GPU that was opened; a node's GPUs are taken to be alike,
 * which cuDNN's plans need.
 */
#pragma once

#include <cublasLt.h>
#include <cudnn.h>
#include <stdbool.h>

#include "exec/cuda/findings.h"

enum {
	/* Bytes of a key of the findings. */
	PLANNER_KEY_BYTES = 512,
	/* Ways to do something that are timed, or tried until one can be had. */
	PLANNER_CANDIDATES = 16,
};

/* Take the planner, for this thread alone, its GPU current; 0, or -1 with the error set, and then it is not taken. */
int
planner_enter(void);
void
planner_leave(void);

/* While taken. dnn NULL: cuDNN cannot be used. */
cublasLtHandle_t
planner_blas(void);
cudnnHandle_t
planner_dnn(void);
struct findings *
planner_findings(void);

/* Write what was found out; takes the planner itself. May block. */
void
planner_settle(void);

/*
 * Changes when the GPU's context is made anew: plans of cuDNN from before are of no use then. Any thread.
 */
uint32_t
planner_epoch(void);

/* --- timing, while taken ------------------------------------------------------------------------------------------------- */

/* Are several ways to be timed, rather than the libraries' first taken? */
bool
planner_times(void);

/*
 * Memory of the GPU and a stream to try things on, until planner_end_trial; the memory is not the pool's, so there may be none.
 * NULL: nothing can be timed now, and nothing is to be ended.
 */
void *
planner_begin_trial(size_t bytes);
void
planner_end_trial(void *memory);

/* What put puts on the stream takes, us, the least of some runs; negative when it fails. */
typedef int
planner_put_f(void *context, cudaStream_t stream);
double
planner_time(planner_put_f *put, void *context);
