/*
 * The host device's own parts, shared by its files: memory is mapped, a stream is a thread, an event is a counter.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "device/driver.h"
#include "device/host_core.h"
#include "device/host_link.h"
#include "device/host_queue.h"

struct host_device {
	struct device base;
	/* How long streams look for work before they sleep. */
	uint32_t spin_ns;
	/* Emulated rate of compute, floating-point operations a second; 0: none. */
	uint64_t compute_rate;
	struct host_core core;
	struct host_links links;
	/* Copies from peers arrive over this; NULL when they are not connected. */
	struct host_link *peer_link;
	/* Guards what follows. */
	pthread_mutex_t lock;
	/* Of struct host_reservation, and their sum. */
	struct list reservations;
	uint64_t reserved;
	/* Deleted events, for the next event_new. They are freed with the device only: a stream that has just reached an
	 * event may still look for its waiters when another thread deletes it. */
	struct host_event *free_events;
};

struct host_event {
	struct device_event base;
	struct host_device *home;
	struct host_event *next_free;
	/* Records put and records reached so far, modulo 2^32. */
	_Atomic uint32_t recorded;
	_Atomic uint32_t reached;
	/* Streams that sleep on reached. */
	_Atomic uint32_t waiters;
	/* What had gone wrong before the last record, NULL when nothing; read and written under failure_lock. */
	_Atomic(struct error *) failure;
};

struct host_stream {
	struct device_stream base;
	struct host_device *device;
	struct host_queue queue;
	pthread_t thread;
	/* The cores that it may run on. */
	cpu_set_t allowed;
	/* Its row in traces. */
	uint32_t track;
	/* The stream's own thread, or run_now while nothing is put: the first error since the last notify. */
	bool failed;
	struct error error;
	/* The stream's own thread: when the last copy is across its link, and all work before it done. */
	uint64_t clock;
	/* When work that takes emulated time is done; 0 before the first. */
	uint64_t emulated;
};

extern const struct stream_ops host_stream_ops;
extern const struct event_ops host_event_ops;

struct device_stream *
host_stream_new(struct device *device, enum stream_kind kind);

struct device_event *
host_event_new(struct device *device);

/* Free the events that were deleted; all are. */
void
host_events_free(struct host_device *device);

/* The count that event has when all records put so far are reached. */
uint32_t
host_event_target(struct host_event *event);

bool
host_event_is_reached(struct host_event *event, uint32_t count);

/* The stream's thread: count one record as reached and wake who waits. error: NULL, or what went wrong before it. */
void
host_event_reach(struct host_event *event, uint32_t count, const struct error *error);

/*
 * Wait until count records of event are reached. True when something had gone wrong before that; *error says what then.
 */
bool
host_event_wait(struct host_event *event, uint32_t count, uint64_t spin_ns, struct error *error);
