/* How a joint's job is laid out from its members', and what it gave goes back to them. */
#include <assert.h>
#include <string.h>

#include "base/histogram.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/request.h"
#include "path/tensors.h"
#include "path/tracing.h"

/* --- before it runs ------------------------------------------------------------------------------------------------- */

static struct tensor_slot *
add_slot(struct request *request, const struct tensor_type *type, uint32_t *index)
{
	struct tensor_slot *slot = tensors_add(request, request->slot_count, index);
	if (slot == NULL)
		return NULL;
	slot->type = *type;
	slot->bytes = tensor_bytes(type);
	return slot;
}

/* The inputs and outputs of all rows. */
static int
add_wholes(struct joint *joint, struct job_step *step)
{
	const struct program_info *info = program_info(joint->program);
	for (uint32_t i = 0; i < step->input_count; i++)
		if (add_slot(joint->request, &info->inputs[i], &step->inputs[i]) == NULL)
			return -1;
	for (uint32_t i = 0; i < step->output_count; i++)
		if (add_slot(joint->request, &info->outputs[i], &step->outputs[i]) == NULL)
			return -1;
	return 0;
}

/* The part of a whole that belongs to a member whose rows begin at `from`. */
static struct tensor_slot *
add_part(struct joint *joint, uint32_t whole, const struct tensor_slot *own, const struct job *job,
	 uint32_t from, uint32_t *index)
{
	struct tensor_slot *slot = add_slot(joint->request, &own->type, index);
	if (slot == NULL)
		return NULL;
	slot->whole = whole + 1;
	slot->offset = slot->bytes / job->rows * from;
	slot->host = own->host;
	return slot;
}

static int
add_member(struct joint *joint, const struct job *member, uint32_t from, struct job_fetch *fetches)
{
	const struct job_step *step = &joint->request->job->steps[0], *own = &member->steps[0];
	const struct tensor_slot *slots = member->request->slots;
	uint32_t index;
	for (uint32_t i = 0; i < own->input_count; i++)
		if (add_part(joint, step->inputs[i], &slots[own->inputs[i]], member, from,
			     &index) == NULL)
			return -1;
	for (uint32_t i = 0; i < own->output_count; i++) {
		struct tensor_slot *part = add_part(joint, step->outputs[i],
						    &slots[own->outputs[i]], member, from, &index);
		if (part == NULL)
			return -1;
		part->host = NULL;
		fetches[i].slot = index;
	}
	return 0;
}

static int
add_members(struct joint *joint)
{
	struct job *job = joint->request->job;
	struct job_fetch *fetches = job->fetches;
	uint32_t from = 0;
	list_each(link, &joint->members) {
		const struct job *member = list_entry(link, struct job, of_joint);
		if (add_member(joint, member, from, fetches) != 0)
			return -1;
		from += member->rows;
		fetches += job->steps[0].output_count;
	}
	return 0;
}

int
joint_seal(struct joint *joint)
{
	struct job *job = joint->request->job;
	const struct job *first = list_entry(joint->members.next, struct job, of_joint);
	uint32_t outputs = first->steps[0].output_count;
	joint->is_sealed = true;
	list_remove(&joint->of_generation);
	job->fetch_count = joint->member_count * outputs;
	job->steps = arena_calloc(&job->arena, 1, sizeof(*job->steps));
	job->fetches = arena_calloc(&job->arena, job->fetch_count + 1, sizeof(*job->fetches));
	if (job->steps == NULL || job->fetches == NULL ||
	    job_step_create(job, 0, program_info(joint->program)->input_count, outputs) != 0)
		return -1;
	job->step_count = 1;
	job->steps[0].model = first->steps[0].model;
	job->steps[0].program = program_ref(joint->program);
	return add_wholes(joint, &job->steps[0]) == 0 ? add_members(joint) : -1;
}

/* --- after it has run ----------------------------------------------------------------------------------------------- */

/* A shape that was known only after the run is the one that members were promised. */
static int
check_outputs(const struct joint *joint)
{
	const struct request *request = joint->request;
	const struct job_step *step = &request->job->steps[0];
	const struct program_info *info = program_info(joint->program);
	for (uint32_t i = 0; i < step->output_count; i++)
		if (!tensor_type_equal(&request->slots[step->outputs[i]].type, &info->outputs[i]))
			return error_set(ERR_INTERNAL,
					 "%s: output %u has another shape than was expected",
					 step->model->name, i);
	return 0;
}

/* What the handler may name again stays: its memory is the batch's, or the joint's. */
static int
keep_tensors(struct job *job)
{
	struct request *request = job->request;
	for (uint32_t i = 0; i < request->slot_count; i++) {
		struct tensor_slot *slot = &request->slots[i];
		if (slot->host == NULL || slot->is_kept || (slot->freed && job->step_count == 1))
			continue;
		if (tensors_keep(request, slot) != 0)
			return -1;
	}
	return 0;
}

/* The first step is done. */
static int
drop_first_step(struct job *job)
{
	program_unref(job->steps[0].program);
	job->steps++;
	job->step_count--;
	job->model_count = 0;
	for (uint32_t k = 0; k < job->step_count; k++)
		if (job->steps[k].model != NULL && job_step_model(job, k, job->steps[k].model) != 0)
			return -1;
	return 0;
}

/* The member has run with the joint, from `started` on. */
static void
note_stages(struct request *request, uint64_t started)
{
	uint64_t since = request->stamps[ROUTE_schedule];
	histogram_add(&request->engine->stats.hops[ROUTE_schedule], started - since);
	tracing_stage(request, ROUTE_schedule, since, started);
	request->stage = ROUTE_execute;
	request->stamps[ROUTE_execute] = started;
}

static void
fail_member(struct job *job)
{
	struct request *request = job->request;
	request->job = NULL;
	job_delete(job);
	route_fail(request);
}

/* results: the joint's, of the outputs of the member's first step. */
static void
give(struct job *job, const struct job_fetch *results, uint64_t started)
{
	struct request *request = job->request;
	const struct job_step *step = &job->steps[0];
	for (uint32_t i = 0; i < step->output_count; i++)
		request->slots[step->outputs[i]].host = results[i].host;
	note_stages(request, started);
	if (request->generation->script != NULL && keep_tensors(job) != 0) {
		fail_member(job);
		return;
	}
	if (job->step_count > 1) {
		if (drop_first_step(job) != 0)
			fail_member(job);
		else
			route_enter(request, ROUTE_schedule);
		return;
	}
	for (uint32_t i = 0; i < job->fetch_count; i++)
		job->fetches[i].host = (void *)(uintptr_t)request->slots[job->fetches[i].slot].host;
	route_resume(request);
}

static void
count(const struct joint *joint)
{
	struct engine_function *function = joint->request->generation->function;
	if (joint->member_count < 2)
		return;
	function->joints++;
	function->joined += joint->member_count;
	if (joint->member_count > function->joined_most)
		function->joined_most = joint->member_count;
}

/* Each member goes on, with its rows of the results. */
static void
give_all(struct joint *joint)
{
	const struct job *own = joint->request->job;
	const struct job_fetch *results = own->fetches;
	uint32_t outputs = own->steps[0].output_count;
	list_each_safe(link, &joint->members) {
		struct job *job = list_entry(link, struct job, of_joint);
		list_remove(&job->of_joint);
		job->joined = NULL;
		job->state = JOB_NEW;
		if (job->request->answered)
			joint_drop_answered(job);
		else
			give(job, results, own->started_at);
		results += outputs;
	}
}

int
joint_give_results(struct joint *joint)
{
	struct request *request = joint->request;
	int status = check_outputs(joint);
	if (status == 0) {
		count(joint);
		give_all(joint);
	}
	job_delete(request->job);
	request->job = NULL;
	return status;
}
