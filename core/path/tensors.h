/*
 * A request's tensors: named by handles, known by type, waiting on the host or lying on the request's device. Main loop.
 */
#pragma once

#include "path/job.h"

struct request;

/* The slot of that handle, freed ones left out; NULL when there is none. */
struct tensor_slot *
tensors_find(struct request *request, uint32_t handle);

/* A new slot; *index is its place in request->slots, which may move. NULL with RESOURCE_EXHAUSTED. */
struct tensor_slot *
tensors_add(struct request *request, uint32_t handle, uint32_t *index);

/* Make sure that tensors_keep_extent has room for one more. RESOURCE_EXHAUSTED. */
int
tensors_make_room(struct request *request);

/* The extent of a finished job holds tensors that are still named: keep it until the request ends. */
void
tensors_keep_extent(struct request *request, struct extent *extent);

/* The job that was to make the tensor failed: nobody finds it any more, and it takes no room. */
void
tensors_drop(struct tensor_slot *slot);

/* The request's job will not run: what it was to make is dropped. */
void
tensors_drop_unmade(struct request *request);

/* The bytes that wait on the host become the request's own, whoever owned them before. RESOURCE_EXHAUSTED. */
int
tensors_keep(struct request *request, struct tensor_slot *slot);

/*
 * The request's batch is about to be answered, and its memory the worker's again, though no job brought its tensors to a
 * device: keep what the handler may name again. What is more than 16 MiB of a request, or finds no memory, is dropped.
 */
void
tensors_keep_sent(struct request *request);

/* The device on which the request's tensors lie; -1: none lies on any. */
int32_t
tensors_device(const struct request *request);

/* The request waits for no job: forget the tensors that its handler has freed, and give back the extents that only they lay in. */
void
tensors_sweep(struct request *request);

/* They hold much more than when it was last asked: true once for each further sixteenth of the device's pool. */
bool
tensors_are_heavy(struct request *request);

/* The request is over: give its extents back. */
void
tensors_release(struct request *request);
