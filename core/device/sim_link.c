/*
 * Links, shared max-min fairly by the copies that flow over them: progressive filling (Bertsekas and Gallager, Data
 * Networks, 6.5.2). Only the flows that the change can reach through common links are looked at.
 */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "device/sim_parts.h"

static const double NS_PER_S = 1e9;

static struct list switches = { &switches, &switches };

void
sim_link_create(struct sim_link *link, uint64_t rate)
{
	*link = (struct sim_link){ .rate = (double)rate };
	for (uint32_t i = 0; i < FLOW_LINKS_MAX; i++)
		list_create(&link->flows[i]);
	list_create(&link->of_component);
}

/* --- rates -------------------------------------------------------------------------------------------------------- */

static struct sim_stream *
stream_of(struct sim_flow *flow)
{
	return list_entry(flow, struct sim_stream, flow);
}

/* When the copy under way ends, if the rate stays. */
static void
predict(struct sim_flow *flow)
{
	double ns = flow->link_count == 0 ? 0 : ceil(flow->remaining / flow->rate * NS_PER_S);
	sim_schedule(stream_of(flow), flow->updated + (uint64_t)ns);
}

/* Account for what has flowed since. */
static void
progress(struct sim_flow *flow)
{
	uint64_t now = clock_now();
	flow->remaining -= flow->rate * (double)(now - flow->updated) / NS_PER_S;
	if (flow->remaining < 0)
		flow->remaining = 0;
	flow->updated = now;
}

static void
add_link(struct list *links, struct sim_link *link)
{
	if (link->is_collected)
		return;
	link->is_collected = true;
	link->left = link->rate;
	link->open = 0;
	list_push_back(links, &link->of_component);
}

/* All links that can be reached from those of `links` by flows, and those flows. */
static void
collect(struct list *links, struct list *flows)
{
	list_each(it, links) {
		struct sim_link *link = list_entry(it, struct sim_link, of_component);
		for (uint32_t i = 0; i < FLOW_LINKS_MAX; i++) {
			list_each(each, &link->flows[i]) {
				struct sim_flow *flow =
					list_entry(each, struct sim_flow, of_link[i]);
				link->open++;
				if (flow->is_open)
					continue;
				flow->is_open = true;
				list_push_back(flows, &flow->of_component);
				for (uint32_t k = 0; k < flow->link_count; k++)
					add_link(links, flow->links[k]);
			}
		}
	}
}

/* The link that gives each of its open flows least; NULL when no flow is open. */
static struct sim_link *
tightest(struct list *links)
{
	struct sim_link *found = NULL;
	list_each(it, links) {
		struct sim_link *link = list_entry(it, struct sim_link, of_component);
		if (link->open > 0 &&
		    (found == NULL || link->left / link->open < found->left / found->open))
			found = link;
	}
	return found;
}

/* The open flows of the link get `rate`, and are open no longer. */
static void
freeze(struct sim_link *link, double rate)
{
	for (uint32_t i = 0; i < FLOW_LINKS_MAX; i++) {
		list_each(each, &link->flows[i]) {
			struct sim_flow *flow = list_entry(each, struct sim_flow, of_link[i]);
			if (!flow->is_open)
				continue;
			flow->is_open = false;
			flow->next_rate = rate;
			for (uint32_t k = 0; k < flow->link_count; k++) {
				flow->links[k]->left -= rate;
				flow->links[k]->open--;
			}
		}
	}
}

/* Give every flow that shares something with `links` its fair rate; ends both lists. */
static void
share(struct list *links)
{
	struct list flows;
	list_create(&flows);
	collect(links, &flows);
	for (struct sim_link *link; (link = tightest(links)) != NULL;)
		freeze(link, link->left / link->open);
	while (!list_is_empty(links))
		list_entry(list_pop_front(links), struct sim_link, of_component)->is_collected =
			false;
	while (!list_is_empty(&flows)) {
		struct sim_flow *flow =
			list_entry(list_pop_front(&flows), struct sim_flow, of_component);
		if (flow->rate == flow->next_rate)
			continue;
		progress(flow);
		flow->rate = flow->next_rate;
		predict(flow);
	}
}

static void
share_links_of(const struct sim_flow *flow)
{
	struct list links;
	list_create(&links);
	for (uint32_t i = 0; i < flow->link_count; i++)
		add_link(&links, flow->links[i]);
	share(&links);
}

/* --- flows -------------------------------------------------------------------------------------------------------- */

static bool
has_links(const struct sim_flow *flow, const struct sim_op *copy)
{
	bool same = flow->is_active && flow->link_count == copy->copy.link_count;
	for (uint32_t i = 0; i < flow->link_count && same; i++)
		same = flow->links[i] == copy->copy.links[i];
	return same;
}

static void
take_links(struct sim_flow *flow, const struct sim_op *copy)
{
	flow->is_active = true;
	flow->rate = 0;
	flow->link_count = copy->copy.link_count;
	for (uint32_t i = 0; i < flow->link_count; i++) {
		flow->links[i] = copy->copy.links[i];
		list_push_back(&flow->links[i]->flows[i], &flow->of_link[i]);
	}
}

void
sim_flow_begin(struct sim_stream *stream, const struct sim_op *copy)
{
	struct sim_flow *flow = &stream->flow;
	bool goes_on = has_links(flow, copy);
	if (!goes_on) {
		sim_flow_end(stream);
		take_links(flow, copy);
	}
	flow->remaining = (double)copy->copy.bytes;
	flow->updated = clock_now();
	if (goes_on || flow->link_count == 0)
		predict(flow);
	else
		share_links_of(flow);
}

void
sim_flow_end(struct sim_stream *stream)
{
	struct sim_flow *flow = &stream->flow;
	if (!flow->is_active)
		return;
	flow->is_active = false;
	for (uint32_t i = 0; i < flow->link_count; i++)
		list_remove(&flow->of_link[i]);
	share_links_of(flow);
	flow->link_count = 0;
}

/* --- switches and peers ------------------------------------------------------------------------------------------- */

struct sim_switch *
sim_switch_join(int id, uint64_t rate)
{
	list_each(it, &switches) {
		struct sim_switch *found = list_entry(it, struct sim_switch, of_switches);
		if (found->id != id)
			continue;
		if (found->in.rate != (double)rate) {
			error_set(ERR_INVALID_ARGUMENT,
				  "switch_rate %llu: switch %d has %.0f bytes/s already",
				  (unsigned long long)rate, id, found->in.rate);
			return NULL;
		}
		found->users++;
		return found;
	}
	struct sim_switch *added = malloc(sizeof(*added));
	if (added == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for switch %d", id);
		return NULL;
	}
	added->id = id;
	added->users = 1;
	sim_link_create(&added->in, rate);
	sim_link_create(&added->out, rate);
	list_push_back(&switches, &added->of_switches);
	return added;
}

void
sim_switch_leave(struct sim_switch *shared)
{
	if (shared == NULL || --shared->users > 0)
		return;
	list_remove(&shared->of_switches);
	free(shared);
}

static struct sim_peer *
find_peer(const struct sim_device *to, const struct device *from)
{
	list_each(it, &to->peers) {
		struct sim_peer *peer = list_entry(it, struct sim_peer, of_device);
		if (peer->from == from)
			return peer;
	}
	return NULL;
}

static struct sim_peer *
add_peer(struct sim_device *to, const struct device *from, uint64_t rate)
{
	struct sim_peer *peer = malloc(sizeof(*peer));
	if (peer == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for a peer",
			  to->base.properties.name);
		return NULL;
	}
	peer->from = from;
	sim_link_create(&peer->link, rate);
	list_push_back(&to->peers, &peer->of_device);
	return peer;
}

struct sim_link *
sim_peer_link(struct sim_device *to, const struct device *from)
{
	struct sim_peer *peer = find_peer(to, from);
	if (peer == NULL)
		peer = add_peer(to, from, generic_peer_rate(&to->base, from));
	return peer == NULL ? NULL : &peer->link;
}

static bool
is_simulated(const struct device *device)
{
	return device->target->properties.kind == DEVICE_KIND_SIM;
}

int
sim_set_peer_rate(struct device *to, struct device *from, uint64_t rate)
{
	if (!is_simulated(to) || !is_simulated(from))
		return error_set(ERR_INVALID_ARGUMENT, "%s and %s are not both simulated",
				 to->properties.name, from->properties.name);
	struct sim_link *link = sim_peer_link((struct sim_device *)to->target, from->target);
	if (link == NULL)
		return -1;
	link->rate = (double)rate;
	return 0;
}
