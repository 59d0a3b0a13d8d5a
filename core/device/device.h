/*
 * The device seam: one GPU, or what stands in for one. Everything above talks to a device through these wrappers; nobody
 * calls through a device's tables. Work is put on streams; a stream runs its work in the order in which it was put there,
 * streams run beside each other, and stream_wait is the only order between them.
 *
 * A verb returns 0, or -1 with the error set; nothing aborts on out-of-memory or a lost device. "Puts" below means: the
 * call returns before the work is done. Memory named by a put stays valid until the stream has passed it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct device;
struct device_stream;
struct device_event;

enum device_kind {
	DEVICE_KIND_HOST,
	DEVICE_KIND_CUDA,
	DEVICE_KIND_SIM,
};

/* How FP32 products and convolutions may be computed; sums are FP32 in each. */
enum device_math {
	/* Operands as they are. */
	DEVICE_MATH_FP32,
	/* Operands rounded to 10 bits of fraction; to FP16 (10 bits, less range); to BF16 (7 bits). */
	DEVICE_MATH_TF32,
	DEVICE_MATH_FP16,
	DEVICE_MATH_BF16,
};

/* How the tensors that convolutions read and write are to lie. */
enum device_layout {
	/* Channels last where the engines for such a type are on tensor cores: 16-bit floats, and FP32 unless math is FP32. */
	DEVICE_LAYOUT_AUTO,
	/* Channels second always, as models have them; channels last wherever there are kernels for it. */
	DEVICE_LAYOUT_NCHW,
	DEVICE_LAYOUT_NHWC,
};

enum {
	DEVICE_NAME_BYTES = 64,
	/* Most devices of one node. */
	DEVICE_MAX = 1024,
	/* A device with no switch named shares its link with nobody. */
	DEVICE_NO_SWITCH = -1,
};

/* What a device is opened with; zero means the default. */
struct device_options {
	/* Which GPU of the machine (cuda), or a label (host, sim). */
	int index;
	/* Budget of device memory in bytes; reserved once by the pool. */
	uint64_t memory_bytes;
	/* host: compute threads; 0: all cores. */
	unsigned threads;
	/* host, sim: emulated rate of the link to host memory, bytes/s; 0: as fast as memory copies. */
	uint64_t link_rate;
	/* host, sim: devices with the same switch share one link of link_rate; DEVICE_NO_SWITCH for none. */
	int switch_id;
	/* sim: what the devices of a switch share when that is more than link_rate, bytes/s; 0: link_rate. */
	uint64_t switch_rate;
	/* sim: what the first copy on an idle stream waits before it flows. */
	uint64_t copy_latency_ns;
	/* host, sim: rate of a copy from a peer device, bytes/s; 0: peers are not connected. */
	uint64_t peer_rate;
	/*
	 * host: emulated rate of compute, floating-point operations a second: work takes no less
	 * time than that; 0: real time.
	 */
	uint64_t compute_rate;
	/* cuda: how FP32 is computed; the first device of a process that is opened decides for all of the kind. */
	enum device_math math;
	/* cuda: how tensors lie between convolutions; the first decides. */
	enum device_layout layout;
	/* cuda: time the ways to compute a product or convolution instead of taking the libraries' first; the first decides. */
	bool time_plans;
	/* cuda: the folder where such choices are kept; NULL: nowhere. Copied; the first decides. */
	const char *plans_folder;
	/* host: how long a stream's thread looks for work before it sleeps; 0: 20 us. */
	uint32_t spin_ns;
};

struct device_properties {
	enum device_kind kind;
	int index;
	char name[DEVICE_NAME_BYTES];
	uint64_t memory_bytes;
	unsigned threads;
	/* Nominal link rate, bytes/s; 0 when not known before it is measured. */
	uint64_t link_rate;
	uint64_t peer_rate;
	int switch_id;
	/* Work may also be run by the caller's thread: stream_run_now. */
	bool runs_inline;
};

enum stream_kind {
	STREAM_COMPUTE,
	STREAM_COPY_IN,
	STREAM_COPY_OUT,
	/* Copies from peers, beside those from the host. */
	STREAM_COPY_PEER,
	/* Small work that copies wait for. */
	STREAM_WIDEN,
	/* Copies in over the device's link for a neighbour that borrows it. */
	STREAM_COPY_LENT,
};

/*
 * A piece of compute work. run is called once: by the stream's own thread when its turn comes (host), or at once by the
 * caller with the native stream, to enqueue kernels on it (cuda). work and scratch are the caller's and outlive the run.
 */
struct device_launch {
	/* Returns 0, or -1 with the error set. native: struct cuda_compute, NULL on host and sim. Must not block. */
	int (*run)(const struct device_launch *launch, void *native);
	/* Whatever run needs. */
	const void *work;
	/*
	 * What the work costs, for the simulator; and multiply-adds times two, for devices whose
	 * compute is emulated. 0: not known.
	 */
	uint64_t duration_ns;
	uint64_t flops;
	/*
	 * Launches of one key put the same work on the same addresses: a device may record it and
	 * replay. 0: run it each time.
	 */
	uint64_t key;
};

/*
 * Called when everything put on the stream before it is done; error is NULL, or the first error since the last such call
 * (work after an error is skipped up to this point; then the stream goes on). Runs on a thread of the device: may not
 * block or call into the device; post mail and return.
 */
typedef void
stream_done_f(void *context, const struct error *error);

/* --- device ----------------------------------------------------------------------------------------------------- */

/*
 * Open the index-th device of that kind. NULL: UNAVAILABLE with the reason when the kind cannot run here, NOT_FOUND when it
 * has fewer devices than that.
 */
struct device *
device_open(enum device_kind kind, const struct device_options *options);

/* All streams and events of the device must be gone. */
void
device_close(struct device *device);

/*
 * Bring a device that was lost back: its context is made anew, with the properties that it had. Its streams, events and
 * reservations must be gone, its host memory is what it was but no longer page-locked. UNAVAILABLE: it is lost still. May block
 * for seconds.
 */
int
device_recover(struct device *device);

const struct device_properties *
device_properties(const struct device *device);

/* "host", "cuda" or "sim"; and back, -1 when there is no such kind. */
const char *
device_kind_name(enum device_kind kind);
int
device_kind_from_name(const char *name);

/* "fp32", "tf32", "fp16" or "bf16"; and back, -1 when there is none such. */
const char *
device_math_name(enum device_math math);
int
device_math_from_name(const char *name);

/* "auto", "nchw", "nhwc", and back; -1: there is none of that name. */
const char *
device_layout_name(enum device_layout layout);
int
device_layout_from_name(const char *name);

/* What the module that devices of a kind are opened from exports under that name; NULL: UNAVAILABLE. Any thread. */
const void *
device_module_symbol(enum device_kind kind, const char *name);

/* True when device can copy from peer by stream_copy_peer. */
bool
device_has_peer(const struct device *device, const struct device *peer);

/* Nominal rate of a copy from peer, bytes/s; 0 when it is not known, or there is no such copy. */
uint64_t
device_peer_rate(const struct device *device, const struct device *peer);

/* Take bytes of device memory, aligned to 2 MiB. For the pool, once at start. May block. RESOURCE_EXHAUSTED. */
int
device_reserve(struct device *device, size_t bytes, void **base);
void
device_release(struct device *device, void *base);

/* Host memory that copies run from at full rate (page-locked where there is a GPU). May block. */
void *
device_host_alloc(struct device *device, size_t bytes);
void
device_host_free(struct device *device, void *memory);

/* Page-lock memory that exists (a mapped image); the generic default does nothing. May block. */
int
device_host_register(struct device *device, void *memory, size_t bytes);
void
device_host_unregister(struct device *device, void *memory);

/* 0, or -1 with UNAVAILABLE once the device is lost. Any thread. */
int
device_health(struct device *device);

/* --- stream: one putting thread at a time ------------------------------------------------------------------------ */

struct device_stream *
stream_new(struct device *device, enum stream_kind kind);

/* Waits for what was put. */
void
stream_delete(struct device_stream *stream);

int
stream_copy_in(struct device_stream *stream, void *device_to, const void *host_from, size_t bytes)
	__attribute__((warn_unused_result));
int
stream_copy_out(struct device_stream *stream, void *host_to, const void *device_from, size_t bytes)
	__attribute__((warn_unused_result));

/* Copy from another device's memory; FAILED_PRECONDITION when device_has_peer is false. */
int
stream_copy_peer(struct device_stream *stream, void *device_to, struct device *peer,
		 const void *peer_from, size_t bytes) __attribute__((warn_unused_result));

/*
 * event is reached when all that was put before is done or, after an error, skipped. An event may be recorded again once
 * it was reached and the streams that wait for it have passed it.
 */
int
stream_record(struct device_stream *stream, struct device_event *event)
	__attribute__((warn_unused_result));

/*
 * What is put after this waits until event (recorded before this call, maybe on another stream) is reached. An error of
 * that stream before the event becomes an error of this one: nothing runs on data that did not arrive.
 */
int
stream_wait(struct device_stream *stream, struct device_event *event)
	__attribute__((warn_unused_result));

/* *launch is copied; what launch->work points to must outlive the run. -1: it was not put; what the run itself meets comes
 * with the next notify, on every kind of device. */
int
stream_launch(struct device_stream *stream, const struct device_launch *launch)
	__attribute__((warn_unused_result));

/* What traces call what is put from now on, a number of trace_name; and which part of it, a group's number. */
void
stream_label(struct device_stream *stream, uint32_t name);
void
stream_label_part(struct device_stream *stream, uint32_t part);

int
stream_notify(struct device_stream *stream, stream_done_f *done, void *context)
	__attribute__((warn_unused_result));

/* Notifies of several streams that are one; the caller keeps it until done was called. */
struct stream_join {
	stream_done_f *done;
	void *context;
	/* Streams that have yet to pass; whether one of them had an error, and the first. Changed atomically. */
	uint32_t left;
	uint32_t failed;
	struct error error;
};

/*
 * Call done once, when all that was put on these streams is done: on a thread of a device, or at once by the caller when a
 * notify cannot be put. Streams that are NULL are passed over; one is not. They may be of several devices.
 */
void
stream_notify_all(struct device_stream *const *streams, uint32_t count, struct stream_join *join,
		  stream_done_f *done, void *context);

/* Run launch on the calling thread, now; only where properties say runs_inline and nothing is put on the stream. */
int
stream_run_now(struct device_stream *stream, const struct device_launch *launch)
	__attribute__((warn_unused_result));

/* A notify that is waited for: returns the first error since the last one. For tests and start-up. */
int
stream_synchronize(struct device_stream *stream) __attribute__((warn_unused_result));

/* --- event ------------------------------------------------------------------------------------------------------- */

struct device_event *
event_new(struct device *device);
void
event_delete(struct device_event *event);

/* 1 when reached (or never recorded), 0 when not yet, -1 with the error set when the device is lost. Any thread. */
int
event_query(struct device_event *event);
