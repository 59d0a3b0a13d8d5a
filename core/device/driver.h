/*
 * What a kind of device implements: one table an object, and the head that each of its objects starts with. Only files
 * of core/device include this; everybody else calls the wrappers of device.h, whose comments are the contract.
 */
#pragma once

#include <stdatomic.h>

#include "device/device.h"

struct device_ops {
	void (*close)(struct device *device);
	int (*recover)(struct device *device);
	/* Asked only for two different devices of the same kind. */
	bool (*has_peer)(const struct device *device, const struct device *peer);
	/* Asked only where has_peer said yes. */
	uint64_t (*peer_rate)(const struct device *device, const struct device *peer);
	int (*health)(struct device *device);
	/* Fills in the head by device_stream_create. */
	struct device_stream *(*stream_new)(struct device *device, enum stream_kind kind);
	/* The wrapper fills in the head. */
	struct device_event *(*event_new)(struct device *device);
};

struct memory_ops {
	int (*reserve)(struct device *device, size_t bytes, void **base);
	void (*release)(struct device *device, void *base);
	void *(*host_alloc)(struct device *device, size_t bytes);
	void (*host_free)(struct device *device, void *memory);
	int (*host_register)(struct device *device, void *memory, size_t bytes);
	void (*host_unregister)(struct device *device, void *memory);
};

struct stream_ops {
	/* Wait for what was put and free the stream. */
	void (*delete)(struct device_stream *stream);
	/* Asked only for at least one byte. */
	int (*copy_in)(struct device_stream *stream, void *to, const void *from, size_t bytes);
	int (*copy_out)(struct device_stream *stream, void *to, const void *from, size_t bytes);
	/* Asked only where has_peer said yes. */
	int (*copy_peer)(struct device_stream *stream, void *to, struct device *peer,
			 const void *from, size_t bytes);
	int (*record)(struct device_stream *stream, struct device_event *event);
	int (*wait)(struct device_stream *stream, struct device_event *event);
	int (*launch)(struct device_stream *stream, const struct device_launch *launch);
	int (*notify)(struct device_stream *stream, stream_done_f *done, void *context);
	/* Asked only where the properties say runs_inline. */
	int (*run_now)(struct device_stream *stream, const struct device_launch *launch);
	/* Called by a thread that is about to wait for all that was put. */
	void (*drain)(struct device_stream *stream);
};

struct event_ops {
	void (*delete)(struct device_event *event);
	/* As event_query; the wrapper has seen that the device is not lost. */
	int (*query)(struct device_event *event);
};

/* The head of every kind's device. */
struct device {
	const struct device_ops *ops;
	const struct memory_ops *memory;
	const struct stream_ops *stream;
	const struct event_ops *event;
	struct device_properties properties;
	/* Itself, or what a decorator stands before. */
	struct device *target;
	/* Set once by the kind or a decorator: nothing comes from the device any more. Any thread. */
	atomic_bool lost;
	/* Streams and events that are not deleted yet; any thread. */
	_Atomic uint32_t children;
};

/* The head of every kind's stream. */
struct device_stream {
	const struct stream_ops *ops;
	struct device *device;
	enum stream_kind kind;
	/* Of what is put now; only the putting thread looks. */
	uint32_t label;
	uint32_t label_part;
};

/* The head of every kind's event. */
struct device_event {
	const struct event_ops *ops;
	struct device *device;
};

/* Fill in the head of a device; properties other than kind are the caller's to set. */
void
device_create(struct device *device, enum device_kind kind, const struct device_ops *ops,
	      const struct memory_ops *memory, const struct stream_ops *stream,
	      const struct event_ops *event);

/* Fill in the head of a stream. */
void
device_stream_create(struct device_stream *stream, struct device *device, enum stream_kind kind);

/* --- defaults for members of the tables ---------------------------------------------------------------------------- */

/* No two devices of the kind are connected. */
bool
generic_has_peer(const struct device *device, const struct device *peer);

/* The smaller of both devices' peer_rate. */
uint64_t
generic_peer_rate(const struct device *device, const struct device *peer);

/* A device that is never lost. */
int
generic_health(struct device *device);

/* The same: there is nothing to bring back. */
int
generic_recover(struct device *device);

/* Memory that copies take from at full rate as it is. */
int
generic_host_register(struct device *device, void *memory, size_t bytes);
void
generic_host_unregister(struct device *device, void *memory);

/* Never called while runs_inline is false; UNIMPLEMENTED. */
int
generic_run_now(struct device_stream *stream, const struct device_launch *launch);

/* Streams that go on by themselves. */
void
generic_drain(struct device_stream *stream);

/* --- openers, one a kind ------------------------------------------------------------------------------------------- */

struct device *
host_open(const struct device_options *options);
struct device *
sim_open(const struct device_options *options);

/*
 * As device_open, by the module tidepool-KIND.so: UNAVAILABLE with the loader's reason when there is none. For kinds whose
 * libraries are not on every machine.
 */
struct device *
module_open(const char *kind, const struct device_options *options);

/* What that module exports under that name. NULL: UNAVAILABLE. */
void *
module_symbol(const char *kind, const char *name);
