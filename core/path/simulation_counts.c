/* What became of a simulation's requests, and how busy its devices were. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path/simulation_parts.h"
#include "path/view.h"

void
simulation_counts(const struct simulation *simulation, uint32_t function,
		  struct simulation_counts *counts)
{
	const struct engine_function *entry = simulation->functions[function].entry;
	*counts = (struct simulation_counts){ .requests = entry->view.requests,
					      .in_time = entry->view.in_time,
					      .refused = entry->view.refused,
					      .errors = (double)entry->errors,
					      .batched = (double)entry->joined,
					      .batches = (double)entry->joints,
					      .mean_ns = entry->view.mean_ns,
					      .max_ns = (double)entry->latency.max };
}

double
simulation_quantile(const struct simulation *simulation, uint32_t function, double q)
{
	return (double)histogram_quantile(&simulation->functions[function].entry->latency, q);
}

struct histogram *
simulation_add_latencies(const struct simulation *simulation, struct histogram *onto)
{
	if (onto == NULL && (onto = calloc(1, sizeof(*onto))) == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "simulation: no memory");
		return NULL;
	}
	for (uint32_t i = 0; i < simulation->function_count; i++) {
		const struct histogram *one = &simulation->functions[i].entry->latency;
		onto->count += one->count;
		onto->max = one->max > onto->max ? one->max : onto->max;
		for (uint32_t k = 0; k < HISTOGRAM_BUCKETS; k++)
			onto->buckets[k] += one->buckets[k];
	}
	return onto;
}

double
simulation_quantile_of(const struct histogram *latencies, double q)
{
	return (double)histogram_quantile(latencies, q);
}

void
simulation_device(const struct simulation *simulation, uint32_t node, uint32_t device,
		  struct simulation_device *counts)
{
	const struct engine_device *from = &simulation->nodes[node].engine.devices[device];
	*counts = simulation->nodes[node].counts[device];
	counts->busy_ns = from->view.busy_ns;
	counts->jobs = (double)from->jobs;
}

uint64_t
simulation_faults(const struct simulation *simulation, const char **why)
{
	*why = simulation->faults > 0 ? simulation->fault : NULL;
	return simulation->faults;
}

static void
forget_function(struct engine_function *entry)
{
	entry->view.requests = entry->view.in_time = entry->view.mean_ns = 0;
	entry->view.refused = 0;
	entry->view.p50_ns = entry->view.p98_ns = entry->view.p99_ns = 0;
	entry->errors = 0;
	entry->joints = entry->joined = 0;
	memset(&entry->latency, 0, sizeof(entry->latency));
}

static void
forget_devices(struct simulation_node *node)
{
	for (uint32_t i = 0; i < node->engine.device_count; i++) {
		struct engine_device *device = &node->engine.devices[i];
		view_device_reckon(device, clock_now());
		device->view.busy_ns = device->view.copying_ns = device->view.idle_ns = 0;
		device->jobs = 0;
		node->counts[i] = (struct simulation_device){ 0 };
	}
}

void
simulation_forget(struct simulation *simulation)
{
	for (uint32_t i = 0; i < simulation->function_count; i++)
		forget_function(simulation->functions[i].entry);
	for (uint32_t i = 0; i < simulation->node_count; i++)
		forget_devices(&simulation->nodes[i]);
	simulation->span_count = 0;
}
