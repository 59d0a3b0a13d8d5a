/*
 * The cuda device's own parts, shared by its files, which make up the module tidepool-cuda.so. One primary context a GPU;
 * streams and events are CUDA's. Errors that a CUDA context does not recover from make the device lost.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <pthread.h>

#include "base/list.h"
#include "device/driver.h"

enum { CUDA_PCI_ID_BYTES = 32 };

struct cuda_device {
	struct device base;
	int index;
	char pci_id[CUDA_PCI_ID_BYTES];
	/* An event that is never recorded: asking for it shows what the context suffers from. */
	cudaEvent_t pulse;
	/* Devices that this one's context has been given access to, a bit each; GPUs from 64 on copy without. */
	_Atomic uint64_t peers;
	/* cuda_resets when they were. */
	_Atomic uint32_t resets_seen;
	/* Guards what follows. */
	pthread_mutex_t lock;
	/* Of struct cuda_reservation, and their sum. */
	struct list reservations;
	uint64_t reserved;
	/* Of struct cuda_notify: under way, and not in use. A lost context calls nobody back, so this is kept here. */
	struct list notifies;
	struct list spare_notifies;
	/* Why the device was lost; valid once base.lost is set. */
	struct error loss;
};

extern const struct memory_ops cuda_memory_ops;
extern const struct stream_ops cuda_stream_ops;
extern const struct event_ops cuda_event_ops;

struct device_stream *
cuda_stream_new(struct device *device, enum stream_kind kind);

struct device_event *
cuda_event_new(struct device *device);

/* Give back what device_reserve took and nobody released. */
void
cuda_memory_release_all(struct cuda_device *device);

/* Free the notifies that are not in use; all are. */
void
cuda_notifies_free(struct cuda_device *device);

/*
 * 0 for cudaSuccess; else -1 with the error set: RESOURCE_EXHAUSTED for want of memory, UNAVAILABLE when the device is
 * lost by it, INTERNAL otherwise. what names the call.
 */
int
cuda_check(struct cuda_device *device, cudaError_t status, const char *what);

/* Is it one of those that a context does not recover from? */
bool
cuda_is_fatal(cudaError_t status);

/* Make the device the calling thread's. -1 when it is lost. */
int
cuda_enter(struct cuda_device *device);

/* Tell everybody whose notify is under way that the device is lost. */
void
cuda_fail_notifies(struct cuda_device *device);

/* A device was opened with these: what holds for all is the first's, and one that asks for another precision or layout is warned of. */
void
cuda_share(const struct device_options *options);

/* The context of that GPU was reset. */
void
cuda_count_reset(int index);

/* Index of the GPU that was opened first; 0 before any was. Any thread. */
int
cuda_first_index(void);

/* What the first device that was opened said of these: see struct device_options. Any thread. */
enum device_math
cuda_math(void);
enum device_layout
cuda_layout(void);
bool
cuda_times_plans(void);
const char *
cuda_plans_folder(void);

/* How many contexts were reset, of any GPU. Any thread. */
uint32_t
cuda_resets(void);

/* Counts the resets of the GPU that was opened first: handles and plans of another count went with its context. Any thread. */
uint32_t
cuda_epoch(void);

/* Let device reach peer's memory, once. */
int
cuda_connect(struct cuda_device *device, const struct cuda_device *peer);
