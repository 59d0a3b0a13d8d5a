#include "device/host_link.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/list.h"
#include "device/device.h"
#include "device/host_copy.h"
#include "device/host_wait.h"

enum {
	NS_PER_S = 1000000000,
	/* What a slice takes on the link, about, within these sizes. */
	SLICE_NS = 200000,
	SLICE_MIN = 64 << 10,
	SLICE_MAX = 1 << 20,
	/* How far a copy may run ahead of its link before it sleeps, ns: each sleep and wake disturbs what computes. */
	AHEAD_NS = 1000000,
};

struct host_link {
	uint64_t rate;
	size_t slice;
	/* Taken until then, ns of host_now(). */
	_Atomic uint64_t taken_until;
};

/* What devices with the same switch_id share. */
struct host_switch {
	struct list link;
	int id;
	unsigned users;
	struct host_links links;
};

static pthread_mutex_t switches_lock = PTHREAD_MUTEX_INITIALIZER;
/* Under switches_lock. */
static struct list switches = { &switches, &switches };

/* --- one link ---------------------------------------------------------------------------------------------------- */

static size_t
slice_of(uint64_t rate)
{
	uint64_t bytes = rate / (NS_PER_S / SLICE_NS) & ~(uint64_t)(SLICE_MIN - 1);
	if (bytes < SLICE_MIN)
		return SLICE_MIN;
	return bytes > SLICE_MAX ? SLICE_MAX : (size_t)bytes;
}

struct host_link *
host_link_new(uint64_t rate)
{
	struct host_link *link = malloc(sizeof(*link));
	if (link == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a link");
		return NULL;
	}
	link->rate = rate;
	link->slice = slice_of(rate);
	atomic_init(&link->taken_until, 0);
	return link;
}

void
host_link_delete(struct host_link *link)
{
	free(link);
}

/* Take the link for bytes, from ready or when it is free, whichever is later; returns until when. */
static uint64_t
take(struct host_link *link, uint64_t ready, size_t bytes)
{
	uint64_t ns = ((uint64_t)bytes * NS_PER_S + link->rate / 2) / link->rate;
	uint64_t old = atomic_load(&link->taken_until);
	uint64_t until;
	do {
		until = (old > ready ? old : ready) + ns;
	} while (!atomic_compare_exchange_weak(&link->taken_until, &old, until));
	return until;
}

uint64_t
host_link_copy(struct host_link *link, uint64_t ready, void *to, const void *from, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		size_t slice = bytes - at < link->slice ? bytes - at : link->slice;
		ready = take(link, ready, slice);
		host_copy((char *)to + at, (const char *)from + at, slice);
		if (ready > host_now() + AHEAD_NS)
			host_sleep_until(ready - AHEAD_NS / 2);
		at += slice;
	}
	return ready;
}

/* --- the links of a device --------------------------------------------------------------------------------------- */

static int
links_create(struct host_links *links, uint64_t rate)
{
	links->in = host_link_new(rate);
	links->out = host_link_new(rate);
	if (links->in != NULL && links->out != NULL)
		return 0;
	host_link_delete(links->in);
	host_link_delete(links->out);
	*links = (struct host_links){ 0 };
	return -1;
}

static void
links_destroy(struct host_links *links)
{
	host_link_delete(links->in);
	host_link_delete(links->out);
	*links = (struct host_links){ 0 };
}

static struct host_switch *
find_switch(int id)
{
	list_each(it, &switches) {
		struct host_switch *found = list_entry(it, struct host_switch, link);
		if (found->id == id)
			return found;
	}
	return NULL;
}

static struct host_switch *
add_switch(int id, uint64_t rate)
{
	struct host_switch *added = calloc(1, sizeof(*added));
	if (added == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for switch %d", id);
		return NULL;
	}
	if (links_create(&added->links, rate) != 0) {
		free(added);
		return NULL;
	}
	added->id = id;
	list_push_back(&switches, &added->link);
	return added;
}

static int
join_switch(struct host_links *links, uint64_t rate, int id)
{
	struct host_switch *found = find_switch(id);
	if (found == NULL)
		found = add_switch(id, rate);
	if (found == NULL)
		return -1;
	if (found->links.in->rate != rate)
		return error_set(
			ERR_INVALID_ARGUMENT, "link_rate %llu: switch %d has %llu bytes/s already",
			(unsigned long long)rate, id, (unsigned long long)found->links.in->rate);
	found->users++;
	*links = found->links;
	return 0;
}

int
host_links_open(struct host_links *links, uint64_t rate, int switch_id)
{
	*links = (struct host_links){ 0 };
	if (rate == 0)
		return 0;
	if (switch_id == DEVICE_NO_SWITCH)
		return links_create(links, rate);
	pthread_mutex_lock(&switches_lock);
	int result = join_switch(links, rate, switch_id);
	pthread_mutex_unlock(&switches_lock);
	return result;
}

static void
leave_switch(int id)
{
	struct host_switch *found = find_switch(id);
	if (found == NULL || --found->users > 0)
		return;
	list_remove(&found->link);
	links_destroy(&found->links);
	free(found);
}

void
host_links_close(struct host_links *links, int switch_id)
{
	if (links->in == NULL)
		return;
	if (switch_id == DEVICE_NO_SWITCH) {
		links_destroy(links);
		return;
	}
	pthread_mutex_lock(&switches_lock);
	leave_switch(switch_id);
	pthread_mutex_unlock(&switches_lock);
	*links = (struct host_links){ 0 };
}
