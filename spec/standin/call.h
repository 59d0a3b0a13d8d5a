/*
 * What every function of the API begins and ends with: it is counted, it may be told to be slow or to fail, it may not be
 * called from a host function, nor while its thread captures a graph when it is one that would break the capture.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cuda_runtime_api.h"

enum call_flags {
	/* Needs no healthy context. */
	CALL_ANYWAY = 1 << 0,
	/* Not while the thread captures. */
	CALL_UNSAFE = 1 << 1,
	/* Cannot fail. */
	CALL_SURE = 1 << 2,
	/* Allowed in a host function. */
	CALL_ANYWHERE = 1 << 3,
};

/* One name: how often it was called and what is planned for it. Never freed. */
struct call_record {
	struct call_record *next;
	const char *name;
	_Atomic uint64_t count;
	/* Calls until the first that fails (0: none), how many then fail, with what. */
	_Atomic uint32_t until;
	_Atomic uint32_t times;
	_Atomic int error;
	_Atomic uint32_t slow_us;
};

/* A place in the code: a function of the API, or a kind of work. Static. */
struct call {
	const char *name;
	unsigned flags;
	_Atomic(struct call_record *) record;
};

/* What the calling thread carries. */
struct call_thread {
	/* cudaSetDevice. */
	int device;
	/* For cudaGetLastError. */
	cudaError_t last;
	/* It is inside a function of cudaLaunchHostFunc. */
	bool in_host_function;
	/* Captures that it began in a mode that forbids unsafe calls. */
	int captures;
};

struct call_thread *
call_thread(void);

/* 0, or the error that the call is to return; it has then been remembered for cudaGetLastError. */
cudaError_t
call_begin(struct call *call);

/* The same for a function of a library: 0, its planned status, or refused when it may not be called here. */
int
call_begin_library(struct call *call, int refused);

/* The same for the host's memory, which may be asked for anywhere: not 0 when the call is to fail. */
int
call_memory(struct call *call);

/* Count work that a stream is about to do: 0, or the error planned for it. */
cudaError_t
call_work(struct call *work);

/* Remember an error for cudaGetLastError; returns it. */
cudaError_t
call_end(cudaError_t status);

/* Report what no correct program does. Returns error, for the caller to return. */
cudaError_t
call_misuse(cudaError_t error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Write what is no misuse, but good to know, on standard error. */
void
call_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* At the start of a function of the runtime: returns from it when the call is to fail. */
#define CALL_BEGIN(call_flags)                                                                     \
	static struct call call_here = { .name = __func__, .flags = (call_flags) };                \
	cudaError_t call_status = call_begin(&call_here);                                          \
	if (call_status != cudaSuccess)                                                            \
	return call_status
