/*
 * The planner: what prepare functions ask cuBLASLt and cuDNN how to do something. Programs are compiled for a kind of device,
 * so they are planned on the first GPU that was opened; a node's GPUs are taken to be alike, which cuDNN's plans need.
 */
#pragma once

#include <cublasLt.h>
#include <cudnn.h>

/* Take the planner, for this thread alone, its GPU current; 0, or -1 with the error set, and then it is not taken. */
int
planner_enter(void);
void
planner_leave(void);

/* While taken. NULL: cuDNN cannot be used. */
cublasLtHandle_t
planner_blas(void);
cudnnHandle_t
planner_dnn(void);
