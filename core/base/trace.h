/*
 * Tracing: what threads, streams and requests did and when, for a bounded time, into a buffer that holds so many events.
 * Any thread puts; the main loop starts and stops. While it is off a put costs one load of a flag, and callers ask
 * trace_is_on before they reckon out what to put.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	TRACE_EVENTS_MAX = 1 << 20,
	TRACE_TEXT_BYTES = 96,
};

enum trace_kind {
	/* From … to on a track; spans of one track nest. */
	TRACE_SPAN,
	/* From … to beside others on the track, told apart by `value`. */
	TRACE_ASYNC,
	/* Something at `from`. */
	TRACE_INSTANT,
	/* `value` was so much from then on. */
	TRACE_COUNTER,
};

struct trace_event {
	enum trace_kind kind;
	/* From trace_track; from trace_name, the second one a detail, 0 for none. */
	uint32_t track;
	uint32_t name;
	uint32_t detail;
	/* Which group, say; and bytes, an identity or a level. */
	uint32_t index;
	uint64_t value;
	/* ns of clock_now. */
	uint64_t from;
	uint64_t to;
};

/* Texts that outlive all traces; a number for each, from 1. 0 when there is no room for more. Any thread. */
uint32_t
trace_name(const char *text);

/* A row of the picture: "device 0: host 0" has one called "copy-in". As trace_name. */
uint32_t
trace_track(const char *owner, const char *row);

/* The calling thread's own row, for what does not know where it runs; 0 until it is set. */
void
trace_set_thread_track(uint32_t track);
uint32_t
trace_thread_track(void);

bool
trace_is_on(void);

/* Note the event; dropped when the trace is off or full. Any thread, without a lock. */
void
trace_put(const struct trace_event *event);

/* FAILED_PRECONDITION when it is on already, RESOURCE_EXHAUSTED. room: at most TRACE_EVENTS_MAX. Main loop. */
int
trace_start(uint32_t room);

/* What was put, good until the next start. Waits for puts under way, some ns. Main loop. */
struct trace_result {
	const struct trace_event *events;
	uint32_t count;
	/* Events that there was no room for. */
	uint64_t dropped;
};
struct trace_result
trace_stop(void);

/* Give the events' memory back. */
void
trace_free(void);

/* Owner and row of a track, text of a name; NULL when there is none of that number. */
const char *
trace_track_owner(uint32_t track);
const char *
trace_track_row(uint32_t track);
const char *
trace_text(uint32_t name);
uint32_t
trace_track_count(void);
uint32_t
trace_name_count(void);
