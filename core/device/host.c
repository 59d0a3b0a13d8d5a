#include "device/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RESERVE_ALIGNMENT = 2 << 20,
	HOST_ALIGNMENT = 64,
	/* Long enough to catch the next put of a program, short enough for two shared cores. */
	SPIN_NS_DEFAULT = 20000,
};

/* Memory taken by device_reserve. */
struct host_reservation {
	struct list link;
	void *base;
	size_t bytes;
};

/* --- memory ------------------------------------------------------------------------------------------------------ */

static size_t
round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* Address space alone; pages come when they are touched, large ones where the kernel has them. */
static void *
map_aligned(size_t bytes)
{
	size_t room = bytes + RESERVE_ALIGNMENT;
	char *mapped = mmap(NULL, room, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	char *base = (char *)round_up((size_t)mapped, RESERVE_ALIGNMENT);
	size_t before = (size_t)(base - mapped);
	if (before > 0)
		munmap(mapped, before);
	munmap(base + bytes, room - before - bytes);
	madvise(base, bytes, MADV_HUGEPAGE);
	madvise(base, bytes, MADV_DONTDUMP);
	return base;
}

/* Count bytes against the budget. */
static int
charge(struct host_device *device, size_t bytes)
{
	uint64_t limit = device->base.properties.memory_bytes;
	pthread_mutex_lock(&device->lock);
	uint64_t left = limit - device->reserved;
	if (bytes <= left)
		device->reserved += bytes;
	pthread_mutex_unlock(&device->lock);
	if (bytes <= left)
		return 0;
	return error_set(ERR_RESOURCE_EXHAUSTED,
			 "%s: %zu bytes asked for, %llu of memory_bytes %llu are left",
			 device->base.properties.name, bytes, (unsigned long long)left,
			 (unsigned long long)limit);
}

static void
uncharge(struct host_device *device, size_t bytes)
{
	pthread_mutex_lock(&device->lock);
	device->reserved -= bytes;
	pthread_mutex_unlock(&device->lock);
}

static int
host_reserve(struct device *base, size_t asked, void **memory)
{
	struct host_device *device = (struct host_device *)base;
	size_t bytes = round_up(asked, RESERVE_ALIGNMENT);
	if (charge(device, asked > bytes ? asked : bytes) != 0)
		return -1;
	struct host_reservation *reservation = malloc(sizeof(*reservation));
	if (reservation == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a reservation");
		goto uncharge;
	}
	reservation->bytes = bytes;
	reservation->base = map_aligned(bytes);
	if (reservation->base == NULL) {
		error_set_errno("%s: cannot map %zu bytes", base->properties.name, bytes);
		goto free_reservation;
	}
	pthread_mutex_lock(&device->lock);
	list_push_back(&device->reservations, &reservation->link);
	pthread_mutex_unlock(&device->lock);
	*memory = reservation->base;
	return 0;
free_reservation:
	free(reservation);
uncharge:
	uncharge(device, bytes);
	return -1;
}

static struct host_reservation *
take_reservation(struct host_device *device, const void *memory)
{
	struct host_reservation *found = NULL;
	pthread_mutex_lock(&device->lock);
	list_each(it, &device->reservations) {
		struct host_reservation *each = list_entry(it, struct host_reservation, link);
		if (each->base == memory)
			found = each;
	}
	if (found != NULL)
		list_remove(&found->link);
	pthread_mutex_unlock(&device->lock);
	return found;
}

static void
host_release(struct device *base, void *memory)
{
	struct host_device *device = (struct host_device *)base;
	struct host_reservation *reservation = take_reservation(device, memory);
	if (reservation == NULL)
		return;
	munmap(reservation->base, reservation->bytes);
	uncharge(device, reservation->bytes);
	free(reservation);
}

static void *
host_memory_alloc(struct device *device, size_t bytes)
{
	void *memory = aligned_alloc(HOST_ALIGNMENT, round_up(bytes | 1, HOST_ALIGNMENT));
	if (memory == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "no %zu bytes of host memory", bytes);
	return memory;
}

static void
host_memory_free(struct device *device, void *memory)
{
	free(memory);
}

static const struct memory_ops host_memory_ops = {
	.reserve = host_reserve,
	.release = host_release,
	.host_alloc = host_memory_alloc,
	.host_free = host_memory_free,
	.host_register = generic_host_register,
	.host_unregister = generic_host_unregister,
};

/* --- device ------------------------------------------------------------------------------------------------------ */

static bool
host_has_peer(const struct device *device, const struct device *peer)
{
	return device->properties.peer_rate > 0 && peer->properties.peer_rate > 0;
}

static void
host_free(struct host_device *device)
{
	host_links_close(&device->links, device->base.properties.switch_id);
	host_link_delete(device->peer_link);
	host_events_free(device);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

static void
host_close(struct device *base)
{
	struct host_device *device = (struct host_device *)base;
	for (;;) {
		struct list *link = device->reservations.next;
		if (link == &device->reservations)
			break;
		host_release(base, list_entry(link, struct host_reservation, link)->base);
	}
	host_free(device);
}

static const struct device_ops host_ops = {
	.close = host_close,
	.has_peer = host_has_peer,
	.peer_rate = generic_peer_rate,
	.recover = generic_recover,
	.health = generic_health,
	.stream_new = host_stream_new,
	.event_new = host_event_new,
};

/* Half of the machine's memory: the rest is for host images and everybody else. */
static uint64_t
default_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGE_SIZE);
}

static void
fill_properties(struct device_properties *properties, const struct device_options *options)
{
	properties->index = options->index;
	snprintf(properties->name, sizeof(properties->name), "host %d", options->index);
	properties->memory_bytes = options->memory_bytes ? options->memory_bytes : default_memory();
	properties->threads =
		options->threads ? options->threads : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	properties->link_rate = options->link_rate;
	properties->peer_rate = options->peer_rate;
	properties->switch_id = options->switch_id;
	properties->runs_inline = options->compute_rate == 0;
}

static int
open_links(struct host_device *device, const struct device_options *options)
{
	if (host_links_open(&device->links, options->link_rate, options->switch_id) != 0)
		return -1;
	if (options->peer_rate == 0)
		return 0;
	device->peer_link = host_link_new(options->peer_rate);
	return device->peer_link == NULL ? -1 : 0;
}

struct device *
host_open(const struct device_options *options)
{
	struct host_device *device = calloc(1, sizeof(*device));
	if (device == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a device");
		return NULL;
	}
	device_create(&device->base, DEVICE_KIND_HOST, &host_ops, &host_memory_ops,
		      &host_stream_ops, &host_event_ops);
	fill_properties(&device->base.properties, options);
	device->compute_rate = options->compute_rate;
	device->spin_ns = options->spin_ns ? options->spin_ns : SPIN_NS_DEFAULT;
	host_core_create(&device->core);
	pthread_mutex_init(&device->lock, NULL);
	list_create(&device->reservations);
	if (open_links(device, options) != 0) {
		host_free(device);
		return NULL;
	}
	return &device->base;
}
