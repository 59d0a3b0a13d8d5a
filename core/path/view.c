#include "path/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/request.h"
#include "path/tensors.h"
#include "path/tracing.h"

enum {
	FIRST_ROOM = 64,
	/* Loads of less say more about hand-overs than about the link. */
	MEASURED_BYTES_MIN = 8 << 20,
};

int
view_create(struct engine *engine)
{
	struct view_node *view = &engine->view;
	engine->view_devices = calloc(engine->device_count + 1, sizeof(*engine->view_devices));
	if (engine->view_devices == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for its tables");
	for (uint32_t i = 0; i < engine->device_count; i++)
		engine->view_devices[i] = &engine->devices[i].view;
	view->device_count = view->device_stride = engine->device_count;
	view->devices = engine->view_devices;
	return view_peers(engine);
}

int
view_peers(struct engine *engine)
{
	uint32_t count = engine->device_count;
	double *rates = calloc((size_t)count * count, sizeof(*rates));
	if (rates == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for its tables");
	for (uint32_t to = 0; to < count; to++)
		for (uint32_t from = 0; from < count; from++)
			rates[to * count + from] = (double)device_peer_rate(
				engine->devices[to].device, engine->devices[from].device);
	free(engine->view_peer_rates);
	engine->view_peer_rates = rates;
	engine->view.peer_rates = rates;
	return 0;
}

void
view_destroy(struct engine *engine)
{
	free(engine->view_devices);
	free(engine->view_models);
	free(engine->view_functions);
	free(engine->view_residency);
	free(engine->view_peer_rates);
}

/* Doubles a table of pointers; new entries are NULL. */
static int
grow(void **table, uint32_t *room, size_t size, const char *what)
{
	uint32_t wanted = *room == 0 ? FIRST_ROOM : *room * 2;
	char *larger = calloc(wanted, size);
	if (larger == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for more %s", what);
	if (*room > 0)
		memcpy(larger, *table, *room * size);
	free(*table);
	*table = larger;
	*room = wanted;
	return 0;
}

static int
grow_models(struct engine *engine)
{
	void *models = engine->view_models, *residency = engine->view_residency;
	uint32_t room = engine->view_model_room;
	int status = grow(&residency, &room, engine->device_count * sizeof(struct view_residency),
			  "models");
	engine->view_residency = residency;
	engine->view.residency = residency;
	if (status == 0)
		status = grow(&models, &engine->view_model_room, sizeof(struct view_model *),
			      "models");
	engine->view_models = models;
	engine->view.models = models;
	return status;
}

int
view_add_model(struct engine *engine, struct engine_model *model)
{
	uint32_t id = 0;
	while (id < engine->view_model_room && engine->view_models[id] != NULL)
		id++;
	if (id == engine->view_model_room && grow_models(engine) != 0)
		return -1;
	model->view.id = id;
	model->view.name = model->name;
	engine->view_models[id] = &model->view;
	view_model_changed(model);
	engine->view.generation++;
	memset(&engine->view_residency[id * engine->device_count], 0,
	       engine->device_count * sizeof(struct view_residency));
	if (id >= engine->view.model_count)
		engine->view.model_count = id + 1;
	return 0;
}

void
view_remove_model(struct engine *engine, struct engine_model *model)
{
	engine->view_models[model->view.id] = NULL;
	engine->view.generation++;
}

int
view_add_function(struct engine *engine, struct engine_function *function)
{
	uint32_t id = 0;
	while (id < engine->view_function_room && engine->view_functions[id] != NULL)
		id++;
	if (id == engine->view_function_room) {
		void *functions = engine->view_functions;
		int status = grow(&functions, &engine->view_function_room,
				  sizeof(struct view_function *), "functions");
		engine->view_functions = functions;
		engine->view.functions = functions;
		if (status != 0)
			return -1;
	}
	function->view.id = id;
	function->view.name = function->name;
	engine->view_functions[id] = &function->view;
	engine->view.generation++;
	if (id >= engine->view.function_count)
		engine->view.function_count = id + 1;
	return 0;
}

void
view_remove_function(struct engine *engine, struct engine_function *function)
{
	engine->view_functions[function->view.id] = NULL;
	engine->view.generation++;
}

void
view_job_fill(struct job *job)
{
	const struct request *request = job->request;
	job->view = (struct view_job){
		.id = (double)++request->engine->next_job_id,
		.function = &request->generation->function->view,
		.models = job->view_models,
		.model_count = job->model_count,
		.bound_device = tensors_device(request),
		.priority = request->priority,
		.requests = job->joint != NULL ? job->joint->member_count : 1,
		.rows = job->joint != NULL ? job->joint->rows : 1,
		.arrived_at = (double)request->stamps[ROUTE_accept],
		.deadline = (double)request->deadline,
	};
}

void
view_job_counted(struct engine *engine, const struct job *job, int change)
{
	engine->view.job_count += (uint32_t)change;
	for (uint32_t m = 0; m < job->model_count; m++)
		job->models[m]->view.jobs += (uint32_t)change;
}

void
view_model_changed(struct engine_model *model)
{
	model->view.version = ++model->engine->view_versions;
}

void
view_residency_changed(struct engine_model *model, struct engine_device *device)
{
	struct engine *engine = model->engine;
	const struct residency *residency = model->residency[device->view.id];
	struct view_residency *view =
		&engine->view_residency[model->view.id * engine->device_count + device->view.id];
	tier_look(model, device);
	view_model_changed(model);
	/* What a lost device held is of no use to anybody. */
	if (residency == NULL || device->lost) {
		*view = (struct view_residency){ 0 };
		return;
	}
	view->groups = residency_groups(residency);
	view->pinned = residency_pinned(residency);
	view->arrived = residency_state(residency) == RESIDENCY_LOADING
				? residency_arrived(residency)
				: view->groups;
	view->bytes = (double)residency_bytes(residency);
	view_device_memory(device);
}

void
view_device_memory(struct engine_device *device)
{
	struct pool_stats stats;
	pool_stats(device->pool, &stats);
	device->view.capacity = (double)stats.capacity;
	device->view.free_bytes = (double)(stats.capacity - stats.used);
	tracing_memory(device, stats.used);
}

/* How long the job will be on the device, as far as its first model tells. 0: not known. */
static double
expected_ns(const struct job *job)
{
	if (job->model_count == 0 || job->models[0]->view.run_ns == 0)
		return 0;
	const struct view_model *view = &job->models[0]->view;
	double load = view->load_ns * job->brought[0] / view->group_count;
	double run = view->run_ns + (job->view.rows - 1) * view->row_ns;
	return load > run ? load : run;
}

void
view_device_reckon(struct engine_device *device, uint64_t now)
{
	struct view_device *view = &device->view;
	if (now <= device->reckoned_at)
		return;
	double passed = (double)(now - device->reckoned_at);
	device->reckoned_at = now;
	if (device->runs)
		view->busy_ns += passed;
	if (view->loading)
		view->copying_ns += passed;
	if (view->idle && !view->loading)
		view->idle_ns += passed;
}

void
view_device_loading(struct engine_device *device)
{
	view_device_reckon(device, clock_now());
	device->view.loading = device->loads > 0;
}

void
view_load_measured(struct engine_device *device, uint64_t bytes, uint64_t ns)
{
	if (bytes < MEASURED_BYTES_MIN || ns == 0)
		return;
	double rate = (double)bytes * 1e9 / (double)ns, old = device->load_rate;
	device->load_rate = old == 0 ? rate : old + (rate - old) / 8;
	device->view.load_rate = device->load_rate;
}

double
view_neighbours_copied(const struct engine_device *device, uint64_t now)
{
	struct engine *engine = device->engine;
	double total = 0;
	for (uint32_t i = 0; i < engine->device_count && device->view.switch_id >= 0; i++) {
		struct engine_device *other = &engine->devices[i];
		if (other == device || other->view.switch_id != device->view.switch_id)
			continue;
		view_device_reckon(other, now);
		total += other->view.copying_ns;
	}
	return total;
}

void
view_device_busy(struct engine_device *device, const struct job *job, uint64_t now)
{
	double expected = job != NULL ? expected_ns(job) : 0;
	view_device_reckon(device, now);
	device->runs = job != NULL;
	device->view.idle = job == NULL && !device->lost;
	device->view.busy_until = expected > 0 ? (double)job->started_at + expected : 0;
}
