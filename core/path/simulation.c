#include "path/simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/sim.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/simulation_parts.h"
#include "path/submit.h"

enum { NS_PER_MS = 1000000 };

/* --- time ---------------------------------------------------------------------------------------------------------- */

static void
dispatch(struct simulation_node *node)
{
	schedule_dispatch(&node->engine);
	simulation_note_spans(node);
}

/* Nodes with completions take them. */
static void
complete(struct simulation *simulation)
{
	for (struct simulation_node *node; (node = simulation->woken) != NULL;) {
		simulation->woken = node->next_woken;
		node->is_woken = false;
		submit_complete(&node->engine);
		simulation_note_spans(node);
	}
}

static void
tick(struct simulation *simulation)
{
	simulation->next_tick += (uint64_t)ENGINE_TICK_MS * NS_PER_MS;
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		struct simulation_node *node = &simulation->nodes[i];
		if (node->engine.view.job_count == 0)
			continue;
		engine_tick(&node->engine);
		dispatch(node);
	}
}

/* When a node's policy next gets what was held for more requests to join it. */
static uint64_t
next_release(const struct simulation *simulation)
{
	uint64_t next = UINT64_MAX;
	for (uint32_t i = 0; simulation->batches && i < simulation->node_count; i++) {
		uint64_t of_node = joint_next(&simulation->nodes[i].engine);
		next = of_node < next ? of_node : next;
	}
	return next;
}

static void
release(struct simulation *simulation)
{
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		struct simulation_node *node = &simulation->nodes[i];
		if (joint_next(&node->engine) > clock_now())
			continue;
		joint_release(&node->engine, clock_now());
		dispatch(node);
	}
}

/* Devices and ticks up to that time. */
static void
go_on(struct simulation *simulation, uint64_t until)
{
	for (;;) {
		uint64_t next = sim_next(), held = next_release(simulation);
		if (next > until && held > until && simulation->next_tick > until)
			break;
		if (held <= next && held <= simulation->next_tick) {
			clock_advance(held);
			release(simulation);
		} else if (next <= simulation->next_tick) {
			sim_step();
			complete(simulation);
		} else {
			clock_advance(simulation->next_tick);
			tick(simulation);
		}
	}
	clock_advance(until);
}

static int
invoke(struct simulated_function *function)
{
	static const unsigned char no_inputs[] = { 0x80 };
	struct simulation_node *node = function->node;
	struct request *request = request_new(&node->client, (struct slice){ 0 });
	if (request == NULL)
		return -1;
	list_remove(&request->of_client);
	request->client = NULL;
	request->generation = generation_ref(function->entry->current);
	request->value = (struct slice){ no_inputs, sizeof(no_inputs) };
	request->stage = ROUTE_accept;
	request->stamps[ROUTE_accept] = clock_now();
	node->engine.requests++;
	route_enter(request, ROUTE_handle);
	dispatch(node);
	return 0;
}

int
simulation_run(struct simulation *simulation, const double *times, const uint32_t *functions,
	       uint64_t count, double until)
{
	double last = (double)clock_now();
	for (uint64_t i = 0; i < count; i++) {
		if (functions[i] >= simulation->function_count || times[i] < last ||
		    times[i] > until)
			return error_set(ERR_INVALID_ARGUMENT, "request %llu: function or time",
					 (unsigned long long)i);
		last = times[i];
		go_on(simulation, (uint64_t)times[i]);
		if (invoke(&simulation->functions[functions[i]]) != 0)
			return -1;
	}
	if (until < last)
		return error_set(ERR_INVALID_ARGUMENT, "until lies in the past");
	go_on(simulation, (uint64_t)until);
	return 0;
}

static uint32_t
jobs_left(const struct simulation *simulation)
{
	uint32_t jobs = 0;
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		const struct engine *engine = &simulation->nodes[i].engine;
		jobs += engine->view.job_count + !list_is_empty(&engine->held);
	}
	return jobs;
}

uint32_t
simulation_settle(struct simulation *simulation, double until)
{
	while (jobs_left(simulation) > 0 && simulation->next_tick <= (uint64_t)until)
		go_on(simulation, simulation->next_tick);
	return jobs_left(simulation);
}

/* --- making -------------------------------------------------------------------------------------------------------- */

const char *
simulation_error(void)
{
	static char text[SIMULATION_ERROR_BYTES];
	snprintf(text, sizeof(text), "%s: %s", error_code_name(error_last()->code),
		 error_last()->message);
	return text;
}

static int
check(const struct simulation_options *options)
{
	if (options->nodes == 0 || options->devices == 0 || options->devices > CONFIG_DEVICES_MAX)
		return error_set(ERR_INVALID_ARGUMENT,
				 "simulation: %u nodes of %u devices; at most %d devices",
				 options->nodes, options->devices, CONFIG_DEVICES_MAX);
	return 0;
}

struct simulation *
simulation_new(const struct simulation_options *options)
{
	if (check(options) != 0)
		return NULL;
	struct simulation *simulation = calloc(1, sizeof(*simulation));
	if (simulation != NULL) {
		simulation->nodes = calloc(options->nodes, sizeof(*simulation->nodes));
		simulation->spans = calloc(options->span_room + 1, sizeof(*simulation->spans));
	}
	if (simulation == NULL || simulation->nodes == NULL || simulation->spans == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "simulation: no memory");
		simulation_delete(simulation);
		return NULL;
	}
	simulation->options = *options;
	log_set_level(LOG_WARN);
	clock_set_virtual(0);
	for (uint32_t i = 0; i < options->nodes; i++) {
		if (simulation_node_open(simulation, i) == 0)
			continue;
		struct error why = *error_last();
		simulation_delete(simulation);
		error_restore(&why);
		return NULL;
	}
	return simulation;
}

/* True while a job is left or a device has copies under way. */
static bool
is_busy(const struct simulation *simulation)
{
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		const struct engine *engine = &simulation->nodes[i].engine;
		for (uint32_t d = 0; d < engine->device_count; d++)
			if (engine->devices[d].loads > 0)
				return true;
	}
	return jobs_left(simulation) > 0;
}

/* What waits is given up, what runs ends. */
static void
end_jobs(struct simulation *simulation)
{
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		simulation->nodes[i].engine.stopping = true;
		joint_release(&simulation->nodes[i].engine, UINT64_MAX);
		list_each_safe(it, &simulation->nodes[i].engine.jobs) {
			struct job *job = list_entry(it, struct job, of_engine);
			if (job->state == JOB_QUEUED || job->state == JOB_PARKED)
				request_cancel(job->request, ERR_CANCELLED, "the simulation ends");
		}
	}
	while (is_busy(simulation) && sim_step())
		complete(simulation);
}

void
simulation_delete(struct simulation *simulation)
{
	if (simulation == NULL)
		return;
	end_jobs(simulation);
	for (uint32_t i = 0; i < simulation->node_count; i++)
		simulation_node_close(&simulation->nodes[i]);
	for (uint32_t i = 0; i < simulation->model_count; i++)
		model_unref(simulation->models[i]);
	free(simulation->models);
	free(simulation->functions);
	free(simulation->nodes);
	free(simulation->spans);
	free(simulation);
	clock_set_real();
}

int
simulation_add_model(struct simulation *simulation, const struct simulation_model *model)
{
	struct model **models =
		realloc(simulation->models, (simulation->model_count + 1) * sizeof(struct model *));
	if (models == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "simulation: no memory");
	simulation->models = models;
	struct model_synthetic synthetic = { .name = model->name,
					     .bytes = model->bytes,
					     .group_bytes = model->group_bytes,
					     .workspace_bytes = model->workspace_bytes,
					     .run_ns = model->run_ns,
					     .batch_count = model->batch_count,
					     .batch_ns = model->batch_ns };
	models[simulation->model_count] = model_new_synthetic(&synthetic);
	if (models[simulation->model_count] == NULL)
		return -1;
	return (int)simulation->model_count++;
}

/* A generation that runs an instance of the model, which has parameters of its own, so a hash of its own. */
static struct generation *
make_generation(struct simulation_node *node, struct model *model, const char *name)
{
	struct model_opened opened = { .model = model_ref(model) };
	snprintf(opened.hash, sizeof(opened.hash), "%s", name);
	struct engine_model *entry = models_add(&node->engine, &opened, name);
	if (entry == NULL)
		return NULL;
	struct generation *generation = generation_new(1);
	if (generation == NULL) {
		models_unref(entry);
		return NULL;
	}
	generation->models[generation->model_count++] = entry;
	return generation;
}

static int
grow_functions(struct simulation *simulation)
{
	uint32_t room = simulation->function_room == 0 ? 64 : simulation->function_room * 2;
	struct simulated_function *functions =
		realloc(simulation->functions, room * sizeof(*functions));
	if (functions == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "simulation: no memory for %u functions",
				 room);
	simulation->functions = functions;
	simulation->function_room = room;
	return 0;
}

int
simulation_add_function(struct simulation *simulation, const struct simulation_function *function)
{
	char name[MODEL_HASH_BYTES];
	if (function->node >= simulation->node_count || function->model >= simulation->model_count)
		return error_set(ERR_INVALID_ARGUMENT, "function: node or model out of range");
	if (function->batch_max > JOINT_ROWS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "batch_max: at most %d", JOINT_ROWS_MAX);
	if (simulation->function_count == simulation->function_room &&
	    grow_functions(simulation) != 0)
		return -1;
	struct simulation_node *node = &simulation->nodes[function->node];
	snprintf(name, sizeof(name), "f%u", simulation->function_count);
	struct engine_function *entry = functions_make(&node->engine, name);
	struct generation *generation =
		entry == NULL ? NULL
			      : make_generation(node, simulation->models[function->model], name);
	if (generation == NULL)
		return -1;
	functions_attach(entry, generation);
	functions_switch(entry, generation);
	entry->view.slo_percentile = function->slo_percentile;
	entry->view.slo_ns = function->slo_ns;
	generation->batch_max = function->batch_max;
	generation->batch_window_ns = function->batch_window_ns;
	simulation->batches |= function->batch_max > 1;
	simulation->functions[simulation->function_count] =
		(struct simulated_function){ node, entry };
	return (int)simulation->function_count++;
}

int
simulation_policy(struct simulation *simulation, const char *name, const char *source,
		  uint64_t bytes, const char *config)
{
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		struct simulation_node *node = &simulation->nodes[i];
		if (policy_load(node->engine.policy, name, source, bytes, config) != 0)
			return -1;
		schedule_want_dispatch(&node->engine);
		dispatch(node);
	}
	return 0;
}
