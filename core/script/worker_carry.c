/*
 * Large payloads between a worker's memory and the node's: copied, and looked through, a little in each of the worker's turns
 * (worker_turn.c), so that nobody waits for more than a turn while a reply of megabytes passes. What comes from a worker is
 * carried into memory of its own, which whoever gets it may keep.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/worker_host.h"

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

/* A value on its way into the core's heap, and the record that is sent when it is there. */
struct delivery {
	struct list link;
	union {
		struct ring_record header;
		struct record_answer answer;
		struct record_invoke invoke;
	} record;
	size_t record_bytes;
	struct record_payload payload;
	const unsigned char *from;
	size_t copied;
	/* To be freed with it; NULL: `from` is the request's, which it begins. */
	void *owned;
	struct worker_request *request;
};

/* In the process's line; NULL with the error set. */
static struct delivery *
add(struct worker_process *process, const struct record_payload *payload, const void *from)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	if (delivery == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for what a worker is to be told");
		return NULL;
	}
	delivery->payload = *payload;
	delivery->from = from;
	list_create(&delivery->link);
	list_push_back(&process->deliveries, &delivery->link);
	worker_turn_want(process);
	return delivery;
}

int
worker_carry_answer(struct worker_process *process, const struct record_answer *answer, void *data)
{
	struct delivery *delivery = add(process, &answer->payload, data);
	if (delivery == NULL)
		return -1;
	delivery->record.answer = *answer;
	delivery->record_bytes = sizeof(*answer);
	delivery->owned = data;
	return 0;
}

struct record_invoke *
worker_carry_invoke(struct worker_request *request, struct worker_process *process,
		    const struct record_payload *payload)
{
	struct delivery *delivery = add(process, payload, request->payload);
	if (delivery == NULL)
		return NULL;
	delivery->record.header.kind = RECORD_INVOKE;
	delivery->record_bytes = sizeof(struct record_invoke);
	delivery->request = request;
	request->delivery = delivery;
	return &delivery->record.invoke;
}

static void
drop(struct delivery *delivery)
{
	if (delivery->request != NULL)
		delivery->request->delivery = NULL;
	list_remove(&delivery->link);
	free(delivery->owned);
	free(delivery);
}

bool
worker_carry_abandon(struct worker_request *request)
{
	if (request->delivery == NULL)
		return false;
	if (pages_free(&request->process->heap, request->delivery->payload.offset) != 0)
		assert(!"what is being carried in lies in the heap");
	drop(request->delivery);
	return true;
}

/* True: all of it is there. */
static bool
deliver_some(struct worker_process *process, struct delivery *delivery)
{
	size_t left = delivery->payload.bytes - delivery->copied;
	size_t some = left < CARRY_BYTES ? left : CARRY_BYTES;
	memcpy(process->shared + process->layout.core_heap + delivery->payload.offset +
		       delivery->copied,
	       delivery->from + delivery->copied, some);
	delivery->copied += some;
	return some == left;
}

/* The worker is told of it. */
static void
send_delivered(struct worker_process *process, struct delivery *delivery)
{
	if (delivery->request != NULL)
		worker_request_offer(delivery->request);
	worker_outbox_send(process, &delivery->record.header, delivery->record_bytes);
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
