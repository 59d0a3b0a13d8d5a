/*
 * Stage decode: the envelope of the message and, for invoke, its parameters. Values meant for handlers stay bytes.
 */
#include <string.h>

#include "base/clock.h"
#include "path/decode.h"
#include "path/engine.h"
#include "path/request.h"

static const uint64_t ns_per_us = 1000;

bool
slice_is(struct slice slice, const char *text)
{
	return slice.bytes == strlen(text) && memcmp(slice.data, text, slice.bytes) == 0;
}

static int
decode_option(struct request *request, struct slice key, struct reader *reader)
{
	int64_t number = 0;
	struct slice ignored;
	if (slice_is(key, "timeout_us")) {
		if (reader_int(reader, "options.timeout_us", &number) != 0)
			return -1;
		if (number <= 0)
			return error_set(ERR_INVALID_ARGUMENT,
					 "options.timeout_us: must be positive, is %lld",
					 (long long)number);
		request_set_deadline(request, clock_now() + (uint64_t)number * ns_per_us);
		return 0;
	}
	if (slice_is(key, "priority")) {
		if (reader_int(reader, "options.priority", &number) != 0)
			return -1;
		if (number < -1000 || number > 1000)
			return error_set(ERR_INVALID_ARGUMENT,
					 "options.priority: must lie in -1000 … 1000, is %lld",
					 (long long)number);
		request->priority = (int32_t)number;
		return 0;
	}
	if (slice_is(key, "traceparent"))
		return reader_any(reader, &ignored);
	return error_set(ERR_INVALID_ARGUMENT, "options: unknown key '%.*s'", (int)key.bytes,
			 (const char *)key.data);
}

static int
decode_options(struct request *request, struct slice value)
{
	struct reader reader;
	uint32_t pairs;
	reader_create(&reader, value);
	if (reader_nil(&reader))
		return 0;
	if (reader_map(&reader, "options", &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < pairs; i++) {
		struct slice key;
		if (reader_string(&reader, "options key", &key) != 0 ||
		    decode_option(request, key, &reader) != 0)
			return -1;
	}
	return 0;
}

static int
decode_invoke(struct request *request)
{
	const struct message *message = &request->message;
	if (message->param_count < 1 || message->param_count > 3)
		return error_set(ERR_INVALID_ARGUMENT,
				 "invoke: takes (function, value, options), got %u parameters",
				 message->param_count);
	static const unsigned char nil = 0xc0;
	request->value =
		message->param_count > 1 ? message->params[1] : (struct slice){ &nil, sizeof(nil) };
	if (message->param_count == 3)
		return decode_options(request, message->params[2]);
	return 0;
}

int
path_decode(struct request *request)
{
	struct message *message = &request->message;
	int status = message_decode(request->frame, message);
	request->wants_reply = message->kind == MESSAGE_REQUEST;
	if (status != 0)
		return -1;
	if (message->kind == MESSAGE_RESPONSE)
		return error_set(ERR_INVALID_ARGUMENT,
				 "message: a response, but nothing was asked");
	if (slice_is(message->method, "invoke") && decode_invoke(request) != 0)
		return -1;
	return ROUTE_NEXT;
}
