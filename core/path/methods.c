#include "path/methods.h"

#include <stdlib.h>

#include "path/decode.h"
#include "path/request.h"

static const struct method *const tables[] = {
	methods_of_node,   methods_of_functions, methods_of_models,
	methods_of_policy, methods_of_devices,   methods_of_trace,
};

enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static const struct method *
find(struct slice name)
{
	for (int i = 0; i < TABLES; i++)
		for (const struct method *method = tables[i]; method->name != NULL; method++)
			if (slice_is(name, method->name))
				return method;
	return NULL;
}

bool
methods_is_open(struct slice name)
{
	const struct method *method = find(name);
	return method != NULL && method->is_open;
}

int
methods_call(struct request *request)
{
	struct slice name = request->message.method;
	const struct method *method = find(name);
	if (method == NULL || method->call == NULL)
		return error_set(ERR_UNIMPLEMENTED, "method '%.*s': there is none; see api_info",
				 (int)(name.bytes < 64 ? name.bytes : 64), (const char *)name.data);
	return method->call(request);
}

void
methods_each(void (*visit)(void *context, const struct method *method), void *context)
{
	for (int i = 0; i < TABLES; i++)
		for (const struct method *method = tables[i]; method->name != NULL; method++)
			visit(context, method);
}

struct pending *
pending_new(struct request *request)
{
	struct pending *pending = malloc(sizeof(*pending));
	if (pending == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "request: no memory");
		return NULL;
	}
	pending->request = request;
	request->pending = pending;
	return pending;
}

struct request *
pending_end(struct pending *pending)
{
	struct request *request = pending->request;
	if (request != NULL)
		request->pending = NULL;
	free(pending);
	return request;
}

int
methods_parameter(const struct request *request, uint32_t i, const char *what, struct slice *value)
{
	if (i >= request->message.param_count)
		return error_set(ERR_INVALID_ARGUMENT, "%.*s: parameter %u (%s) is missing",
				 (int)request->message.method.bytes,
				 (const char *)request->message.method.data, i + 1, what);
	*value = request->message.params[i];
	return 0;
}

int
methods_field(struct slice map, const char *key, struct slice *value)
{
	struct reader reader;
	uint32_t pairs;
	reader_create(&reader, map);
	if (reader_map(&reader, key, &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < pairs; i++) {
		struct slice name;
		if (reader_string(&reader, key, &name) != 0 || reader_any(&reader, value) != 0)
			return -1;
		if (slice_is(name, key))
			return 1;
	}
	return 0;
}

static bool
is_map(struct slice value)
{
	unsigned char first = value.bytes > 0 ? value.data[0] : 0xc0;
	return (first & 0xf0) == 0x80 || first == 0xde || first == 0xdf;
}

int
methods_string(const struct request *request, const char *what, struct slice *value)
{
	struct slice parameter, field;
	struct reader reader;
	if (methods_parameter(request, 0, what, &parameter) != 0)
		return -1;
	if (is_map(parameter)) {
		int found = methods_field(parameter, what, &field);
		if (found < 0)
			return -1;
		if (found == 0)
			return error_set(ERR_INVALID_ARGUMENT, "%s: missing", what);
		parameter = field;
	}
	reader_create(&reader, parameter);
	return reader_string(&reader, what, value);
}

int
methods_number(const struct request *request, const char *what, uint32_t limit, uint32_t *value)
{
	struct slice field;
	struct reader reader;
	uint64_t number;
	if (request->message.param_count == 0 || !is_map(request->message.params[0]))
		return 0;
	int found = methods_field(request->message.params[0], what, &field);
	if (found <= 0)
		return found;
	reader_create(&reader, field);
	if (reader_uint(&reader, what, &number) != 0)
		return -1;
	if (number >= limit)
		return error_set(ERR_INVALID_ARGUMENT, "%s: %llu, must be less than %u", what,
				 (unsigned long long)number, limit);
	*value = (uint32_t)number;
	return 0;
}
