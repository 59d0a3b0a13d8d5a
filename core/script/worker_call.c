/*
 * What requests say beside device calls: calls of other functions (RECORD_ASK, answered by RECORD_ANSWER) and parts of a
 * stream (RECORD_PART, for which RECORD_CREDIT gives room).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "script/worker_host.h"
#include "script/worker_process.h"
#include "script/worker_request.h"

enum {
	/* Credit is given back when it is at least this much. */
	CREDIT_STEP = RECORD_WINDOW / 4,
};

/* --- calls of other functions --------------------------------------------------------------------------------------- */

int
worker_call_ask(struct worker_request *request, uint32_t number, const void *data, size_t bytes)
{
	const struct worker_options *options = &request->script->host->options;
	if (number != request->asked + 1)
		return error_set(ERR_INVALID_ARGUMENT, "call %u of a function where %u is due",
				 number, request->asked + 1);
	if (request->unanswered == RECORD_ASKS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "more than %d calls of functions at once",
				 RECORD_ASKS_MAX);
	request->asked = number;
	if (request->unanswered++ == 0)
		request->process->waiting_count++;
	options->events.ask(options->context, request->owner, number, data, bytes);
	return 0;
}

static void
send_answer(struct worker_process *process, struct record_answer *answer, const void *data,
	    size_t bytes)
{
	union {
		struct record_answer answer;
		unsigned char bytes[sizeof(struct record_answer) + WORKER_INLINE_MAX];
	} record = { .answer = *answer };
	size_t here = answer->payload.offset == RECORD_HERE ? bytes : 0;
	memcpy(record.bytes + sizeof(*answer), data, here);
	worker_outbox_send(process, &record.answer.record, sizeof(*answer) + here);
}

static void
answer_error(struct worker_request *request, uint32_t number, const struct error *error)
{
	size_t bytes = strnlen(error->message, WORKER_INLINE_MAX);
	struct record_answer answer = { .record = { .kind = RECORD_ANSWER,
						    .request = request->number },
					.call = number,
					.code = error->code,
					.payload = { RECORD_HERE, bytes } };
	send_answer(request->process, &answer, error->message, bytes);
}

/* A large value is carried in, and freed then. */
static int
carry_value(struct worker_process *process, const struct record_answer *answer, void *value,
	    size_t bytes)
{
	const struct carry_part part = { answer->payload.offset, bytes, value };
	const struct worker_cargo cargo = { .record = answer,
					    .record_bytes = sizeof(*answer),
					    .parts = &part,
					    .part_count = 1,
					    .release = free,
					    .context = value };
	return worker_carry_in(process, &cargo) == NULL ? -1 : 0;
}

/* *value is NULL after it when it was taken. */
static int
answer_value(struct worker_request *request, uint32_t number, void **value, size_t bytes)
{
	struct worker_process *process = request->process;
	struct record_answer answer = { .record = { .kind = RECORD_ANSWER,
						    .request = request->number },
					.call = number,
					.payload = { RECORD_HERE, bytes } };
	if (bytes > WORKER_INLINE_MAX) {
		size_t offset;
		if (pages_alloc(&process->heap, bytes, &offset) != 0)
			return -1;
		answer.payload.offset = offset;
		if (bytes > WORKER_CARRY_MIN && carry_value(process, &answer, *value, bytes) == 0) {
			*value = NULL;
			return 0;
		}
		memcpy(process->shared + process->layout.core_heap + offset, *value, bytes);
	}
	send_answer(process, &answer, *value, bytes);
	return 0;
}

void
worker_answer(struct worker_request *request, uint32_t number, void *value, size_t bytes,
	      const struct error *error)
{
	assert(request->unanswered > 0);
	if (--request->unanswered == 0)
		request->process->waiting_count--;
	if (request->process->state < PROCESS_KILLED) {
		if (error != NULL)
			answer_error(request, number, error);
		else if (answer_value(request, number, &value, bytes) != 0)
			answer_error(request, number, error_last());
	}
	free(value);
}

/* --- streams -------------------------------------------------------------------------------------------------------- */

int
worker_call_part(struct worker_request *request, const void *data, size_t bytes)
{
	const struct worker_options *options = &request->script->host->options;
	const struct worker_script *script = request->script;
	if (!request->streams)
		return error_set(ERR_INVALID_ARGUMENT, "a part of a stream that nobody takes");
	if (request->streamed > RECORD_WINDOW)
		return error_set(ERR_INVALID_ARGUMENT, "a part beyond what there is room for");
	if (bytes > script->limits.reply_bytes) {
		error_set(ERR_RESOURCE_EXHAUSTED,
			  "function \"%s\": a part has %zu bytes, the limit is %llu", script->name,
			  bytes, (unsigned long long)script->limits.reply_bytes);
		worker_request_violate(request, WORKER_OVER_REPLY);
		return 0;
	}
	request->streamed += bytes;
	options->events.part(options->context, request->owner, data, bytes);
	return 0;
}

void
worker_credit(struct worker_request *request, size_t bytes)
{
	request->streamed -= bytes;
	request->credit += bytes;
	if (request->credit < CREDIT_STEP)
		return;
	struct record_credit credit = { .record = { .kind = RECORD_CREDIT,
						    .request = request->number },
					.bytes = request->credit };
	request->credit = 0;
	worker_outbox_send(request->process, &credit.record, sizeof(credit));
}
