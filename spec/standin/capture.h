/*
 * Graphs: a stream that captures puts its work into a graph instead of doing it; waiting for an event that was recorded in
 * the capture brings another stream into it. A graph runs its work in the order in which it was captured, which is one of
 * the orders that its dependencies allow.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cuda_runtime_api.h"

struct work;

/* Streams that may take part in one capture. */
enum { CAPTURE_STREAMS = 8 };

/* A place in a capture: how much of each member stream's work lies before it. */
struct capture_point {
	/* The capture's number; 0: none. */
	uint64_t capture;
	uint32_t seen[CAPTURE_STREAMS];
};

/* Is the calling thread forbidden what would break a capture? The capture is then invalid, as CUDA says. */
bool
capture_forbids(void);

/* Put work, whose reference it takes, into the capture of the stream. */
cudaError_t
capture_add(cudaStream_t stream, struct work *work);

/* Where the stream's capture is now. */
struct capture_point
capture_here(cudaStream_t stream);

/* The stream waits for that point: it joins its capture unless it is in it; point may be of none. */
cudaError_t
capture_join(cudaStream_t stream, const struct capture_point *point);
