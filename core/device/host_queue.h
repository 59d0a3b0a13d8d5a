/*
 * The commands of a host stream on their way from the putting thread to the stream's own. One putter, one taker; no lock.
 * Segments of commands are linked, and a spent one is handed back for the next, so a put neither blocks nor, once the
 * queue has seen its usual depth, allocates. Putting wakes the taker only when it sleeps: a wake costs 20 to 50 us.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

struct host_event;
struct host_link;

enum {
	HOST_SEGMENT_COMMANDS = 128,
	/* What the two sides write is kept this many bytes apart. */
	HOST_CACHE_LINE = 64,
};

enum host_verb {
	HOST_COPY,
	HOST_LAUNCH,
	HOST_RECORD,
	HOST_WAIT,
	HOST_NOTIFY,
};

struct host_copy {
	void *to;
	const void *from;
	size_t bytes;
	/* NULL: as fast as memory copies. */
	struct host_link *link;
	/* When it was put, for links only. */
	uint64_t put_ns;
};

/* A record or wait: the event, and the count of records that is meant. */
struct host_mark {
	struct host_event *event;
	uint32_t count;
};

struct host_notify {
	stream_done_f *done;
	void *context;
};

struct host_command {
	enum host_verb verb;
	/* stream_label's, for traces. */
	uint32_t label;
	uint32_t label_part;
	union {
		struct host_copy copy;
		struct host_mark mark;
		struct device_launch launch;
		struct host_notify notify;
	} as;
};

struct host_segment {
	struct host_segment *next;
	struct host_command commands[HOST_SEGMENT_COMMANDS];
};

struct host_queue {
	/* The putter's: the segment it fills, how far, and commands published. */
	alignas(HOST_CACHE_LINE) struct host_segment *last;
	uint32_t filled;
	_Atomic uint64_t put;
	/* The taker's: the segment it empties, how far, and commands done with. */
	alignas(HOST_CACHE_LINE) struct host_segment *first;
	uint32_t emptied;
	uint64_t taken;
	_Atomic uint64_t done;
	/* Both: a spent segment on its way back, and whether the taker sleeps or is to end. */
	alignas(HOST_CACHE_LINE) _Atomic(struct host_segment *) spare;
	_Atomic uint32_t asleep;
	atomic_bool closed;
};

/* -1 with RESOURCE_EXHAUSTED. */
int
host_queue_create(struct host_queue *queue);

/* Both threads have let go of it. */
void
host_queue_destroy(struct host_queue *queue);

/* Putter: the next command to fill in; NULL with RESOURCE_EXHAUSTED. Nothing has happened until host_queue_put. */
struct host_command *
host_queue_slot(struct host_queue *queue);

/* Putter: publish the slot. */
void
host_queue_put(struct host_queue *queue);

/* Putter: true when every command put has been done with; what they wrote can be seen. */
bool
host_queue_is_idle(struct host_queue *queue);

/* Putter: let the taker end once it has taken everything. */
void
host_queue_close(struct host_queue *queue);

/* Taker: done with the last command, which stays in place; else the next host_queue_take says so. */
void
host_queue_finish(struct host_queue *queue);

/*
 * Taker: done with the last command; the next one, which stays in place until the next call. Looks for it for spin_ns
 * before it sleeps. NULL when the queue is closed and empty.
 */
struct host_command *
host_queue_take(struct host_queue *queue, uint64_t spin_ns);
