/*
 * Stage execute: a job's copies and programs are put on its device's streams, on the device's submit thread; what comes
 * back is settled on the main loop. A job that runs inline does all of it on the main loop, without a stream.
 */
#include "path/execute.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/prefix.h"
#include "path/borrow.h"
#include "path/engine.h"
#include "path/job.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/submit.h"
#include "path/swap.h"
#include "path/tensors.h"
#include "path/tracing.h"
#include "path/upload.h"
#include "path/view.h"

enum {
	/* A model's prefix is reckoned at each of its first runs, so many, and then once in so many. */
	PREFIX_RUNS = 16,
};

/* Addresses of one step's tensors, and where its shapes are written. */
struct step_memory {
	struct program_binding binding;
	struct device_event *const *ready;
};

/* The program of an operation has such inputs in it already. */
static bool
has_known_value(const struct job_step *step, uint32_t input)
{
	return step->operation.constants != NULL && step->operation.constants[input] != NULL;
}

static int
bind_step(struct job *job, struct job_step *step, struct step_memory *memory)
{
	const struct program_info *info = program_info(step->program);
	const struct tensor_slot *slots = job->request->slots;
	const void **inputs = arena_calloc(&job->arena, step->input_count + 1, sizeof(*inputs));
	void **outputs = arena_calloc(&job->arena, info->output_count + 1, sizeof(*outputs));
	struct tensor_type *types =
		arena_calloc(&job->arena, info->output_count + 1, sizeof(*types));
	if (inputs == NULL || outputs == NULL || types == NULL)
		return -1;
	uint32_t bound = 0;
	for (uint32_t i = 0; i < step->input_count; i++)
		if (!has_known_value(step, i))
			inputs[bound++] = slots[step->inputs[i]].address;
	assert(bound == info->input_count);
	for (uint32_t i = 0; i < step->output_count; i++)
		outputs[i] = slots[step->outputs[i]].address;
	memory->binding = (struct program_binding){ .workspace = job->workspace,
						    .inputs = inputs,
						    .outputs = outputs,
						    .output_types = types };
	step->output_types = types;
	memory->ready = NULL;
	if (step->model != NULL) {
		const struct residency *residency = step->model->residency[job->device->view.id];
		memory->binding.groups = residency_addresses(residency);
		memory->ready = residency_events(residency);
	}
	return 0;
}

/* Host memory for the results. */
static int
place_fetches(struct job *job)
{
	for (uint32_t i = 0; i < job->fetch_count; i++) {
		struct tensor_slot *slot = &job->request->slots[job->fetches[i].slot];
		job->fetches[i].host = arena_alloc(&job->arena, slot->bytes + 1);
		if (job->fetches[i].host == NULL)
			return -1;
	}
	return 0;
}

static bool
is_new_on_device(const struct tensor_slot *slot)
{
	return slot->host != NULL && slot->address != NULL;
}

static int
run_inline(struct job *job)
{
	struct request *request = job->request;
	for (uint32_t i = 0; i < request->slot_count; i++)
		if (is_new_on_device(&request->slots[i]))
			memcpy(request->slots[i].address, request->slots[i].host,
			       request->slots[i].bytes);
	for (uint32_t k = 0; k < job->step_count; k++) {
		struct step_memory memory;
		if (bind_step(job, &job->steps[k], &memory) != 0 ||
		    program_run_now(job->steps[k].program, &memory.binding, job->device->compute,
				    &job->arena) != 0)
			return -1;
	}
	for (uint32_t i = 0; i < job->fetch_count; i++)
		memcpy(job->fetches[i].host, request->slots[job->fetches[i].slot].address,
		       request->slots[job->fetches[i].slot].bytes);
	return 0;
}

static int
put_loads(struct job *job)
{
	for (uint32_t m = 0; m < job->model_count; m++) {
		if (job->loads[m] == NULL)
			continue;
		const struct residency_source source = {
			.host = job->device->copy_in,
			.widen = job->device->widen,
			.from_disk = job->from_disk[m],
			/* Only what is pinned there is left alone by the main loop. */
			.peer = job->peer_pinned[m] == 0
					? NULL
					: job->models[m]->residency[job->peer->view.id],
			.peer_groups = job->peer_pinned[m],
			.peer_stream = job->takes_from_peer ? job->device->copy_peer : NULL,
			.lent = job->relays ? job->peer->lent : NULL,
			.host_rate = job->host_rate,
			.peer_rate = job->peer_rate,
			.lent_rate = job->lent_rate,
			.label = job->labels[m],
		};
		if (residency_issue_load(job->loads[m], &source) != 0)
			return -1;
	}
	return 0;
}

/* What traces call the model's runs. */
static uint32_t
label_of(const struct job *job, const struct engine_model *model)
{
	for (uint32_t m = 0; m < job->model_count; m++)
		if (job->models[m] == model)
			return job->labels[m];
	return 0;
}

static int
put_programs(struct job *job)
{
	struct device_stream *compute = job->device->compute;
	struct request *request = job->request;
	/* Tensors are no model's. */
	stream_label(compute, 0);
	if (upload_tensors(job) != 0)
		return -1;
	for (uint32_t k = 0; k < job->step_count; k++) {
		struct step_memory memory;
		struct program_binding *binding =
			arena_alloc(&job->arena, sizeof(struct program_binding));
		if (binding == NULL || bind_step(job, &job->steps[k], &memory) != 0)
			return -1;
		*binding = memory.binding;
		stream_label(compute, label_of(job, job->steps[k].model));
		if (program_submit(job->steps[k].program, binding, compute, memory.ready,
				   &job->arena) != 0)
			return -1;
	}
	stream_label(compute, 0);
	for (uint32_t i = 0; i < job->fetch_count; i++) {
		const struct tensor_slot *slot = &request->slots[job->fetches[i].slot];
		if (stream_copy_out(compute, job->fetches[i].host, slot->address, slot->bytes) != 0)
			return -1;
	}
	return 0;
}

int
path_execute(struct request *request)
{
	struct job *job = request->job;
	if (job->runs_inline) {
		if (place_fetches(job) != 0 || run_inline(job) != 0)
			job->outcome = *error_last();
		execute_finish(job);
		return ROUTE_WAIT;
	}
	if (place_fetches(job) != 0 || put_loads(job) != 0 || put_programs(job) != 0)
		return -1;
	return ROUTE_WAIT;
}

void
execute_on_submit_thread(struct job *job)
{
	struct engine_device *device = job->device;
	struct error error, *failed = NULL;
	if (route_run_on_device(job->request) == -1) {
		error = *error_last();
		failed = &error;
	}
	/* What was put runs to its end in any case; the job is over when all streams have passed it. */
	if (failed != NULL)
		job->outcome = error;
	struct device_stream *const copies[] = { device->copy_in, device->widen,
						 job->takes_from_peer ? device->copy_peer : NULL,
						 job->relays ? job->peer->lent : NULL };
	if (job->brings)
		stream_notify_all(copies, sizeof(copies) / sizeof(copies[0]), &job->load_join,
				  submit_copies_done, job);
	if (stream_notify(device->compute, submit_compute_done, job) != 0)
		submit_compute_done(job, error_last());
}

/* From this part of a load on it counts as one beside others; below the rest of it, as one alone. */
static const double mostly = 0.8;

/* Average with a weight of 1/8 for the new value. */
static double
average(double old, double new)
{
	return old == 0 ? new : old + (new - old) / 8;
}

/*
 * A load from the host of a good part of a model says how long all of it would take: alone behind the switch, or beside others.
 * One that was some of both is an upper bound of the first until one is seen that was alone.
 */
static void
measure_load(const struct job *job, uint32_t m)
{
	struct view_model *view = &job->models[m]->view;
	uint32_t brought = job->brought[m];
	if (job->peer != NULL || !job->copies_alone || job->from_disk[m] ||
	    brought * 4 < view->group_count || job->loaded_at <= job->started_at)
		return;
	double taken = (double)(job->loaded_at - job->started_at);
	double whole = taken * view->group_count / brought, beside = job->neighbours_copied / taken;
	if (beside > mostly)
		view->shared_load_ns = average(view->shared_load_ns, whole);
	if (beside < 1 - mostly)
		view->load_ns = average(view->load_ns, whole);
	else if (view->load_ns == 0 || whole < view->load_ns)
		view->load_ns = whole;
}

/*
 * A run that had to wait for a load took longer than it would alone. What is known of its parts says how much, and is an
 * upper bound as the run itself is; the first run that had nothing to wait for takes the place of both.
 */
static void
bound_run(const struct job *job, uint32_t m, double taken)
{
	const struct engine_device *device = job->device;
	struct view_model *view = &job->models[m]->view;
	uint64_t rate = device->engine->config->devices[device->view.id].options.compute_rate;
	double parts =
		job->step_count == 1 ? (double)program_resident_ns(job->steps[0].program, rate) : 0;
	double bound = parts > 0 && parts < taken ? parts : taken;
	if (!job->models[m]->is_run_known && (view->run_ns == 0 || bound < view->run_ns))
		view->run_ns = bound;
	else if (taken < view->run_ns)
		view->run_ns = taken;
}

static void
measure_run(const struct job *job, uint32_t m, double taken)
{
	struct engine_model *model = job->models[m];
	if (job->waits[m]) {
		bound_run(job, m, taken);
		return;
	}
	model->view.run_ns = model->is_run_known ? average(model->view.run_ns, taken) : taken;
	model->is_run_known = true;
}

/* A run of several rows, with nothing to wait for, says what each after the first adds. */
static void
measure_rows(const struct job *job, uint32_t m, double taken)
{
	struct view_model *view = &job->models[m]->view;
	if (job->waits[m] || view->run_ns == 0)
		return;
	double more = (taken - view->run_ns) / (job->view.rows - 1);
	view->row_ns = average(view->row_ns, more > 0 ? more : 0);
}

static bool
is_time_for_prefix(const struct engine_model *model)
{
	return model->runs <= PREFIX_RUNS || model->runs % PREFIX_RUNS == 0;
}

/* Reckon anew how much of the model must stay, now and then. */
static void
measure_prefix(const struct job *job, uint32_t m)
{
	struct engine_model *model = job->models[m];
	const struct image *image = model_image(model->model);
	if (model->runs++, !is_time_for_prefix(model))
		return;
	/*
	 * Both forms of an image have the same groups; what crosses the link is the one in host memory. Simulated parts are
	 * exact.
	 */
	double taken = clock_is_virtual() ? 0 : model->view.run_ns;
	uint32_t groups = prefix_groups(image_on_host(image), job->steps[0].program,
					job->device->view.load_rate, taken);
	model->view.prefix_groups = groups;
	model->view.prefix_bytes = (double)image_bytes_of(image, 0, groups);
}

static void
measure(struct job *job, uint64_t now)
{
	uint64_t taken = now - job->started_at;
	job->device->jobs++;
	for (uint32_t m = 0; m < job->model_count; m++) {
		struct view_model *view = &job->models[m]->view;
		view->used_at = (double)now;
		view_model_changed(job->models[m]);
		if (job->outcome.code != ERR_OK || job->model_count != 1)
			continue;
		if (job->view.rows > 1) {
			measure_rows(job, m, (double)taken);
		} else {
			measure_run(job, m, (double)taken);
			if (job->step_count == 1)
				measure_prefix(job, m);
		}
		if (job->brought[m] > 0)
			measure_load(job, m);
	}
}

static uint64_t
brought_bytes(const struct job *job, uint32_t m)
{
	const struct image *image = image_on_host(model_image(job->models[m]->model));
	return image_bytes_of(image, image->group_count - job->brought[m], image->group_count);
}

void
execute_loaded(struct job *job)
{
	const struct error *error = job->load_outcome.code == ERR_OK ? NULL : &job->load_outcome;
	uint64_t bytes = 0;
	bool from_disk = false;
	job->loaded_at = clock_now();
	job->neighbours_copied =
		view_neighbours_copied(job->device, job->loaded_at) - job->neighbours_copied;
	for (uint32_t m = 0; m < job->model_count; m++) {
		if (job->loads[m] == NULL)
			continue;
		uint64_t brought = brought_bytes(job, m);
		from_disk |= job->from_disk[m];
		tracing_load(job->device, job->models[m], job->started_at, brought, false);
		bytes += brought;
		swap_finish_load(job, m, error);
	}
	borrow_end(job);
	if (error == NULL && job->copies_alone && job->peer == NULL && !from_disk)
		view_load_measured(job->device, bytes, job->loaded_at - job->started_at);
}

/* After a run: types that depended on data are known now, and what was copied in lies on the device. */
static void
settle_tensors(struct job *job)
{
	struct request *request = job->request;
	for (uint32_t i = 0; i < request->slot_count; i++)
		if (request->slots[i].address != NULL)
			request->slots[i].host = NULL;
	for (uint32_t k = 0; k < job->step_count; k++) {
		const struct job_step *step = &job->steps[k];
		for (uint32_t i = 0; i < step->output_count; i++)
			if (step->output_types[i].data_type != DATA_TYPE_NONE)
				request->slots[step->outputs[i]].type = step->output_types[i];
	}
}

/* After a failure: none of the tensors that this job placed is there; what it made is gone unless it runs again. */
static void
forget_tensors(struct job *job, bool runs_again)
{
	struct request *request = job->request;
	const char *end = (const char *)job->extent->address + job->extent->taken;
	const char *from = (const char *)job->extent->address + job->extent_from;
	for (uint32_t i = 0; i < request->slot_count; i++) {
		struct tensor_slot *slot = &request->slots[i];
		const char *address = slot->address;
		if (address == NULL || address < from || address >= end)
			continue;
		slot->address = NULL;
		if (slot->host == NULL && !runs_again)
			tensors_drop(slot);
	}
}

static void
lose_device(struct engine_device *device, const char *why)
{
	struct engine *engine = device->engine;
	device->lost = true;
	recovery_plan(device);
	for (uint32_t id = 0; id < engine->view.model_count; id++)
		if (engine->view_models[id] != NULL)
			view_residency_changed(
				(struct engine_model *)(uintptr_t)engine->view_models[id], device);
	log_error("device %u is lost: %s", device->view.id, why);
	engine_event(engine, "device_lost", device_properties(device->device)->name, why);
}

static void
look_at_health(struct engine_device *device)
{
	if (device != NULL && !device->lost && device_health(device->device) != 0)
		lose_device(device, error_last()->message);
}

/* A failed job whose device was lost, or the one that it copied from, runs once more, if nothing it needs was lost with it. */
static bool
can_run_again(const struct job *job)
{
	bool lost = job->device->lost || (job->peer != NULL && job->peer->lost);
	return job->outcome.code != ERR_OK && lost && job->view.attempt == 0 &&
	       job->request->extent_count == 0 && !job->request->answered;
}

/* Take the job off its device; true when it is to run again on another one. */
static bool
leave_device(struct job *job)
{
	struct engine_device *device = job->device;
	uint64_t now = clock_now();
	measure(job, now);
	tracing_job(job, now);
	/* A run beside a copy that failed computed with what was not there. */
	if (job->outcome.code == ERR_OK && job->load_outcome.code != ERR_OK)
		job->outcome = job->load_outcome;
	look_at_health(device);
	look_at_health(job->peer);
	bool runs_again = can_run_again(job);
	if (job->outcome.code == ERR_OK)
		settle_tensors(job);
	else
		forget_tensors(job, runs_again);
	swap_release(job);
	device->job = NULL;
	job->state = JOB_PLACED;
	view_device_busy(device, NULL, now);
	schedule_unpark(device);
	return runs_again;
}

/* The job is over: its request goes on with the results, or with the error. */
static void
end_job(struct job *job)
{
	struct request *request = job->request;
	schedule_finish(job, job->outcome.code == ERR_OK ? VIEW_OUTCOME_OK : VIEW_OUTCOME_ERROR);
	if (request->answered) {
		request->job = NULL;
		job_delete(job);
		request_delete(request);
	} else if (job->outcome.code != ERR_OK) {
		error_restore(&job->outcome);
		request->job = NULL;
		job_delete(job);
		route_fail(request);
	} else {
		route_resume(request);
	}
}

void
execute_finish(struct job *job)
{
	struct engine_device *device = job->device, *peer = job->peer;
	bool runs_again = leave_device(job);
	bool lost = device->lost || (peer != NULL && peer->lost);
	if (runs_again)
		schedule_again(job);
	else
		end_job(job);
	if (lost)
		schedule_fail_stranded(device->engine);
}
