#include "path/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path/job.h"
#include "path/request.h"

enum { FIRST_ROOM = 64 };

int
view_create(struct node *node)
{
	struct view_node *view = &node->view;
	node->view_devices = calloc(node->device_count + 1, sizeof(*node->view_devices));
	if (node->view_devices == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: no memory for its tables");
	for (uint32_t i = 0; i < node->device_count; i++)
		node->view_devices[i] = &node->devices[i].view;
	view->device_count = view->device_stride = node->device_count;
	view->devices = node->view_devices;
	return 0;
}

void
view_destroy(struct node *node)
{
	free(node->view_devices);
	free(node->view_models);
	free(node->view_functions);
	free(node->view_residency);
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
grow_models(struct node *node)
{
	void *models = node->view_models, *residency = node->view_residency;
	uint32_t room = node->view_model_room;
	int status = grow(&residency, &room, node->device_count * sizeof(struct view_residency),
			  "models");
	node->view_residency = residency;
	node->view.residency = residency;
	if (status == 0)
		status = grow(&models, &node->view_model_room, sizeof(struct view_model *), "models");
	node->view_models = models;
	node->view.models = models;
	return status;
}

int
view_add_model(struct node *node, struct node_model *model)
{
	uint32_t id = 0;
	while (id < node->view_model_room && node->view_models[id] != NULL)
		id++;
	if (id == node->view_model_room && grow_models(node) != 0)
		return -1;
	model->view.id = id;
	model->view.name = model->name;
	node->view_models[id] = &model->view;
	memset(&node->view_residency[id * node->device_count], 0,
	       node->device_count * sizeof(struct view_residency));
	if (id >= node->view.model_count)
		node->view.model_count = id + 1;
	return 0;
}

void
view_remove_model(struct node *node, struct node_model *model)
{
	node->view_models[model->view.id] = NULL;
}

int
view_add_function(struct node *node, struct node_function *function)
{
	uint32_t id = 0;
	while (id < node->view_function_room && node->view_functions[id] != NULL)
		id++;
	if (id == node->view_function_room) {
		void *functions = node->view_functions;
		int status = grow(&functions, &node->view_function_room,
				  sizeof(struct view_function *), "functions");
		node->view_functions = functions;
		node->view.functions = functions;
		if (status != 0)
			return -1;
	}
	function->view.id = id;
	function->view.name = function->name;
	node->view_functions[id] = &function->view;
	if (id >= node->view.function_count)
		node->view.function_count = id + 1;
	return 0;
}

void
view_remove_function(struct node *node, struct node_function *function)
{
	node->view_functions[function->view.id] = NULL;
}

void
view_job_fill(struct job *job)
{
	const struct request *request = job->request;
	job->view = (struct view_job){
		.id = ++request->node->next_job_id,
		.function = &request->generation->function->view,
		.models = job->view_models,
		.model_count = job->model_count,
		.bound_device = request->device,
		.priority = request->priority,
		.arrived_at = request->stamps[ROUTE_accept],
		.deadline = request->deadline,
	};
}

void
view_job_counted(struct node *node, const struct job *job, int change)
{
	node->view.job_count += (uint32_t)change;
	for (uint32_t m = 0; m < job->model_count; m++)
		job->models[m]->view.jobs += (uint32_t)change;
}

void
view_residency_changed(struct node_model *model, struct node_device *device)
{
	struct node *node = model->node;
	const struct residency *residency = model->residency[device->view.id];
	struct view_residency *view =
		&node->view_residency[model->view.id * node->device_count + device->view.id];
	if (residency == NULL) {
		*view = (struct view_residency){ 0 };
		return;
	}
	view->groups = residency_groups(residency);
	view->pinned = residency_pinned(residency);
	view->bytes = residency_bytes(residency);
	view_device_memory(device);
}

void
view_device_memory(struct node_device *device)
{
	struct pool_stats stats;
	pool_stats(device->pool, &stats);
	device->view.capacity = stats.capacity;
	device->view.free_bytes = stats.capacity - stats.used;
}

void
view_device_busy(struct node_device *device, const struct job *job)
{
	device->view.idle = job == NULL && !device->lost;
	device->view.loading = job != NULL && job->outstanding == 2;
	device->view.busy_until = 0;
	if (job != NULL && job->model_count > 0 && job->models[0]->view.run_ns != 0)
		device->view.busy_until = job->started_at + job->models[0]->view.run_ns;
}
