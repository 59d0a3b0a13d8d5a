/*
 * Large payloads between a worker's memory and the node's: copied, and looked through, a little in each of the worker's turns
 * (worker_turn.c), so that nobody waits for more than a turn while a reply of megabytes passes. What comes from a worker is
 * carried into memory of its own, which whoever gets it may keep.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/value.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum {
	/* Bytes that are copied between looks at the clock, and values that are looked through. */
	CARRY_BYTES = 16 << 10,
	CARRY_VALUES = 1024,
};

/* --- from the worker ------------------------------------------------------------------------------------------------ */

int
worker_carry_begin(struct worker_process *process, const struct record_text *text)
{
	struct worker_carry *carry = calloc(1, sizeof(*carry));
	void *data = malloc(text->payload.bytes);
	if (carry == NULL || data == NULL) {
		free(carry);
		free(data);
		return error_set(ERR_RESOURCE_EXHAUSTED, "no memory for %llu bytes of a worker's",
				 (unsigned long long)text->payload.bytes);
	}
	carry->text = *text;
	carry->data = data;
	carry->bytes = text->payload.bytes;
	process->carry = carry;
	return 0;
}

int
worker_carry_go_on(struct worker_process *process, uint64_t until)
{
	struct worker_carry *carry = process->carry;
	const unsigned char *from =
		process->shared + process->layout.worker_heap + carry->text.payload.offset;
	int status = 0;
	do {
		size_t left = carry->bytes - carry->copied;
		size_t some = left < CARRY_BYTES ? left : CARRY_BYTES;
		memcpy(carry->data + carry->copied, from + carry->copied, some);
		carry->copied += some;
		if (some == 0)
			status = value_check_some(&carry->check, CARRY_VALUES);
		else if (some == left)
			value_check_create(&carry->check, carry->data, carry->bytes);
	} while (status == 0 && clock_now() < until);
	return status;
}

void
worker_carry_end(struct worker_process *process)
{
	if (process->carry == NULL)
		return;
	free(process->carry->data);
	free(process->carry);
	process->carry = NULL;
}

void *
worker_take_payload(struct worker_request *request)
{
	struct worker_carry *carry = request->process->carry;
	void *data = carry == NULL ? NULL : carry->data;
	if (carry != NULL)
		carry->data = NULL;
	return data;
}

/* --- to the worker -------------------------------------------------------------------------------------------------- */

/* Cargo on its way into the core's heap. */
struct delivery {
	struct list link;
	/* NULL: nobody can call it back. */
	struct worker_request *request;
	void (*release)(void *context);
	void *context;
	/* The part that is being copied, and how much of it was. */
	uint32_t part;
	size_t copied;
	uint32_t part_count;
	struct carry_part *parts;
	size_t record_bytes;
	_Alignas(16) unsigned char record[];
};

static size_t
round_unit(size_t bytes)
{
	return (bytes + RING_UNIT - 1) & ~(size_t)(RING_UNIT - 1);
}

struct ring_record *
worker_carry_in(struct worker_process *process, const struct worker_cargo *cargo)
{
	size_t behind = round_unit(cargo->record_bytes);
	size_t parts = cargo->part_count * sizeof(struct carry_part);
	struct delivery *delivery = malloc(sizeof(*delivery) + behind + parts);
	if (delivery == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for what a worker is to be told");
		return NULL;
	}
	*delivery = (struct delivery){
		.request = cargo->request,
		.release = cargo->release,
		.context = cargo->context,
		.part_count = cargo->part_count,
		.parts = (struct carry_part *)(delivery->record + behind),
		.record_bytes = cargo->record_bytes,
	};
	memcpy(delivery->record, cargo->record, cargo->record_bytes);
	memcpy(delivery->parts, cargo->parts, parts);
	list_create(&delivery->link);
	list_push_back(&process->deliveries, &delivery->link);
	if (delivery->request != NULL)
		delivery->request->delivery = delivery;
	worker_turn_want(process);
	return (struct ring_record *)delivery->record;
}

static void
drop(struct delivery *delivery)
{
	if (delivery->request != NULL)
		delivery->request->delivery = NULL;
	list_remove(&delivery->link);
	if (delivery->release != NULL)
		delivery->release(delivery->context);
	free(delivery);
}

bool
worker_carry_abandon(struct worker_request *request)
{
	struct delivery *delivery = request->delivery;
	if (delivery == NULL)
		return false;
	/* A hostile worker may have given a place back before it was told of it; that is its own loss. */
	for (uint32_t i = 0; i < delivery->part_count; i++)
		(void)pages_free(&request->process->heap, delivery->parts[i].offset);
	drop(delivery);
	return true;
}

/* True: all of it is there. */
static bool
deliver_some(struct worker_process *process, struct delivery *delivery)
{
	const struct carry_part *part = &delivery->parts[delivery->part];
	size_t left = part->bytes - delivery->copied;
	size_t some = left < CARRY_BYTES ? left : CARRY_BYTES;
	if (some > 0)
		memcpy(process->shared + process->layout.core_heap + part->offset +
			       delivery->copied,
		       (const unsigned char *)part->from + delivery->copied, some);
	delivery->copied += some;
	if (some < left)
		return false;
	delivery->copied = 0;
	return ++delivery->part == delivery->part_count;
}

/* The worker is told of it. */
static void
send_delivered(struct worker_process *process, struct delivery *delivery)
{
	const struct ring_record *record = (const struct ring_record *)delivery->record;
	if (record->kind == RECORD_INVOKE)
		worker_request_offer(delivery->request);
	worker_outbox_send(process, record, delivery->record_bytes);
	drop(delivery);
}

bool
worker_carry_deliver(struct worker_process *process, uint64_t until)
{
	while (!list_is_empty(&process->deliveries) && clock_now() < until) {
		struct delivery *first =
			list_entry(process->deliveries.next, struct delivery, link);
		if (deliver_some(process, first))
			send_delivered(process, first);
	}
	return !list_is_empty(&process->deliveries);
}

void
worker_carry_drop(struct worker_process *process)
{
	while (!list_is_empty(&process->deliveries))
		drop(list_entry(process->deliveries.next, struct delivery, link));
}
