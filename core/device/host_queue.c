#include "device/host_queue.h"

#include <stdlib.h>

#include "device/host_wait.h"

int
host_queue_create(struct host_queue *queue)
{
	struct host_segment *segment = malloc(sizeof(*segment));
	if (segment == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a stream's queue");
	segment->next = NULL;
	queue->first = queue->last = segment;
	queue->filled = queue->emptied = 0;
	queue->taken = 0;
	atomic_init(&queue->put, 0);
	atomic_init(&queue->done, 0);
	atomic_init(&queue->spare, NULL);
	atomic_init(&queue->asleep, 0);
	atomic_init(&queue->closed, false);
	return 0;
}

void
host_queue_destroy(struct host_queue *queue)
{
	free(atomic_load(&queue->spare));
	for (struct host_segment *next, *segment = queue->first; segment != NULL; segment = next) {
		next = segment->next;
		free(segment);
	}
}

/* --- putter ------------------------------------------------------------------------------------------------------ */

static int
add_segment(struct host_queue *queue)
{
	struct host_segment *segment = atomic_exchange(&queue->spare, NULL);
	if (segment == NULL)
		segment = malloc(sizeof(*segment));
	if (segment == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %llu commands of a stream",
				 (unsigned long long)(atomic_load(&queue->put) + 1));
	segment->next = NULL;
	/* Published with the first command that is put into it. */
	queue->last->next = segment;
	queue->last = segment;
	queue->filled = 0;
	return 0;
}

struct host_command *
host_queue_slot(struct host_queue *queue)
{
	if (queue->filled == HOST_SEGMENT_COMMANDS && add_segment(queue) != 0)
		return NULL;
	return &queue->last->commands[queue->filled];
}

static void
wake_taker(struct host_queue *queue)
{
	if (atomic_load(&queue->asleep) != 0 && atomic_exchange(&queue->asleep, 0) != 0)
		host_wake(&queue->asleep);
}

void
host_queue_put(struct host_queue *queue)
{
	queue->filled++;
	/* In one order with asleep: either the taker sees the command or this sees that the taker sleeps. */
	atomic_store(&queue->put, atomic_load_explicit(&queue->put, memory_order_relaxed) + 1);
	wake_taker(queue);
}

bool
host_queue_is_idle(struct host_queue *queue)
{
	return atomic_load_explicit(&queue->done, memory_order_acquire) ==
	       atomic_load_explicit(&queue->put, memory_order_relaxed);
}

void
host_queue_close(struct host_queue *queue)
{
	atomic_store(&queue->closed, true);
	wake_taker(queue);
}

/* --- taker ------------------------------------------------------------------------------------------------------- */

/* A command is there, or none ever will be. */
static bool
is_settled(struct host_queue *queue)
{
	return atomic_load(&queue->put) != queue->taken || atomic_load(&queue->closed);
}

static void
wait_settled(struct host_queue *queue, uint64_t spin_ns)
{
	uint64_t end = 0;
	while (!is_settled(queue) && host_spin(&end, spin_ns))
		;
	while (!is_settled(queue)) {
		atomic_store(&queue->asleep, 1);
		if (!is_settled(queue))
			host_sleep(&queue->asleep, 1);
	}
	atomic_store_explicit(&queue->asleep, 0, memory_order_relaxed);
}

/* The first segment is empty and another follows: hand it back to the putter. */
static void
drop_segment(struct host_queue *queue)
{
	struct host_segment *spent = queue->first;
	queue->first = spent->next;
	queue->emptied = 0;
	free(atomic_exchange(&queue->spare, spent));
}

void
host_queue_finish(struct host_queue *queue)
{
	atomic_store_explicit(&queue->done, queue->taken, memory_order_release);
}

struct host_command *
host_queue_take(struct host_queue *queue, uint64_t spin_ns)
{
	host_queue_finish(queue);
	if (!is_settled(queue))
		wait_settled(queue, spin_ns);
	if (atomic_load(&queue->put) == queue->taken)
		return NULL;
	if (queue->emptied == HOST_SEGMENT_COMMANDS)
		drop_segment(queue);
	queue->taken++;
	return &queue->first->commands[queue->emptied++];
}
