/*
 * A job: the device work that a request needs next: one model run or a chain of runs and operators with the intermediates
 * left on the device. What policies schedule. Made by path_handle, placed by path_schedule, given memory by path_swap, put
 * on streams by path_execute, and freed when its completion has come back to the main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/list.h"
#include "exec/program.h"
#include "exec/tensor.h"
#include "model/operation.h"
#include "path/submit.h"
#include "script/view.h"

struct engine;
struct request;
struct engine_device;
struct engine_model;
struct extent;
struct joint;
struct recipe;
struct residency_load;
struct uv_work_s;

enum { JOB_MODELS_MAX = 8 };

enum job_state {
	/* Being made. */
	JOB_NEW,
	/* Its programs are being compiled on a pool thread. */
	JOB_COMPILING,
	/* Waits in a joint, or runs as a part of one. */
	JOB_JOINED,
	/* With the policy. */
	JOB_QUEUED,
	/* Dispatched, but its device's memory is held by others: goes back to the policy when some is freed. */
	JOB_PARKED,
	/* Dispatched: it has memory on its device, or is getting it. */
	JOB_PLACED,
	/* Its work is on the device's streams. */
	JOB_ON_DEVICE,
};

/* A tensor of a request, named by the handle that the worker (or path_handle) gave it. */
struct tensor_slot {
	uint32_t handle;
	struct tensor_type type;
	size_t bytes;
	/* Bytes to be copied to the device by the next job; NULL once they are there. */
	const void *host;
	/* Where it lies on request->device; NULL when it is not there. */
	void *address;
	/* The handler freed it. */
	bool freed;
	/* What `host` names is the request's own. */
	bool is_kept;
	/* It is a part of another slot, from so many bytes on: that one's place in request->slots, and 1. 0: it is whole. */
	uint32_t whole;
	size_t offset;
	/* How to make it, result `result` of a fused batch, since it was not written (recipe.h); NULL: it is a tensor as any. */
	struct recipe *recipe;
	uint32_t result;
	/* Recipes that begin with it: it stays, though it be freed. */
	uint32_t pins;
	/* It was not written, and a batch that is being made names it. It was named so once: it is written from now on. */
	bool is_wanted;
	bool is_held;
};

/* One program run of a job. Tensors by index into request->slots. */
struct job_step {
	/* NULL until it is compiled; a reference of the job's. */
	struct program *program;
	/* The model it runs; NULL for an operation. */
	struct engine_model *model;
	struct operation operation;
	uint32_t input_count;
	uint32_t output_count;
	uint32_t *inputs;
	uint32_t *outputs;
	/* Where the run writes its outputs' types; set when it is bound. */
	struct tensor_type *output_types;
};

/* A result that goes back to the host. */
struct job_fetch {
	uint32_t slot;
	void *host;
};

struct job {
	/* Posted to the submit thread, and back by the compute stream's completion; and by that of the copy streams. */
	struct errand errand;
	struct errand load_errand;
	struct engine *engine;
	/* It may be gone once the job's results are with the worker host. */
	struct request *request;
	struct view_job view;
	const struct view_model *view_models[JOB_MODELS_MAX];
	enum job_state state;
	/* The joint whose own job it is; and the one that it waits in (joint.h), in joint->members. NULL: none. */
	struct joint *joint;
	struct joint *joined;
	struct list of_joint;
	/* Rows of its first step's inputs while it is joined. */
	uint32_t rows;
	/* Its joint failed: it runs by itself, without being asked whether it may. */
	bool alone;
	/* In engine->jobs while the policy knows it; in device->parked while it is parked. */
	struct list of_engine;
	struct list of_parked;

	uint32_t step_count;
	struct job_step *steps;
	uint32_t fetch_count;
	struct job_fetch *fetches;
	/* From when its programs were asked for until it was dispatched, run and done: ns of clock_now. */
	uint64_t submitted_at;
	uint64_t started_at;
	/* When its copies were done; 0 without any. */
	uint64_t loaded_at;
	/* The distinct models of the steps. */
	uint32_t model_count;
	struct engine_model *models[JOB_MODELS_MAX];

	/* From the policy's verdict on. */
	struct engine_device *device;
	struct engine_device *peer;
	struct residency_load *loads[JOB_MODELS_MAX];
	/* Workspace, inputs and outputs; the device's scratch extent when borrowed_scratch. */
	struct extent *extent;
	bool borrowed_scratch;
	/* It is the request's last extent, whose rest, from so many bytes on, was enough. */
	bool shares_extent;
	size_t extent_from;
	/* Where the tensors end in it, and the workspace begins. */
	size_t tensor_bytes;
	void *workspace;
	/* The first so many of models are pinned, with so many groups each; those it brings; and whether it may have to wait for
	 * some, its own load's or a prefetch's. */
	uint32_t held_models;
	uint32_t pinned[JOB_MODELS_MAX];
	uint32_t brought[JOB_MODELS_MAX];
	bool waits[JOB_MODELS_MAX];
	/* It has something to bring; and no other copies were under way when it began. */
	bool brings;
	bool copies_alone;
	/* ns in which other devices behind the device's switch copied (view_neighbours_copied): before it began, and then
	 * during its copies. */
	double neighbours_copied;
	/* Of what it brings: read from disk on the way; and some comes from the peer on a stream of its own. */
	bool from_disk[JOB_MODELS_MAX];
	bool takes_from_peer;
	/* What the peer has comes from the host too, as fast as both ways together carry it. */
	bool shares_sources;
	/* What the peer has not may come over its link; and it does: the link is borrowed. */
	bool may_relay;
	bool relays;
	/* Bytes/s of the ways from the host, from the peer, and over the peer's link; 0: not known. */
	double host_rate;
	double peer_rate;
	double lent_rate;
	/* The models' names in traces; 0 while none is made. */
	uint32_t labels[JOB_MODELS_MAX];
	/* And on its peer while they are copied from there. */
	uint32_t peer_pinned[JOB_MODELS_MAX];
	/* Runs on the main loop's thread: nothing to bring, and so little to do that a hand-over would cost more. */
	bool runs_inline;
	/* No request tensor outlives the job. */
	bool is_last;

	/* Completions outstanding: one for the compute stream, one for the copy streams when it loads. */
	uint32_t outstanding;
	struct stream_join load_join;
	/* What the submit thread needs until the job is done. */
	struct arena arena;
	/* The first error of its streams; code ERR_OK when there was none. Last: only their codes are cleared. */
	struct error outcome;
	struct error load_outcome;
};

/* An empty job of the request; NULL with RESOURCE_EXHAUSTED. */
struct job *
job_new(struct request *request, uint32_t steps, uint32_t fetches);

/* Drops its references; its device work must be over. The memory is kept for the next job. */
void
job_delete(struct job *job);

/* Step k's tensors: arrays of that many slot indices in the request's arena; 0, or -1 with the error set. */
int
job_step_create(struct job *job, uint32_t k, uint32_t inputs, uint32_t outputs);

/* Note that step k runs model. RESOURCE_EXHAUSTED over JOB_MODELS_MAX distinct models. */
int
job_step_model(struct job *job, uint32_t k, struct engine_model *model);

/* Free the jobs that are kept. */
void
job_free_idle(struct engine *engine);
