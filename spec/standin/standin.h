/*
 * What specs say to the stand-in: its machine, the faults that it is to have, and what it has seen go wrong. Exported by the
 * module tidepool-cuda.so of the folder standin/ of a build; specs call it by the FFI, whole nodes are told by the
 * environment (README.md). Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Let calls of the function `call` fail from the nth from now on (1: the next), so many times, returning `error`: a number of
 * cudaError_t, or of the library's own status for cublasLt… and cudnn…. call may also be what streams do when its turn
 * comes ("work:copy", "work:set", "work:kernel", "work:host", "work:library"), which then makes the context useless, and "*":
 * any call that can fail, but no work. Replaces what was planned for that name; times 0: nothing.
 */
void
standin_fail(const char *call, uint32_t nth, uint32_t times, int error);

/* Every call of that function, or work of that name, takes so much longer, us. */
void
standin_slow(const char *call, uint32_t us);

/* How often it was called. */
uint64_t
standin_calls(const char *call);

/* The last call that failed as planned, or "". */
const char *
standin_failed(void);

/* The error that the calling thread would find if it asked for its last; it stays. */
int
standin_last_error(void);

/* No planned faults, no slowness. */
void
standin_mend(void);

/* The context of that device meets a sticky error at once. */
void
standin_lose(int device, int error);

/*
 * Forget what went on on all devices: contexts, memory, errors; only for specs between two tests, when no stream is in use.
 * Returns how many allocations, streams and events were left.
 */
uint32_t
standin_restart(void);

/* How many GPUs the machine has: 0 … 8, 4 unless told; memory of each, bytes, 4 GiB unless told. Before any is in use. */
void
standin_machine(int devices, uint64_t memory_bytes);

/* The newest CUDA that the driver serves, as 1000 * major + 10 * minor; 0: none is installed. 13.0 unless told. */
void
standin_driver(int version);

/* How many streams of that priority a device has now. */
uint32_t
standin_streams(int device, int priority);

/* Give memory that does not begin at a multiple of 2 MiB; else large allocations do, as on real GPUs. */
void
standin_misalign(bool on);

/* Misuse seen since the last call: what real CUDA leaves undefined. Unless asked, the process ends with status 70. */
uint32_t
standin_misuses(void);

/* Do not write misuse on standard error: a spec looks for it. */
void
standin_hush(bool on);

/* The last misuse, in words; or "". */
const char *
standin_misuse(void);

/* Bytes that are allocated on that device now; copies from or to host memory that was neither allocated nor registered. */
uint64_t
standin_allocated(int device);
uint64_t
standin_pageable_copies(void);
