#include "path/simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/sim.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/models.h"
#include "path/request.h"
#include "path/schedule.h"
#include "path/submit.h"
#include "path/view.h"

enum {
	NS_PER_MS = 1000000,
	/* Devices of a node, as many as a configuration has room for. */
	NODE_DEVICES_MAX = CONFIG_DEVICES_MAX,
	ERROR_TEXT_BYTES = ERROR_MESSAGE_BYTES + 64,
};

/* What runs on a device, for the spans. */
struct running {
	/* The job's id; 0 when idle. */
	double id;
	struct simulation_span span;
};

struct sim_node {
	struct simulation *simulation;
	struct engine engine;
	struct config config;
	/* Requests come from here; it has no connection, so replies go nowhere. */
	struct client client;
	/* A completion has been posted since the last look. */
	bool is_woken;
	struct sim_node *next_woken;
	struct running *running;
	struct simulation_device *counts;
};

struct function {
	struct sim_node *node;
	struct engine_function *entry;
};

struct simulation {
	struct simulation_options options;
	uint32_t node_count;
	struct sim_node *nodes;
	struct sim_node *woken;
	uint32_t model_count;
	struct model **models;
	uint32_t function_count;
	uint32_t function_room;
	struct function *functions;
	uint64_t next_tick;
	uint64_t span_count;
	struct simulation_span *spans;
	/* Why a policy was replaced. */
	uint64_t faults;
	char fault[ERROR_TEXT_BYTES];
};

/* --- nodes --------------------------------------------------------------------------------------------------------- */

/* A mailbox_wake_f. */
static void
wake(void *context)
{
	struct sim_node *node = context;
	if (node->is_woken)
		return;
	node->is_woken = true;
	node->next_woken = node->simulation->woken;
	node->simulation->woken = node;
}

static void
policy_replaced(void *context, const char *from, const char *to, const struct error *why)
{
	struct sim_node *node = context;
	if (why == NULL || why->code == ERR_OK)
		return;
	node->simulation->faults++;
	snprintf(node->simulation->fault, sizeof(node->simulation->fault), "%s", why->message);
	schedule_want_dispatch(&node->engine);
}

/* The fastest of a device's peers. */
static uint64_t
peer_rate_of(const struct simulation_options *options, uint32_t device)
{
	double most = 0;
	for (uint32_t i = 0; options->peer_rates != NULL && i < options->devices; i++)
		if (options->peer_rates[device * options->devices + i] > most)
			most = options->peer_rates[device * options->devices + i];
	return (uint64_t)most;
}

static void
make_config(struct sim_node *node, uint32_t index)
{
	const struct simulation_options *options = &node->simulation->options;
	struct config *config = &node->config;
	uint32_t switches = 0, per_switch = options->devices_per_switch;
	if (per_switch > 1)
		switches = (options->devices + per_switch - 1) / per_switch;
	config->state = "";
	config->store_bytes = UINT64_MAX;
	config->device_count = options->devices;
	for (uint32_t i = 0; i < options->devices; i++)
		config->devices[i] = (struct config_device){
			.kind = DEVICE_KIND_SIM,
			.options = { .index = (int)(index * options->devices + i),
				     .memory_bytes = options->memory_bytes,
				     .link_rate = options->link_rate,
				     .switch_id = switches == 0 ? DEVICE_NO_SWITCH
								: (int)(index * switches +
									i / per_switch),
				     .switch_rate = options->switch_rate,
				     .peer_rate = peer_rate_of(options, i),
				     .copy_latency_ns = options->copy_latency_ns },
		};
}

static int
connect_peers(struct sim_node *node)
{
	struct engine *engine = &node->engine;
	const double *rates = node->simulation->options.peer_rates;
	for (uint32_t i = 0; rates != NULL && i < engine->device_count * engine->device_count; i++)
		if (i / engine->device_count != i % engine->device_count &&
		    sim_set_peer_rate(engine->devices[i / engine->device_count].device,
				      engine->devices[i % engine->device_count].device,
				      (uint64_t)rates[i]) != 0)
			return -1;
	return view_peers(engine);
}

static int
open_policy(struct sim_node *node)
{
	const struct simulation_options *options = &node->simulation->options;
	struct policy_options host = { .node = &node->engine.view,
				       .folder = options->policy_folder,
				       .replaced = policy_replaced,
				       .context = node };
	node->engine.policy = policy_host_new(&host);
	if (node->engine.policy == NULL)
		return -1;
	return policy_load(node->engine.policy, options->policy_name, options->policy_source,
			   options->policy_source_bytes, options->policy_config);
}

static int
open_node(struct simulation *simulation, uint32_t index)
{
	struct sim_node *node = &simulation->nodes[index];
	node->simulation = simulation;
	make_config(node, index);
	engine_create(&node->engine, &node->config);
	node->client.engine = &node->engine;
	list_create(&node->client.requests);
	mailbox_create(&node->engine.completions, wake, node);
	simulation->node_count++;
	node->running = calloc(node->config.device_count, sizeof(*node->running));
	node->counts = calloc(node->config.device_count, sizeof(*node->counts));
	if (node->running == NULL || node->counts == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "node %u: no memory", index);
	if (engine_open_devices(&node->engine) != 0 || connect_peers(node) != 0 ||
	    open_policy(node) != 0)
		return error_wrap("node %u", index);
	return 0;
}

static void
close_node(struct sim_node *node)
{
	struct engine *engine = &node->engine;
	functions_destroy(engine);
	models_destroy(engine);
	if (engine->policy != NULL)
		policy_host_delete(engine->policy);
	engine_close_devices(engine);
	engine_destroy(engine);
	free(node->running);
	free(node->counts);
}

/* --- what runs where ----------------------------------------------------------------------------------------------- */

static void
end_span(struct simulation *simulation, struct running *running)
{
	running->id = 0;
	if (simulation->span_count == simulation->options.span_room)
		return;
	running->span.to_ns = (double)clock_now();
	simulation->spans[simulation->span_count++] = running->span;
}

/* A function's number, from its name. */
static uint32_t
number_of(const struct view_function *function)
{
	return (uint32_t)strtoul(function->name + 1, NULL, 10);
}

static void
begin_span(struct sim_node *node, uint32_t device, const struct job *job)
{
	struct running *running = &node->running[device];
	uint32_t source = VIEW_SOURCE_RESIDENT;
	if (job->brings)
		source = job->peer != NULL ? VIEW_SOURCE_PEER : VIEW_SOURCE_HOST;
	running->id = job->view.id;
	running->span =
		(struct simulation_span){ .node = (uint32_t)(node - node->simulation->nodes),
					  .device = device,
					  .function = number_of(job->view.function),
					  .source = source,
					  .from_ns = (double)job->started_at };
	node->counts[device].loads += source != VIEW_SOURCE_RESIDENT;
}

/* Look at which jobs have come and gone since the last look. */
static void
note_spans(struct sim_node *node)
{
	for (uint32_t i = 0; i < node->engine.device_count; i++) {
		const struct job *job = node->engine.devices[i].job;
		struct running *running = &node->running[i];
		if (running->id == (job != NULL ? job->view.id : 0))
			continue;
		if (running->id != 0)
			end_span(node->simulation, running);
		if (job != NULL)
			begin_span(node, i, job);
	}
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

static void
dispatch(struct sim_node *node)
{
	schedule_dispatch(&node->engine);
	note_spans(node);
}

/* Nodes with completions take them. */
static void
complete(struct simulation *simulation)
{
	for (struct sim_node *node; (node = simulation->woken) != NULL;) {
		simulation->woken = node->next_woken;
		node->is_woken = false;
		submit_complete(&node->engine);
		note_spans(node);
	}
}

static void
tick(struct simulation *simulation)
{
	simulation->next_tick += (uint64_t)ENGINE_TICK_MS * NS_PER_MS;
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		struct sim_node *node = &simulation->nodes[i];
		if (node->engine.view.job_count == 0)
			continue;
		engine_tick(&node->engine);
		dispatch(node);
	}
}

/* Devices and ticks up to that time. */
static void
go_on(struct simulation *simulation, uint64_t until)
{
	for (;;) {
		uint64_t next = sim_next();
		if (next > until && simulation->next_tick > until)
			break;
		if (next <= simulation->next_tick) {
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
invoke(struct function *function)
{
	static const unsigned char no_inputs[] = { 0x80 };
	struct sim_node *node = function->node;
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
	for (uint32_t i = 0; i < simulation->node_count; i++)
		jobs += simulation->nodes[i].engine.view.job_count;
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
	static char text[ERROR_TEXT_BYTES];
	snprintf(text, sizeof(text), "%s: %s", error_code_name(error_last()->code),
		 error_last()->message);
	return text;
}

static int
check(const struct simulation_options *options)
{
	if (options->nodes == 0 || options->devices == 0 || options->devices > NODE_DEVICES_MAX)
		return error_set(ERR_INVALID_ARGUMENT,
				 "simulation: %u nodes of %u devices; at most %d devices",
				 options->nodes, options->devices, NODE_DEVICES_MAX);
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
		if (open_node(simulation, i) == 0)
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
		close_node(&simulation->nodes[i]);
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
					     .run_ns = model->run_ns };
	models[simulation->model_count] = model_new_synthetic(&synthetic);
	if (models[simulation->model_count] == NULL)
		return -1;
	return (int)simulation->model_count++;
}

/* A generation that runs an instance of the model, which has parameters of its own, so a hash of its own. */
static struct generation *
make_generation(struct sim_node *node, struct model *model, const char *name)
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
	struct function *functions = realloc(simulation->functions, room * sizeof(*functions));
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
	if (simulation->function_count == simulation->function_room &&
	    grow_functions(simulation) != 0)
		return -1;
	struct sim_node *node = &simulation->nodes[function->node];
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
	simulation->functions[simulation->function_count] = (struct function){ node, entry };
	return (int)simulation->function_count++;
}

int
simulation_policy(struct simulation *simulation, const char *name, const char *source,
		  uint64_t bytes, const char *config)
{
	for (uint32_t i = 0; i < simulation->node_count; i++) {
		struct sim_node *node = &simulation->nodes[i];
		if (policy_load(node->engine.policy, name, source, bytes, config) != 0)
			return -1;
		schedule_want_dispatch(&node->engine);
		dispatch(node);
	}
	return 0;
}

/* --- results ------------------------------------------------------------------------------------------------------- */

void
simulation_counts(const struct simulation *simulation, uint32_t function,
		  struct simulation_counts *counts)
{
	const struct engine_function *entry = simulation->functions[function].entry;
	*counts = (struct simulation_counts){ .requests = entry->view.requests,
					      .in_time = entry->view.in_time,
					      .refused = (double)entry->refused,
					      .errors = (double)entry->errors,
					      .mean_ns = entry->view.mean_ns,
					      .max_ns = (double)entry->latency.max };
}

double
simulation_quantile(const struct simulation *simulation, uint32_t function, double q)
{
	return (double)histogram_quantile(&simulation->functions[function].entry->latency, q);
}

double
simulation_quantile_of_all(const struct simulation *simulation, double q)
{
	static struct histogram all;
	memset(&all, 0, sizeof(all));
	for (uint32_t i = 0; i < simulation->function_count; i++) {
		const struct histogram *one = &simulation->functions[i].entry->latency;
		all.count += one->count;
		all.max = one->max > all.max ? one->max : all.max;
		for (uint32_t k = 0; k < HISTOGRAM_BUCKETS; k++)
			all.buckets[k] += one->buckets[k];
	}
	return (double)histogram_quantile(&all, q);
}

void
simulation_device(const struct simulation *simulation, uint32_t node, uint32_t device,
		  struct simulation_device *counts)
{
	const struct engine_device *from = &simulation->nodes[node].engine.devices[device];
	*counts = simulation->nodes[node].counts[device];
	counts->busy_ns = (double)from->busy_ns;
	counts->jobs = (double)from->jobs;
}

uint64_t
simulation_spans(const struct simulation *simulation, const struct simulation_span **spans)
{
	*spans = simulation->spans;
	return simulation->span_count;
}

uint64_t
simulation_faults(const struct simulation *simulation, const char **why)
{
	*why = simulation->faults > 0 ? simulation->fault : NULL;
	return simulation->faults;
}
