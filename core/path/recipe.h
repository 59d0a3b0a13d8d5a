/*
 * Recipes: what a fused batch did not write, since nobody asked for it. Should a later batch name such a tensor, it is made
 * then, operation by operation, of what the batch began with; that is kept as long as something of it is not written
 * and not freed. Main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct fused;
struct job;
struct request;
struct tensor_slot;

struct recipe {
	/* In request->recipes. */
	struct list of_request;
	/* Counted. */
	struct fused *fused;
	/* The job that ran the rest has ended. */
	bool is_settled;
	/* Tensors that are not written and not freed, counted by recipe_sweep. */
	uint32_t live;
	/* A batch that is being made names one of them. */
	bool is_wanted;
	/* The chain's inputs and results, by handle. */
	uint32_t *inputs;
	uint32_t *results;
};

/*
 * A recipe for a chain that the job runs, whose inputs and results are those slots; inputs stay until it is gone. Owned
 * by the job's request. NULL with RESOURCE_EXHAUSTED.
 */
struct recipe *
recipe_new(struct job *job, struct fused *fused, const uint32_t *inputs, const uint32_t *results);

/* A batch names a tensor that is not written. */
void
recipe_want(struct tensor_slot *slot);

/* The batch that has become this job names some: put the steps that make them before its own. -1 with the error set. */
int
recipe_make_wanted(struct job *job);

/* The request's job has ended. What it did not write is no more when it failed. */
void
recipe_settle(struct request *request, bool is_well);

/* Forget recipes that nothing is left of. */
void
recipe_sweep(struct request *request);

/* The request ends. */
void
recipe_forget(struct request *request);
