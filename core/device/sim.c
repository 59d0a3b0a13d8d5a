/*
 * The simulated device: memory that is address space alone, and where its links lead.
 */
#include "device/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "device/sim_parts.h"

enum {
	RESERVE_ALIGNMENT = 2 << 20,
	HOST_ALIGNMENT = 64,
};

/* Memory taken by device_reserve. */
struct reservation {
	struct list of_device;
	/* What is mapped; base is aligned in it. */
	void *mapped;
	void *base;
	size_t bytes;
};

/* --- memory ------------------------------------------------------------------------------------------------------- */

static int
sim_reserve(struct device *base, size_t bytes, void **address)
{
	struct sim_device *device = (struct sim_device *)base;
	uint64_t left = base->properties.memory_bytes - device->reserved;
	if (bytes > left)
		return error_set(ERR_RESOURCE_EXHAUSTED,
				 "%s: %zu bytes asked for, %llu of memory_bytes are left",
				 base->properties.name, bytes, (unsigned long long)left);
	struct reservation *reservation = malloc(sizeof(*reservation));
	if (reservation == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", base->properties.name);
	reservation->mapped = mmap(NULL, bytes + RESERVE_ALIGNMENT, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reservation->mapped == MAP_FAILED) {
		free(reservation);
		return error_set_errno("%s: %zu bytes of address space", base->properties.name,
				       bytes);
	}
	uintptr_t aligned = (uintptr_t)reservation->mapped + RESERVE_ALIGNMENT - 1;
	reservation->base = (void *)(aligned & ~(uintptr_t)(RESERVE_ALIGNMENT - 1));
	reservation->bytes = bytes;
	device->reserved += bytes;
	list_push_back(&device->reservations, &reservation->of_device);
	*address = reservation->base;
	return 0;
}

static void
sim_release(struct device *base, void *address)
{
	struct sim_device *device = (struct sim_device *)base;
	list_each_safe(it, &device->reservations) {
		struct reservation *reservation = list_entry(it, struct reservation, of_device);
		if (reservation->base != address)
			continue;
		list_remove(it);
		device->reserved -= reservation->bytes;
		munmap(reservation->mapped, reservation->bytes + RESERVE_ALIGNMENT);
		free(reservation);
		return;
	}
}

static void *
sim_host_alloc(struct device *device, size_t bytes)
{
	size_t rounded = (bytes + HOST_ALIGNMENT - 1) / HOST_ALIGNMENT * HOST_ALIGNMENT;
	void *memory = aligned_alloc(HOST_ALIGNMENT, rounded);
	if (memory == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: %zu bytes of host memory",
			  device->properties.name, bytes);
	return memory;
}

static void
sim_host_free(struct device *device, void *memory)
{
	free(memory);
}

static const struct memory_ops sim_memory_ops = {
	.reserve = sim_reserve,
	.release = sim_release,
	.host_alloc = sim_host_alloc,
	.host_free = sim_host_free,
	.host_register = generic_host_register,
	.host_unregister = generic_host_unregister,
};

/* --- the device --------------------------------------------------------------------------------------------------- */

static bool
sim_has_peer(const struct device *to, const struct device *from)
{
	const struct sim_link *link = sim_peer_link((struct sim_device *)(uintptr_t)to, from);
	return link != NULL && link->rate > 0;
}

static uint64_t
sim_peer_rate(const struct device *to, const struct device *from)
{
	const struct sim_link *link = sim_peer_link((struct sim_device *)(uintptr_t)to, from);
	return link == NULL ? 0 : (uint64_t)link->rate;
}

static void
free_peers(struct sim_device *device)
{
	while (!list_is_empty(&device->peers))
		free(list_entry(list_pop_front(&device->peers), struct sim_peer, of_device));
}

static void
sim_close(struct device *base)
{
	struct sim_device *device = (struct sim_device *)base;
	while (!list_is_empty(&device->reservations))
		sim_release(
			base,
			list_entry(device->reservations.next, struct reservation, of_device)->base);
	free_peers(device);
	sim_switch_leave(device->shared);
	free(device);
}

static const struct device_ops sim_device_ops = {
	.close = sim_close,
	.has_peer = sim_has_peer,
	.peer_rate = sim_peer_rate,
	.recover = generic_recover,
	.health = generic_health,
	.stream_new = sim_stream_new,
	.event_new = sim_event_new,
};

static void
set_properties(struct device_properties *properties, const struct device_options *options)
{
	properties->index = options->index;
	snprintf(properties->name, sizeof(properties->name), "sim%d", options->index);
	properties->memory_bytes = options->memory_bytes;
	properties->threads = 1;
	properties->link_rate = options->link_rate;
	properties->peer_rate = options->peer_rate;
	properties->switch_id = options->switch_id;
}

struct device *
sim_open(const struct device_options *options)
{
	if (!clock_is_virtual()) {
		error_set(ERR_UNAVAILABLE, "device kind sim: runs in virtual time only");
		return NULL;
	}
	struct sim_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "sim%d: no memory", options->index);
		return NULL;
	}
	device_create(&device->base, DEVICE_KIND_SIM, &sim_device_ops, &sim_memory_ops,
		      &sim_stream_ops, &sim_event_ops);
	set_properties(&device->base.properties, options);
	sim_link_create(&device->in, options->link_rate);
	sim_link_create(&device->out, options->link_rate);
	list_create(&device->peers);
	list_create(&device->reservations);
	device->copy_latency_ns = options->copy_latency_ns;
	if (options->switch_id == DEVICE_NO_SWITCH)
		return &device->base;
	uint64_t rate = options->switch_rate != 0 ? options->switch_rate : options->link_rate;
	device->shared = sim_switch_join(options->switch_id, rate);
	if (device->shared != NULL)
		return &device->base;
	free(device);
	return NULL;
}
