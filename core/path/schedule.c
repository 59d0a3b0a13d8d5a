#include "path/schedule.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "path/engine.h"
#include "path/fusion.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/request.h"
#include "path/tracing.h"
#include "path/view.h"

/* A compilation on a pool thread. */
struct compilation {
	uv_work_t work;
	struct job *job;
	struct error error;
	int status;
};

static struct program *
find_program(const struct job_step *step)
{
	if (step->model == NULL)
		return operation_find(&step->operation);
	return model_find_program(step->model->model, step->operation.inputs,
				  step->operation.input_count);
}

static struct program *
compile_program(struct job *job, const struct job_step *step)
{
	if (step->model == NULL)
		return operation_compile(&step->operation, &job->request->engine->model_options);
	return model_compile(step->model->model, step->operation.inputs,
			     step->operation.input_count);
}

/* The types that flow into a step, known once the steps before it have programs. */
static int
gather_types(struct job *job, struct job_step *step)
{
	struct tensor_type *types =
		arena_calloc(&job->arena, step->input_count + 1, sizeof(*types));
	if (types == NULL)
		return -1;
	const struct constant *const *constants = step->operation.constants;
	for (uint32_t i = 0; i < step->input_count; i++)
		types[i] = constants != NULL && constants[i] != NULL
				   ? constants[i]->type
				   : job->request->slots[step->inputs[i]].type;
	step->operation.kind = job->request->engine->model_options.kind;
	step->operation.inputs = types;
	step->operation.input_count = step->input_count;
	return 0;
}

static int
spread_types(struct job *job, const struct job_step *step)
{
	const struct program_info *info = program_info(step->program);
	if (info->output_count < step->output_count)
		return error_set(ERR_INVALID_ARGUMENT, "%s: has %u outputs, %u were asked for",
				 step->model != NULL ? step->model->name : step->operation.op_type,
				 info->output_count, step->output_count);
	for (uint32_t i = 0; i < step->output_count; i++) {
		struct tensor_slot *slot = &job->request->slots[step->outputs[i]];
		slot->type = info->outputs[i];
		slot->bytes = tensor_bytes(&slot->type);
	}
	return 0;
}

/* Find every step's program; 1 when all are there, 0 when one has to be compiled, -1 on error. */
static int
find_programs(struct job *job)
{
	uint32_t looked = 0;
	for (uint32_t k = 0; k < job->step_count; k++) {
		struct job_step *step = &job->steps[k];
		if (k >= looked && step->program == NULL) {
			int fused = fusion_take(job, k);
			if (fused < 0)
				return -1;
			looked = k + (uint32_t)fused;
		}
		if (step->program == NULL && gather_types(job, step) != 0)
			return -1;
		if (step->program == NULL)
			step->program = find_program(step);
		if (step->program == NULL)
			return 0;
		if (spread_types(job, step) != 0)
			return -1;
	}
	return 1;
}

/* Pool thread: the main loop leaves a job alone while its state is JOB_COMPILING. */
static void
compile_programs(uv_work_t *work)
{
	struct compilation *compilation = work->data;
	struct job *job = compilation->job;
	for (uint32_t k = 0; k < job->step_count && compilation->status == 0; k++) {
		struct job_step *step = &job->steps[k];
		if (step->program == NULL && (compilation->status = gather_types(job, step)) == 0) {
			step->program = compile_program(job, step);
			compilation->status = step->program == NULL ? -1 : 0;
		}
		if (compilation->status == 0)
			compilation->status = spread_types(job, step);
	}
	if (compilation->status != 0)
		compilation->error = *error_last();
}

static int
drop_job(struct request *request)
{
	struct job *job = request->job;
	request->job = NULL;
	job_delete(job);
	return -1;
}

static bool
has_device(const struct engine *engine)
{
	for (uint32_t id = 0; id < engine->device_count; id++)
		if (!engine->devices[id].lost)
			return true;
	return false;
}

/* UNAVAILABLE when no device that is left can run the job. */
static int
check_stranded(const struct job *job)
{
	const struct engine *engine = job->request->engine;
	int32_t bound = job->view.bound_device;
	if (bound >= 0 && engine->devices[bound].lost)
		return error_set(ERR_UNAVAILABLE,
				 "device %d is lost, and the request's tensors with it", bound);
	if (!has_device(engine))
		return error_set(ERR_UNAVAILABLE, "every device of the node is lost");
	return 0;
}

int
schedule_submit(struct job *job)
{
	struct engine *engine = job->request->engine;
	double retry_after_ms = 0;
	view_job_fill(job);
	if (check_stranded(job) != 0)
		return -1;
	engine->view.now = (double)clock_now();
	if (!job->alone && policy_admit(engine->policy, &job->view, &retry_after_ms) == 0) {
		job->request->retry_after_ms = (uint64_t)retry_after_ms;
		return error_set(ERR_RESOURCE_EXHAUSTED, "policy '%s': the request is refused now",
				 policy_name(engine->policy));
	}
	if (policy_submit(engine->policy, &job->view) != 0)
		return -1;
	job->state = JOB_QUEUED;
	job->submitted_at = clock_now();
	list_push_back(&engine->jobs, &job->of_engine);
	view_job_counted(engine, job, 1);
	schedule_want_dispatch(engine);
	return 0;
}

/* Into a joint, where the function wants that, or to the policy. */
static int
enter_queue(struct job *job)
{
	return joint_may_take(job) ? joint_take(job) : schedule_submit(job);
}

static void
compiled(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct compilation *compilation = work->data;
	struct job *job = compilation->job;
	struct request *request = job->request;
	job->state = JOB_NEW;
	if (request->answered) {
		request->job = NULL;
		job_delete(job);
		request_delete(request);
	} else if (compilation->status != 0) {
		error_restore(&compilation->error);
		drop_job(request);
		route_fail(request);
	} else if (enter_queue(job) != 0) {
		drop_job(request);
		route_fail(request);
	}
	free(compilation);
}

static int
compile_aside(struct job *job)
{
	struct compilation *compilation = calloc(1, sizeof(*compilation));
	if (compilation == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "compilation: no memory");
	compilation->work.data = compilation;
	compilation->job = job;
	job->state = JOB_COMPILING;
	int status = uv_queue_work(&job->request->engine->loop, &compilation->work,
				   compile_programs, compiled);
	assert(status == 0);
	(void)status;
	return 0;
}

int
path_schedule(struct request *request)
{
	struct job *job = request->job;
	int found = find_programs(job);
	if (found == -1)
		return drop_job(request);
	if (found == 0)
		return compile_aside(job) == 0 ? ROUTE_WAIT : drop_job(request);
	return enter_queue(job) == 0 ? ROUTE_WAIT : drop_job(request);
}

void
schedule_want_dispatch(struct engine *engine)
{
	engine->wants_dispatch = true;
}

static struct job *
job_of_view(const struct view_job *view)
{
	return (struct job *)((char *)(uintptr_t)view - offsetof(struct job, view));
}

/* The job, which the policy knows, ends with the calling thread's error, and its request with it. */
static void
fail_job(struct job *job)
{
	struct request *request = job->request;
	struct error why = *error_last();
	schedule_finish(job, VIEW_OUTCOME_ERROR);
	request->job = NULL;
	job_delete(job);
	error_restore(&why);
	route_fail(request);
}

/* Send the job on its way. */
static void
dispatch(struct engine *engine, const struct policy_verdict *verdict)
{
	struct job *job = job_of_view(verdict->job);
	job->device = &engine->devices[verdict->device];
	job->may_relay = verdict->source == VIEW_SOURCE_RELAY;
	job->shares_sources = job->may_relay || verdict->source == VIEW_SOURCE_BOTH;
	bool has_peer = job->shares_sources || verdict->source == VIEW_SOURCE_PEER;
	job->peer = has_peer ? &engine->devices[verdict->peer] : NULL;
	job->state = JOB_PLACED;
	if (job->joint != NULL && !job->joint->is_sealed && joint_seal(job->joint) != 0)
		fail_job(job);
	else
		route_resume(job->request);
}

void
schedule_dispatch(struct engine *engine)
{
	if (!engine->wants_dispatch || engine->in_dispatch)
		return;
	engine->in_dispatch = true;
	engine->wants_dispatch = false;
	struct policy_verdict verdict;
	uint64_t from = clock_now();
	uint32_t count = 0;
	engine->view.now = (double)from;
	while (policy_dispatch(engine->policy, &verdict) == 1) {
		dispatch(engine, &verdict);
		count++;
		engine->view.now = (double)clock_now();
	}
	prefetch_look_ahead(engine);
	tracing_dispatch(from, count);
	engine->in_dispatch = false;
}

static bool
holds_memory(const struct job *job)
{
	return job->request->extent_count > 0;
}

/* Leave the list of parked jobs. */
static void
unpark(struct job *job)
{
	list_remove(&job->of_parked);
	job->device->parked_holders -= holds_memory(job);
	job->device = NULL;
	job->state = JOB_QUEUED;
	job->request->stage = ROUTE_schedule;
}

void
schedule_withdraw(struct job *job)
{
	if (job->state == JOB_PARKED)
		unpark(job);
	schedule_finish(job, VIEW_OUTCOME_CANCELLED);
	job->request->job = NULL;
	job_delete(job);
}

int
schedule_park(struct job *job)
{
	struct engine_device *device = job->device;
	uint32_t others = device->holders - (holds_memory(job) ? 1 : 0);
	if (device->job == NULL && !prefetch_is_under_way(&device->prefetch) &&
	    device->borrower == NULL && others <= device->parked_holders)
		return error_wrap("device %u: no memory for the job", device->view.id);
	list_push_back(&device->parked, &job->of_parked);
	device->parked_holders += holds_memory(job);
	job->state = JOB_PARKED;
	return 0;
}

void
schedule_unpark(struct engine_device *device)
{
	while (!list_is_empty(&device->parked)) {
		struct job *job = list_entry(device->parked.next, struct job, of_parked);
		unpark(job);
		policy_requeue(device->engine->policy, &job->view);
	}
	schedule_want_dispatch(device->engine);
}

void
schedule_finish(struct job *job, enum view_outcome outcome)
{
	struct engine *engine = job->request->engine;
	policy_done(engine->policy, &job->view, outcome);
	view_job_counted(engine, job, -1);
	list_remove(&job->of_engine);
	job->state = JOB_NEW;
	schedule_want_dispatch(engine);
}

void
schedule_again(struct job *job)
{
	job->view.attempt++;
	job->outcome.code = job->load_outcome.code = ERR_OK;
	job->device = job->peer = NULL;
	job->request->device = -1;
	job->state = JOB_QUEUED;
	job->request->stage = ROUTE_schedule;
	policy_requeue(job->request->engine->policy, &job->view);
	schedule_want_dispatch(job->request->engine);
}

/* The first queued job that no device can run, with the error set; NULL: there is none. */
static struct job *
find_stranded(struct engine *engine)
{
	list_each(link, &engine->jobs) {
		struct job *job = list_entry(link, struct job, of_engine);
		if (job->state == JOB_QUEUED && check_stranded(job) != 0)
			return job;
	}
	return NULL;
}

void
schedule_fail_stranded(struct engine *engine)
{
	struct job *job;
	while ((job = find_stranded(engine)) != NULL)
		fail_job(job);
}
