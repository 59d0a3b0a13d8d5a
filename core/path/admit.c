/*
 * Stage admit: who may ask, what for, and whether the node takes it on now. Management methods are answered from here.
 */
#include "path/admit.h"

#include "base/clock.h"
#include "path/decode.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/methods.h"
#include "path/request.h"

int
admit_function(struct request *request, struct slice name)
{
	struct engine *engine = request->engine;
	struct engine_function *function = functions_find(engine, name);
	if (function == NULL)
		return error_set(ERR_NOT_FOUND, "function '%.*s': not deployed", (int)name.bytes,
				 (const char *)name.data);
	request->generation = generation_ref(function->current);
	if (engine->request_count > ENGINE_REQUESTS_MAX) {
		request->retry_after_ms = 10;
		return error_set(ERR_RESOURCE_EXHAUSTED, "node: %u requests are under way already",
				 engine->request_count - 1);
	}
	return 0;
}

static int
admit_invoke(struct request *request)
{
	struct reader reader;
	struct slice name;
	reader_create(&reader, request->message.params[0]);
	if (reader_string(&reader, "invoke: function", &name) != 0 ||
	    admit_function(request, name) != 0)
		return -1;
	if (request->deadline == 0 && request->generation->timeout_ns != 0)
		request_set_deadline(request, clock_now() + request->generation->timeout_ns);
	return ROUTE_NEXT;
}

int
path_admit(struct request *request)
{
	bool invokes = slice_is(request->message.method, "invoke");
	if (!request->client->authenticated && !methods_is_open(request->message.method))
		return error_set(ERR_UNAUTHENTICATED, "%.*s: call hello with the token first",
				 (int)request->message.method.bytes,
				 (const char *)request->message.method.data);
	return invokes ? admit_invoke(request) : methods_call(request);
}
