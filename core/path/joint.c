/* How joints are made, joined, held and left. */
#include "path/joint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/joint_program.h"
#include "path/request.h"
#include "path/schedule.h"

enum {
	/* A joint is held no longer than leaves its first member so many times the run of a full one. */
	RUNS_KEPT = 2,
};

/* --- which jobs ----------------------------------------------------------------------------------------------------- */

/* When the request should be answered: its deadline or its function's objective, ns of clock_now; UINT64_MAX: neither. */
static uint64_t
due_of(const struct request *request)
{
	double slo_ns = request->generation->function->view.slo_ns;
	uint64_t due = request->deadline > 0 ? request->deadline : UINT64_MAX;
	uint64_t aim = request->stamps[ROUTE_accept] + (uint64_t)slo_ns;
	return slo_ns > 0 && aim < due ? aim : due;
}

/* Rows of the step's inputs, which all have as many; 0: they do not, or one is a scalar. */
static uint32_t
rows_of(const struct job_step *step)
{
	int64_t rows = step->input_count == 0 ? 1 : 0;
	for (uint32_t i = 0; i < step->input_count; i++) {
		const struct tensor_type *type = &step->operation.inputs[i];
		if (type->rank == 0 || (i > 0 && type->dims[0] != rows))
			return 0;
		rows = type->dims[0];
	}
	return rows > 0 && rows <= JOINT_ROWS_MAX ? (uint32_t)rows : 0;
}

/* All that the step reads still lies on the host. */
static bool
is_on_host(const struct request *request, const struct job_step *step)
{
	for (uint32_t i = 0; i < step->input_count; i++) {
		const struct tensor_slot *slot = &request->slots[step->inputs[i]];
		if (slot->host == NULL || slot->address != NULL)
			return false;
	}
	return true;
}

bool
joint_may_take(const struct job *job)
{
	const struct request *request = job->request;
	const struct generation *generation = request->generation;
	if (generation->batch_max < 2 || generation->function == NULL || job->alone ||
	    job->step_count == 0 || request->extent_count > 0)
		return false;
	const struct job_step *step = &job->steps[0];
	if (step->model == NULL || step->input_count > JOINT_PORTS_MAX ||
	    step->output_count > JOINT_PORTS_MAX || !is_on_host(request, step))
		return false;
	uint32_t rows = rows_of(step);
	return rows > 0 && rows < generation->batch_max &&
	       joint_program_fits(step->program, step->program, rows, rows, step->output_count);
}

/* --- joining -------------------------------------------------------------------------------------------------------- */

static struct job *
first_of(const struct joint *joint)
{
	return list_entry(joint->members.next, struct job, of_joint);
}

/* True when both steps are the same but for their rows. */
static bool
is_alike(const struct job_step *a, const struct job_step *b)
{
	if (a->model != b->model || a->input_count != b->input_count ||
	    a->output_count != b->output_count)
		return false;
	for (uint32_t i = 0; i < a->input_count; i++) {
		struct tensor_type type = a->operation.inputs[i];
		type.dims[0] = b->operation.inputs[i].dims[0];
		if (!tensor_type_equal(&type, &b->operation.inputs[i]))
			return false;
	}
	return true;
}

/* ns that the model runs on so many rows, as far as is known; without a measured run of more than one, as many runs. */
static double
run_ns_of(const struct view_model *view, uint32_t rows)
{
	double row_ns = view->row_ns > 0 ? view->row_ns : view->run_ns;
	return view->run_ns + (rows - 1) * row_ns;
}

/* Nobody is late for it who would not be without it. */
static bool
is_in_time(const struct joint *joint, const struct job *job)
{
	const struct view_model *view = &job->steps[0].model->view;
	double now = (double)clock_now(), due = (double)joint->due;
	if (due_of(job->request) < joint->due)
		return false;
	return now + run_ns_of(view, joint->rows + job->rows) <= due ||
	       now + run_ns_of(view, joint->rows) > due;
}

/* The program for the joint's rows and the job's, when the job may join; NULL: it may not. A reference. */
static struct program *
program_with(const struct joint *joint, const struct job *job)
{
	const struct generation *generation = job->request->generation;
	uint32_t rows = joint->rows + job->rows;
	if (rows > generation->batch_max || job->request->priority != joint->request->priority ||
	    !is_alike(&job->steps[0], &first_of(joint)->steps[0]) || !is_in_time(joint, job))
		return NULL;
	return joint_program_find(job, rows);
}

static void
note_size(struct joint *joint)
{
	struct view_job *view = &joint->request->job->view;
	view->requests = joint->member_count;
	view->rows = joint->rows;
}

/* program: for the rows with the job's. Takes the reference. */
static void
add(struct joint *joint, struct job *job, struct program *program)
{
	program_unref(joint->program);
	joint->program = program;
	list_push_back(&joint->members, &job->of_joint);
	joint->member_count++;
	joint->rows += job->rows;
	job->joined = joint;
	job->state = JOB_JOINED;
	note_size(joint);
}

static struct joint *
find_open(const struct job *job, struct program **program)
{
	list_each(link, &job->request->generation->joints) {
		struct joint *joint = list_entry(link, struct joint, of_generation);
		*program = program_with(joint, job);
		if (*program != NULL)
			return joint;
	}
	return NULL;
}

/* --- making and ending ---------------------------------------------------------------------------------------------- */

static void
joint_delete(struct joint *joint)
{
	assert(list_is_empty(&joint->members));
	list_remove(&joint->of_generation);
	list_remove(&joint->of_held);
	program_unref(joint->program);
	free(joint);
}

/* A member goes: its job is its own again. */
static void
remove_member(struct joint *joint, struct job *job)
{
	list_remove(&job->of_joint);
	joint->member_count--;
	joint->rows -= job->rows;
	job->joined = NULL;
	job->state = JOB_NEW;
}

void
joint_drop_answered(struct job *job)
{
	struct request *request = job->request;
	request->job = NULL;
	job_delete(job);
	request_delete(request);
}

/* The joint failed, with that error: who was alone in it fails too, the others run by themselves. */
static void
undo(struct joint *joint, const struct error *why)
{
	bool fails = joint->member_count == 1 || joint->request->engine->stopping;
	struct engine_function *function = joint->request->generation->function;
	if (!fails) {
		function->joints_undone++;
		log_info("function '%s': %u requests run one by one: %s", function->name,
			 joint->member_count, why->message);
	}
	list_each_safe(link, &joint->members) {
		struct job *job = list_entry(link, struct job, of_joint);
		struct request *request = job->request;
		remove_member(joint, job);
		if (request->answered) {
			joint_drop_answered(job);
		} else if (fails) {
			request->job = NULL;
			job_delete(job);
			error_restore(why);
			route_fail(request);
		} else {
			job->alone = true;
			route_enter(request, ROUTE_schedule);
		}
	}
}

/* The joint's request ends; members that are left got nothing. */
static void
on_ended(void *context, struct request *request)
{
	static const struct error no_memory = { .code = ERR_RESOURCE_EXHAUSTED,
						.message = "joint: no memory" };
	struct joint *joint = context;
	struct error why = request->error != NULL ? *request->error : no_memory;
	if (!list_is_empty(&joint->members))
		undo(joint, &why);
	joint_delete(joint);
}

/* Its request goes without an answer: nobody is in it. */
static void
discard(struct joint *joint)
{
	struct request *request = joint->request;
	if (request->job != NULL && joint->is_submitted) {
		schedule_withdraw(request->job);
	} else if (request->job != NULL) {
		job_delete(request->job);
		request->job = NULL;
	}
	request_delete(request);
	joint_delete(joint);
}

static struct joint *
joint_new(const struct job *job)
{
	const struct request *first = job->request;
	struct generation *generation = first->generation;
	struct joint *joint = calloc(1, sizeof(*joint));
	struct request *request =
		joint == NULL ? NULL : request_new_inside(first->engine, on_ended, joint);
	if (request == NULL || (request->job = job_new(request, 0, 0)) == NULL) {
		if (request != NULL)
			request_delete(request);
		free(joint);
		error_set(ERR_RESOURCE_EXHAUSTED, "joint: no memory");
		return NULL;
	}
	request->generation = generation_ref(generation);
	request->handle = HANDLE_JOINT;
	request->priority = first->priority;
	request->deadline = first->deadline;
	request->stage = ROUTE_schedule;
	request->stamps[ROUTE_schedule] = request->stamps[ROUTE_accept];
	request->stamps[ROUTE_accept] = first->stamps[ROUTE_accept];
	*joint = (struct joint){ .request = request, .due = due_of(first) };
	request->job->joint = joint;
	request->job->is_last = true;
	request->job->models[0] = job->steps[0].model;
	request->job->view_models[0] = &job->steps[0].model->view;
	request->job->model_count = 1;
	list_create(&joint->members);
	list_create(&joint->of_held);
	list_create(&joint->of_generation);
	list_push_back(&generation->joints, &joint->of_generation);
	return joint;
}

/* --- to the policy -------------------------------------------------------------------------------------------------- */

/* The policy, or the node, does not want it: its members fail with that error. */
static void
refuse(struct joint *joint, const struct error *why)
{
	list_each_safe(link, &joint->members) {
		struct job *job = list_entry(link, struct job, of_joint);
		struct request *request = job->request;
		remove_member(joint, job);
		request->job = NULL;
		job_delete(job);
		request->retry_after_ms = joint->request->retry_after_ms;
		error_restore(why);
		route_fail(request);
	}
}

static int
submit(struct joint *joint)
{
	list_remove(&joint->of_held);
	if (schedule_submit(joint->request->job) != 0)
		return -1;
	joint->is_submitted = true;
	note_size(joint);
	return 0;
}

static void
on_held(uv_timer_t *timer)
{
	struct engine *engine = timer->data;
	engine->activity++;
	joint_release(engine, clock_now());
	schedule_dispatch(engine);
}

static void
arm(struct engine *engine)
{
	uint64_t next = joint_next(engine), now = clock_now();
	if (clock_is_virtual() || next == UINT64_MAX)
		return;
	uint64_t ms = next <= now ? 0 : (next - now + 999999) / 1000000;
	uv_update_time(&engine->loop);
	uv_timer_start(&engine->held_timer, on_held, ms, 0);
}

/* Keep it from the policy for the window, as far as its first member has the time. */
static void
hold(struct joint *joint)
{
	const struct generation *generation = joint->request->generation;
	const struct view_model *view = &first_of(joint)->steps[0].model->view;
	uint64_t now = clock_now(),
		 runs = (uint64_t)(RUNS_KEPT * run_ns_of(view, generation->batch_max));
	joint->held_until = now + generation->batch_window_ns;
	if (joint->due != UINT64_MAX && joint->due < joint->held_until + runs)
		joint->held_until = joint->due > now + runs ? joint->due - runs : now;
	list_push_back(&joint->request->engine->held, &joint->of_held);
	arm(joint->request->engine);
}

/* Begin a joint with the job. */
static int
begin(struct job *job)
{
	struct joint *joint = joint_new(job);
	if (joint == NULL)
		return -1;
	add(joint, job, program_ref(job->steps[0].program));
	if (job->request->generation->batch_window_ns > 0) {
		hold(joint);
		return 0;
	}
	if (submit(joint) == 0)
		return 0;
	struct error why = *error_last();
	job->request->retry_after_ms = joint->request->retry_after_ms;
	remove_member(joint, job);
	discard(joint);
	return error_restore(&why);
}

int
joint_take(struct job *job)
{
	struct program *program = NULL;
	job->rows = rows_of(&job->steps[0]);
	struct joint *joint = find_open(job, &program);
	if (joint == NULL)
		return begin(job);
	add(joint, job, program);
	if (joint->rows < job->request->generation->batch_max)
		return 0;
	list_remove(&joint->of_generation);
	if (!joint->is_submitted) {
		joint->held_until = 0;
		joint_release(job->request->engine, 0);
		schedule_want_dispatch(job->request->engine);
	}
	return 0;
}

bool
joint_leave(struct job *job)
{
	struct joint *joint = job->joined;
	if (joint->is_sealed)
		return false;
	if (joint->member_count == 1) {
		remove_member(joint, job);
		discard(joint);
		return true;
	}
	struct program *program = joint_program_find(job, joint->rows - job->rows);
	if (program == NULL)
		return false;
	remove_member(joint, job);
	program_unref(joint->program);
	joint->program = program;
	note_size(joint);
	return true;
}

uint64_t
joint_next(const struct engine *engine)
{
	uint64_t next = UINT64_MAX;
	list_each(link, &engine->held) {
		const struct joint *joint = list_entry(link, struct joint, of_held);
		if (joint->held_until < next)
			next = joint->held_until;
	}
	return next;
}

/* The first of those that are held until then or less long; NULL: none. */
static struct joint *
find_due(const struct engine *engine, uint64_t until)
{
	list_each(link, &engine->held) {
		struct joint *joint = list_entry(link, struct joint, of_held);
		if (joint->held_until <= until)
			return joint;
	}
	return NULL;
}

void
joint_release(struct engine *engine, uint64_t until)
{
	struct joint *joint;
	/* From the front each time: a refused member's end may change the list. */
	while ((joint = find_due(engine, until)) != NULL) {
		if (submit(joint) == 0)
			continue;
		struct error why = *error_last();
		refuse(joint, &why);
		discard(joint);
	}
	arm(engine);
}
