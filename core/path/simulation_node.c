/* A simulated node: the engine and its policy on simulated devices. */
#include <stdio.h>
#include <stdlib.h>

#include "device/sim.h"
#include "path/devices.h"
#include "path/functions.h"
#include "path/models.h"
#include "path/schedule.h"
#include "path/simulation_parts.h"
#include "path/view.h"

/* A mailbox_wake_f. */
static void
wake(void *context)
{
	struct simulation_node *node = context;
	if (node->is_woken)
		return;
	node->is_woken = true;
	node->next_woken = node->simulation->woken;
	node->simulation->woken = node;
}

static void
policy_replaced(void *context, const char *from, const char *to, const struct error *why)
{
	struct simulation_node *node = context;
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
make_config(struct simulation_node *node, uint32_t index)
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
connect_peers(struct simulation_node *node)
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
open_policy(struct simulation_node *node)
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

int
simulation_node_open(struct simulation *simulation, uint32_t index)
{
	struct simulation_node *node = &simulation->nodes[index];
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
	if (devices_open(&node->engine) != 0 || connect_peers(node) != 0 || open_policy(node) != 0)
		return error_wrap("node %u", index);
	return 0;
}

void
simulation_node_close(struct simulation_node *node)
{
	struct engine *engine = &node->engine;
	functions_destroy(engine);
	models_destroy(engine);
	if (engine->policy != NULL)
		policy_host_delete(engine->policy);
	devices_close(engine);
	engine_destroy(engine);
	free(node->running);
	free(node->counts);
}
