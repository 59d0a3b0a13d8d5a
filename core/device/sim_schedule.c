/*
 * Which stream goes on next: a binary heap of streams by time and, at the same time, in the order in which they were
 * scheduled.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "device/sim_parts.h"

static struct {
	struct sim_stream **heap;
	uint32_t count;
	uint32_t room;
	/* Streams that there are. */
	uint32_t streams;
	uint64_t turns;
} schedule;

int
sim_schedule_join(void)
{
	if (schedule.streams == schedule.room) {
		uint32_t room = schedule.room == 0 ? 16 : schedule.room * 2;
		struct sim_stream **heap =
			realloc(schedule.heap, room * sizeof(struct sim_stream *));
		if (heap == NULL)
			return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %u streams", room);
		schedule.heap = heap;
		schedule.room = room;
	}
	schedule.streams++;
	return 0;
}

void
sim_schedule_leave(void)
{
	if (--schedule.streams > 0)
		return;
	free(schedule.heap);
	schedule.heap = NULL;
	schedule.room = 0;
	schedule.turns = 0;
}

static bool
is_before(const struct sim_stream *left, const struct sim_stream *right)
{
	return left->at != right->at ? left->at < right->at : left->turn < right->turn;
}

static void
set(uint32_t place, struct sim_stream *stream)
{
	schedule.heap[place] = stream;
	stream->place = place;
}

static void
rise(struct sim_stream *stream)
{
	uint32_t place = stream->place;
	while (place > 0 && is_before(stream, schedule.heap[(place - 1) / 2])) {
		set(place, schedule.heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	set(place, stream);
}

static void
sink(struct sim_stream *stream)
{
	uint32_t place = stream->place;
	for (uint32_t child; (child = 2 * place + 1) < schedule.count; place = child) {
		struct sim_stream **heap = schedule.heap;
		if (child + 1 < schedule.count && is_before(heap[child + 1], heap[child]))
			child++;
		if (!is_before(heap[child], stream))
			break;
		set(place, heap[child]);
	}
	set(place, stream);
}

void
sim_schedule(struct sim_stream *stream, uint64_t at)
{
	stream->at = at;
	stream->turn = ++schedule.turns;
	if (stream->place == SIM_NOT_SCHEDULED)
		set(schedule.count++, stream);
	rise(stream);
	sink(stream);
}

void
sim_unschedule(struct sim_stream *stream)
{
	uint32_t place = stream->place;
	if (place == SIM_NOT_SCHEDULED)
		return;
	stream->place = SIM_NOT_SCHEDULED;
	struct sim_stream *last = schedule.heap[--schedule.count];
	if (last == stream)
		return;
	set(place, last);
	rise(last);
	sink(last);
}

uint64_t
sim_next(void)
{
	return schedule.count == 0 ? UINT64_MAX : schedule.heap[0]->at;
}

bool
sim_step(void)
{
	if (schedule.count == 0)
		return false;
	struct sim_stream *stream = schedule.heap[0];
	sim_unschedule(stream);
	clock_advance(stream->at);
	sim_stream_go_on(stream);
	return true;
}

void
sim_run_until(uint64_t time)
{
	while (sim_next() <= time)
		sim_step();
	clock_advance(time);
}
