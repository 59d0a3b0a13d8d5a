/* What ran where in a simulation, and when. */
#include <stdlib.h>

#include "base/clock.h"
#include "path/job.h"
#include "path/simulation_parts.h"

static void
end_span(struct simulation *simulation, struct simulation_running *running)
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
begin_span(struct simulation_node *node, uint32_t device, const struct job *job)
{
	struct simulation_running *running = &node->running[device];
	uint32_t source = VIEW_SOURCE_RESIDENT;
	if (job->brings)
		source = job->peer != NULL ? VIEW_SOURCE_PEER : VIEW_SOURCE_HOST;
	running->id = job->view.id;
	running->span =
		(struct simulation_span){ .node = (uint32_t)(node - node->simulation->nodes),
					  .device = device,
					  .function = number_of(job->view.function),
					  .source = source,
					  .arrived_ns = job->view.arrived_at,
					  .from_ns = (double)job->started_at };
	node->counts[device].loads += source != VIEW_SOURCE_RESIDENT;
}

void
simulation_note_spans(struct simulation_node *node)
{
	for (uint32_t i = 0; i < node->engine.device_count; i++) {
		const struct job *job = node->engine.devices[i].job;
		struct simulation_running *running = &node->running[i];
		if (running->id == (job != NULL ? job->view.id : 0))
			continue;
		if (running->id != 0)
			end_span(node->simulation, running);
		if (job != NULL)
			begin_span(node, i, job);
	}
}

uint64_t
simulation_spans(const struct simulation *simulation, const struct simulation_span **spans)
{
	*spans = simulation->spans;
	return simulation->span_count;
}
