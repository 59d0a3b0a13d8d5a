/*
 * The outbox: records for a worker that may have to wait for room on its ring, since nothing bounds how many are due at
 * once: cancellations, answers to calls of other functions, credit for streams. They go in order.
 */
#include <stdlib.h>
#include <string.h>

#include "script/worker_process.h"

/* A record that waits. */
struct letter {
	struct list link;
	size_t bytes;
	/* A whole record; its header is written anew on the ring, but for kind, request and flags. */
	_Alignas(16) unsigned char record[];
};

static bool
put(struct worker_process *process, const struct ring_record *record, size_t bytes)
{
	struct ring_record *place =
		ring_reserve(&process->writer, record->kind, record->request, bytes);
	if (place == NULL)
		return false;
	place->flags = record->flags;
	memcpy(place + 1, record + 1, bytes - sizeof(*record));
	worker_process_send(process);
	return true;
}

static void
keep(struct worker_process *process, const struct ring_record *record, size_t bytes)
{
	struct letter *letter = malloc(sizeof(*letter) + bytes);
	if (letter == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for what a worker is to be told");
		worker_process_kill(process, error_last());
		return;
	}
	letter->bytes = bytes;
	memcpy(letter->record, record, bytes);
	list_create(&letter->link);
	list_push_back(&process->outbox, &letter->link);
}

void
worker_outbox_send(struct worker_process *process, const struct ring_record *record, size_t bytes)
{
	if (process->state >= PROCESS_KILLED)
		return;
	if (!list_is_empty(&process->outbox) || !put(process, record, bytes))
		keep(process, record, bytes);
}

/* True when its first letter found room. */
static bool
send_first(struct worker_process *process)
{
	struct letter *letter = list_entry(process->outbox.next, struct letter, link);
	if (!put(process, (const struct ring_record *)letter->record, letter->bytes))
		return false;
	list_remove(&letter->link);
	free(letter);
	return true;
}

void
worker_outbox_flush(struct worker_process *process)
{
	while (!list_is_empty(&process->outbox) && process->state < PROCESS_KILLED)
		if (!send_first(process))
			return;
}

void
worker_outbox_drop(struct worker_process *process)
{
	struct list *link;
	while ((link = list_pop_front(&process->outbox)) != NULL)
		free(list_entry(link, struct letter, link));
}
