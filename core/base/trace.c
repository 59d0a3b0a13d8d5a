#include "base/trace.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"

enum {
	/* Powers of two. */
	NAMES_MAX = 1 << 15,
	TABLE_ROOM = 2 * NAMES_MAX,
	TRACKS_MAX = 4096,
};

/* One text of the table. Written once, before its number is known to anybody. */
struct text {
	char text[TRACE_TEXT_BYTES];
};

struct track {
	char owner[TRACE_TEXT_BYTES];
	char row[TRACE_TEXT_BYTES];
};

/* The trace. */
static atomic_bool is_on;
static _Atomic uint32_t putting;
static _Atomic uint64_t next;
static uint32_t room;
static struct trace_event *events;

/* Names and tracks; entries stay where they are. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct text *names[NAMES_MAX + 1];
static uint32_t table[TABLE_ROOM];
static _Atomic uint32_t name_count;
static struct track *tracks[TRACKS_MAX + 1];
static _Atomic uint32_t track_count;

static _Thread_local uint32_t thread_track;

/* --- names and tracks ---------------------------------------------------------------------------------------------- */

/* Texts are cut to what an entry holds, and compared so. */
static bool
is_text(const struct text *entry, const char *text)
{
	return strncmp(entry->text, text, TRACE_TEXT_BYTES - 1) == 0;
}

/* The text's place in the table, or the free place where it would go; there always is one. Under lock. */
static uint32_t
place_of(const char *text)
{
	size_t length = strnlen(text, TRACE_TEXT_BYTES - 1);
	uint32_t at = (uint32_t)XXH3_64bits(text, length) & (TABLE_ROOM - 1);
	while (table[at] != 0 && !is_text(names[table[at]], text))
		at = (at + 1) & (TABLE_ROOM - 1);
	return at;
}

static uint32_t
add_name(const char *text, uint32_t at)
{
	uint32_t number = atomic_load(&name_count) + 1;
	struct text *entry = number > NAMES_MAX ? NULL : malloc(sizeof(*entry));
	if (entry == NULL)
		return 0;
	snprintf(entry->text, sizeof(entry->text), "%s", text);
	names[number] = entry;
	table[at] = number;
	atomic_store(&name_count, number);
	return number;
}

uint32_t
trace_name(const char *text)
{
	if (text == NULL)
		return 0;
	pthread_mutex_lock(&lock);
	uint32_t at = place_of(text);
	uint32_t number = table[at] != 0 ? table[at] : add_name(text, at);
	pthread_mutex_unlock(&lock);
	return number;
}

static uint32_t
find_track(const struct track *wanted)
{
	for (uint32_t i = 1; i <= atomic_load(&track_count); i++)
		if (strcmp(tracks[i]->owner, wanted->owner) == 0 &&
		    strcmp(tracks[i]->row, wanted->row) == 0)
			return i;
	return 0;
}

static uint32_t
add_track(const struct track *wanted)
{
	uint32_t number = atomic_load(&track_count) + 1;
	struct track *entry = number > TRACKS_MAX ? NULL : malloc(sizeof(*entry));
	if (entry == NULL)
		return 0;
	*entry = *wanted;
	tracks[number] = entry;
	atomic_store(&track_count, number);
	return number;
}

uint32_t
trace_track(const char *owner, const char *row)
{
	struct track wanted;
	snprintf(wanted.owner, sizeof(wanted.owner), "%s", owner);
	snprintf(wanted.row, sizeof(wanted.row), "%s", row);
	pthread_mutex_lock(&lock);
	uint32_t number = find_track(&wanted);
	if (number == 0)
		number = add_track(&wanted);
	pthread_mutex_unlock(&lock);
	return number;
}

void
trace_set_thread_track(uint32_t track)
{
	thread_track = track;
}

uint32_t
trace_thread_track(void)
{
	return thread_track;
}

const char *
trace_track_owner(uint32_t track)
{
	return track == 0 || track > trace_track_count() ? NULL : tracks[track]->owner;
}

const char *
trace_track_row(uint32_t track)
{
	return track == 0 || track > trace_track_count() ? NULL : tracks[track]->row;
}

const char *
trace_text(uint32_t name)
{
	return name == 0 || name > trace_name_count() ? NULL : names[name]->text;
}

uint32_t
trace_track_count(void)
{
	return atomic_load(&track_count);
}

uint32_t
trace_name_count(void)
{
	return atomic_load(&name_count);
}

/* --- the trace ----------------------------------------------------------------------------------------------------- */

bool
trace_is_on(void)
{
	return atomic_load_explicit(&is_on, memory_order_relaxed);
}

void
trace_put(const struct trace_event *event)
{
	atomic_fetch_add(&putting, 1);
	if (atomic_load(&is_on)) {
		uint64_t at = atomic_fetch_add(&next, 1);
		if (at < room)
			events[at] = *event;
	}
	atomic_fetch_sub(&putting, 1);
}

int
trace_start(uint32_t wanted)
{
	if (trace_is_on())
		return error_set(ERR_FAILED_PRECONDITION, "trace: one is under way already");
	trace_free();
	room = wanted < TRACE_EVENTS_MAX ? wanted : TRACE_EVENTS_MAX;
	events = malloc((room + 1) * sizeof(*events));
	if (events == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "trace: no memory for %u events", room);
	atomic_store(&next, 0);
	atomic_store(&is_on, true);
	return 0;
}

struct trace_result
trace_stop(void)
{
	atomic_store(&is_on, false);
	while (atomic_load(&putting) > 0)
		sched_yield();
	uint64_t put = atomic_load(&next);
	uint32_t count = put < room ? (uint32_t)put : room;
	return (struct trace_result){ events, count, put - count };
}

void
trace_free(void)
{
	free(events);
	events = NULL;
	room = 0;
}
