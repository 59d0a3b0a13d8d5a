#include <stdlib.h>

#include "device/host.h"
#include "device/host_wait.h"

/* Guards the failures of all events; they are rare. */
static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;

/* --- making and deleting ----------------------------------------------------------------------------------------- */

static struct host_event *
take_free(struct host_device *device)
{
	pthread_mutex_lock(&device->lock);
	struct host_event *event = device->free_events;
	if (event != NULL)
		device->free_events = event->next_free;
	pthread_mutex_unlock(&device->lock);
	return event;
}

struct device_event *
host_event_new(struct device *base)
{
	struct host_device *device = (struct host_device *)base;
	struct host_event *event = take_free(device);
	if (event == NULL)
		event = calloc(1, sizeof(*event));
	if (event == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory for an event",
			  device->base.properties.name);
		return NULL;
	}
	event->home = device;
	return &event->base;
}

/* Replace what went wrong; error NULL: nothing did. */
static void
set_failure(struct host_event *event, const struct error *error)
{
	if (error == NULL && atomic_load_explicit(&event->failure, memory_order_relaxed) == NULL)
		return;
	/* Shown instead of the error when there is no memory for it. */
	static struct error unknown = { .code = ERR_RESOURCE_EXHAUSTED,
					.message = "no memory to say what went wrong" };
	struct error *next = NULL;
	if (error != NULL) {
		next = malloc(sizeof(*next));
		if (next != NULL)
			*next = *error;
		else
			next = &unknown;
	}
	pthread_mutex_lock(&failure_lock);
	struct error *old = atomic_exchange(&event->failure, next);
	if (old != &unknown)
		free(old);
	pthread_mutex_unlock(&failure_lock);
}

static void
host_event_delete(struct device_event *base)
{
	struct host_event *event = (struct host_event *)base;
	struct host_device *device = event->home;
	set_failure(event, NULL);
	pthread_mutex_lock(&device->lock);
	event->next_free = device->free_events;
	device->free_events = event;
	pthread_mutex_unlock(&device->lock);
}

void
host_events_free(struct host_device *device)
{
	for (struct host_event *next, *event = device->free_events; event != NULL; event = next) {
		next = event->next_free;
		free(event);
	}
	device->free_events = NULL;
}

/* --- reaching and waiting ---------------------------------------------------------------------------------------- */

uint32_t
host_event_target(struct host_event *event)
{
	return atomic_load(&event->recorded);
}

/* Counts wrap. */
bool
host_event_is_reached(struct host_event *event, uint32_t count)
{
	return (int32_t)(atomic_load(&event->reached) - count) >= 0;
}

static int
host_event_query(struct device_event *base)
{
	struct host_event *event = (struct host_event *)base;
	return host_event_is_reached(event, host_event_target(event));
}

void
host_event_reach(struct host_event *event, uint32_t count, const struct error *error)
{
	set_failure(event, error);
	atomic_store(&event->reached, count);
	if (atomic_load(&event->waiters) > 0)
		host_wake(&event->reached);
}

static void
sleep_until_reached(struct host_event *event, uint32_t count)
{
	atomic_fetch_add(&event->waiters, 1);
	for (;;) {
		uint32_t seen = atomic_load(&event->reached);
		if ((int32_t)(seen - count) >= 0)
			break;
		host_sleep(&event->reached, seen);
	}
	atomic_fetch_sub(&event->waiters, 1);
}

/* True when there is a failure; copies it. */
static bool
copy_failure(struct host_event *event, struct error *error)
{
	if (atomic_load(&event->failure) == NULL)
		return false;
	pthread_mutex_lock(&failure_lock);
	const struct error *failure = atomic_load(&event->failure);
	if (failure != NULL)
		*error = *failure;
	pthread_mutex_unlock(&failure_lock);
	return failure != NULL;
}

bool
host_event_wait(struct host_event *event, uint32_t count, uint64_t spin_ns, struct error *error)
{
	uint64_t end = 0;
	while (!host_event_is_reached(event, count) && host_spin(&end, spin_ns))
		;
	if (!host_event_is_reached(event, count))
		sleep_until_reached(event, count);
	return copy_failure(event, error);
}

const struct event_ops host_event_ops = {
	.delete = host_event_delete,
	.query = host_event_query,
};
