/*
 * Joints: requests of one function for one model that run as one job, their inputs one behind another along the first
 * dimension. A joint is a request of the node's own, whose job the policy sees in place of its members'; it can be joined
 * until it is dispatched. Its members keep their jobs, which wait in it and get their rows of what it gave. Main loop.
 *
 * A function asks for this (`batch = {max, window_ms}`). A job joins when its first step runs a model on tensors that still
 * lie on the host, the model's program for so many rows is compiled, and nobody in the joint would be late for it. What the
 * job does behind that step it does alone. When a joint fails, each member runs alone: an error is of the one that made it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct engine;
struct engine_model;
struct generation;
struct job;
struct program;
struct request;

enum {
	/* Most rows of a joint. */
	JOINT_ROWS_MAX = 32,
	/* Most inputs, and most outputs, of a model that joints run. */
	JOINT_PORTS_MAX = 16,
};

struct joint {
	/* The node's own; its job is what the policy gets. Owns the joint: it is freed when the request ends. */
	struct request *request;
	/* In generation->joints until it is dispatched; in engine->held while it waits for more before the policy gets it. */
	struct list of_generation;
	struct list of_held;
	/* Their jobs, by of_joint, in order of arrival; among them those of requests that were answered meanwhile. */
	struct list members;
	uint32_t member_count;
	/* Along the first dimension, of all members. */
	uint32_t rows;
	/* For that many rows; a reference. */
	struct program *program;
	/* ns of clock_now: until when it is held; and when the first of its members should be done, UINT64_MAX: no matter. */
	uint64_t held_until;
	uint64_t due;
	bool is_submitted;
	/* Laid out: nobody joins or leaves any more. */
	bool is_sealed;
};

/* Whether the job may wait in a joint. Its own programs are found. */
bool
joint_may_take(const struct job *job);

/*
 * The job waits in a joint now, an open one or a new one. -1 with the error set, RESOURCE_EXHAUSTED
 * among others: it does not.
 */
int
joint_take(struct job *job);

/* The member's request is over. True: its job has left the joint and is its own again; false: it stays until the joint ends. */
bool
joint_leave(struct job *job);

/* The policy has dispatched the joint's job: lay out its tensors. -1 with the error set. */
int
joint_seal(struct joint *joint);

/*
 * The joint's job has run, and is gone after this: give its members what is theirs, and let them go on. -1 with the error set
 * when it gave other shapes than they were promised; they get nothing then.
 */
int
joint_give_results(struct joint *joint);

/* The member was answered while its joint ran: it is freed with its request. */
void
joint_drop_answered(struct job *job);

/* When the first held joint goes to the policy, ns of clock_now; UINT64_MAX: none is held. */
uint64_t
joint_next(const struct engine *engine);

/* Hand the joints that are held until then, or less long, to the policy. The caller dispatches. */
void
joint_release(struct engine *engine, uint64_t until);
