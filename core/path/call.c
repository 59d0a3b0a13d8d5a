#include "path/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "path/admit.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/request.h"

/* --- the caller ----------------------------------------------------------------------------------------------------- */

/* A caller with memory on a device frees none while it waits: who looks for memory must not wait for it (schedule_park). */
static void
set_waiting(struct request *caller, bool waits)
{
	if (waits == (caller->waits_on != NULL) || (waits && caller->extent_count == 0))
		return;
	if (waits) {
		caller->waits_on = &caller->engine->devices[caller->device];
		caller->waits_on->parked_holders++;
	} else {
		caller->waits_on->parked_holders--;
		caller->waits_on = NULL;
	}
}

static void
attach(struct request *callee, struct request *caller)
{
	callee->caller = caller;
	caller->callee_bytes += callee->value.bytes;
	list_push_back(&caller->callees, &callee->of_caller);
	set_waiting(caller, true);
}

static void
detach(struct request *callee)
{
	struct request *caller = callee->caller;
	callee->caller = NULL;
	caller->callee_bytes -= callee->value.bytes;
	list_remove(&callee->of_caller);
	if (list_is_empty(&caller->callees))
		set_waiting(caller, false);
}

void
call_abandon(struct request *caller)
{
	while (!list_is_empty(&caller->callees)) {
		struct request *callee =
			list_entry(caller->callees.next, struct request, of_caller);
		detach(callee);
		request_cancel(callee, ERR_CANCELLED, "whoever called the function is gone");
	}
}

/* --- the chain ------------------------------------------------------------------------------------------------------ */

static const char *
name_of(const struct request *request)
{
	const struct engine_function *function = request->generation->function;
	return function == NULL ? "(test)" : function->name;
}

/* "a → b → a": the functions from the first caller to this one. Returns what was written. */
static size_t
write_chain(const struct request *request, char *text, size_t room)
{
	size_t used = 0;
	if (request->caller != NULL) {
		used = write_chain(request->caller, text, room);
		used += (size_t)snprintf(text + used, room - used, " → ");
	}
	if (used >= room)
		return room - 1;
	used += (size_t)snprintf(text + used, room - used, "%.40s", name_of(request));
	return used < room ? used : room - 1;
}

static int
check_depth(const struct request *caller, struct slice name)
{
	char chain[ERROR_MESSAGE_BYTES - 128];
	if (caller->depth + 1 < CALL_DEPTH_MAX)
		return 0;
	write_chain(caller, chain, sizeof(chain));
	return error_set(ERR_FAILED_PRECONDITION, "call: more than %d functions deep: %s → %.*s",
			 CALL_DEPTH_MAX, chain, (int)(name.bytes < 40 ? name.bytes : 40),
			 (const char *)name.data);
}

/* --- the call ------------------------------------------------------------------------------------------------------- */

static void
on_ended(void *context, struct request *callee)
{
	(void)context;
	struct request *caller = callee->caller;
	if (caller == NULL)
		return;
	detach(callee);
	if (caller->worker == NULL)
		return;
	struct writer *result = callee->result;
	if (callee->error == NULL && result != NULL && writer_finish(result) == 0) {
		size_t bytes = result->bytes;
		worker_answer(caller->worker, callee->call, writer_take(result), bytes, NULL);
		return;
	}
	if (callee->error == NULL)
		error_set(ERR_RESOURCE_EXHAUSTED, "call: no memory for the answer");
	worker_answer(caller->worker, callee->call, NULL, 0,
		      callee->error != NULL ? callee->error : error_last());
}

/* What the node holds for a handler is bounded as what its worker holds. */
static int
check_bytes(const struct request *caller, struct slice value)
{
	uint64_t most = worker_script_limits(caller->generation->script)->memory_bytes;
	if (caller->callee_bytes + value.bytes <= most)
		return 0;
	return error_set(
		ERR_RESOURCE_EXHAUSTED,
		"call: %zu bytes of values beside the %zu of calls under way, the limit is %llu",
		value.bytes, caller->callee_bytes, (unsigned long long)most);
}

/*
 * The value in memory of the callee's, what it came in or a copy: the record that it came in is gone when the handler goes on.
 */
static int
take_value(struct request *callee, const struct request *caller, struct slice value)
{
	callee->owned = worker_take_payload(caller->worker);
	callee->value = value;
	if (callee->owned != NULL)
		return 0;
	callee->owned = malloc(value.bytes + 1);
	if (callee->owned == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "call: no memory for %zu bytes",
				 value.bytes);
	memcpy(callee->owned, value.data, value.bytes);
	callee->value = (struct slice){ callee->owned, value.bytes };
	return 0;
}

/* The caller's deadline bounds its callees', as does what it says itself. */
static void
take_deadline(struct request *callee, const struct request *caller, double ms)
{
	uint64_t own = ms > 0 ? clock_now() + (uint64_t)(ms * 1e6) : 0;
	uint64_t deadline = caller->deadline;
	if (own != 0 && (deadline == 0 || own < deadline))
		deadline = own;
	if (deadline != 0)
		request_set_deadline(callee, deadline);
}

/* What was asked for. */
struct order {
	struct slice name;
	struct slice value;
	/* 0: as long as the caller has. */
	double ms;
};

static int
read_order(const void *payload, size_t bytes, struct order *order)
{
	struct reader reader;
	uint32_t count;
	reader_create(&reader, (struct slice){ payload, bytes });
	if (reader_array(&reader, "call", &count) != 0)
		return -1;
	if (count != 3)
		return error_set(ERR_INVALID_ARGUMENT, "call: takes function, value and time");
	if (reader_string(&reader, "call: function", &order->name) != 0 ||
	    reader_any(&reader, &order->value) != 0)
		return -1;
	if (reader_nil(&reader))
		return 0;
	if (reader_double(&reader, "call: timeout_ms", &order->ms) != 0)
		return -1;
	if (order->ms > 0 && order->ms < 1e12)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "call: timeout_ms: must be positive");
}

static int
make_callee(struct request *caller, const struct order *order, struct request **made)
{
	struct request *callee = request_new_inside(caller->engine, on_ended, NULL);
	if (callee == NULL)
		return -1;
	callee->depth = caller->depth + 1;
	callee->priority = caller->priority;
	if (take_value(callee, caller, order->value) != 0 ||
	    admit_function(callee, order->name) != 0) {
		request_delete(callee);
		return -1;
	}
	*made = callee;
	return 0;
}

void
call_begin(struct request *caller, uint32_t number, const void *payload, size_t bytes)
{
	struct order order = { .ms = 0 };
	struct request *callee = NULL;
	if (read_order(payload, bytes, &order) != 0 || check_depth(caller, order.name) != 0 ||
	    check_bytes(caller, order.value) != 0 || make_callee(caller, &order, &callee) != 0) {
		struct error why = *error_last();
		worker_answer(caller->worker, number, NULL, 0, &why);
		return;
	}
	callee->call = number;
	attach(callee, caller);
	take_deadline(callee, caller, order.ms);
	route_enter(callee, ROUTE_handle);
}
