#include "net/message.h"

static int
read_kind(struct reader *reader, struct message *message)
{
	uint64_t kind;
	if (reader_uint(reader, "message[0] (type)", &kind) != 0)
		return -1;
	if (kind > MESSAGE_NOTIFICATION)
		return error_set(ERR_INVALID_ARGUMENT, "message[0] (type): must be 0, 1 or 2");
	message->kind = (enum message_kind)kind;
	return 0;
}

static int
read_id(struct reader *reader, struct message *message)
{
	uint64_t id;
	if (reader_uint(reader, "message[1] (id)", &id) != 0)
		return -1;
	if (id > UINT32_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "message[1] (id): over 2^32 - 1");
	message->id = (uint32_t)id;
	return 0;
}

static int
read_values(struct reader *reader, struct message *message, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (reader_any(reader, &message->params[i]) != 0)
			return error_wrap("params[%u]", i);
		message->param_count = i + 1;
	}
	return 0;
}

static int
read_params(struct reader *reader, struct message *message)
{
	uint32_t count;
	if (reader_array(reader, "params", &count) != 0)
		return -1;
	if (count > MESSAGE_PARAMS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "params: %u given, at most %d are taken",
				 count, MESSAGE_PARAMS_MAX);
	return read_values(reader, message, count);
}

/* What follows the kind. */
static int
read_rest(struct reader *reader, struct message *message)
{
	if (message->kind != MESSAGE_NOTIFICATION && read_id(reader, message) != 0)
		return -1;
	if (message->kind == MESSAGE_RESPONSE)
		return read_values(reader, message, 2);
	if (reader_string(reader, "method", &message->method) != 0)
		return -1;
	return read_params(reader, message);
}

/* Reads the id nevertheless, so that the sender can be told which message was wrong. */
static int
wrong_length(struct reader *reader, struct message *message, uint32_t count, uint32_t wanted)
{
	if (message->kind != MESSAGE_NOTIFICATION && count > 1 && read_id(reader, message) != 0)
		return -1;
	return error_set(ERR_INVALID_ARGUMENT, "message: an array of %u, type %d needs one of %u",
			 count, message->kind, wanted);
}

int
message_decode(struct slice frame, struct message *message)
{
	struct reader reader;
	uint32_t count;
	reader_create(&reader, frame);
	message->kind = MESSAGE_REQUEST;
	message->id = 0;
	message->method = (struct slice){ .data = frame.data, .bytes = 0 };
	message->param_count = 0;
	if (reader_array(&reader, "message", &count) != 0)
		return -1;
	if (count == 0)
		return error_set(ERR_INVALID_ARGUMENT, "message: an empty array");
	if (read_kind(&reader, message) != 0)
		return -1;
	uint32_t wanted = message->kind == MESSAGE_NOTIFICATION ? 3 : 4;
	if (count != wanted)
		return wrong_length(&reader, message, count, wanted);
	if (read_rest(&reader, message) != 0)
		return -1;
	if (!reader_is_at_end(&reader))
		return error_set(ERR_INVALID_ARGUMENT, "message: bytes after its end");
	return 0;
}

uint32_t
message_peek_id(struct slice start)
{
	struct reader reader;
	uint64_t kind, id;
	/* An array of four, of which not more than the second element need have arrived. */
	if (start.bytes == 0 || start.data[0] != 0x94)
		return 0;
	reader_create(&reader, (struct slice){ start.data + 1, start.bytes - 1 });
	if (reader_uint(&reader, "type", &kind) != 0 || kind != MESSAGE_REQUEST)
		return 0;
	return reader_uint(&reader, "id", &id) == 0 && id <= UINT32_MAX ? (uint32_t)id : 0;
}
