/*
 * The message decoder: any bytes give a message whose slices lie within them, or an error with a message; and what was
 * decoded goes out through the writer and comes back the same.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/message.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static bool
is_within(struct slice piece, struct slice whole)
{
	return piece.data >= whole.data && piece.data + piece.bytes <= whole.data + whole.bytes;
}

/* Reads each of the values as each type; whatever comes of it, it stays within the bytes. */
static void
read_every_way(struct slice value)
{
	struct reader reader;
	struct slice piece;
	int64_t integer;
	uint64_t natural;
	double number;
	uint32_t count;
	bool truth;
	reader_create(&reader, value);
	while (!reader_is_at_end(&reader)) {
		const unsigned char *before = reader.at;
		(void)(reader_nil(&reader) || reader_bool(&reader, "b", &truth) == 0 ||
		       reader_int(&reader, "i", &integer) == 0 ||
		       reader_uint(&reader, "u", &natural) == 0 ||
		       reader_double(&reader, "d", &number) == 0 ||
		       reader_array(&reader, "a", &count) == 0 ||
		       reader_map(&reader, "m", &count) == 0 ||
		       reader_string(&reader, "s", &piece) == 0 ||
		       reader_any(&reader, &piece) == 0);
		check(reader.at <= reader.end);
		if (reader.at == before)
			break;
	}
}

/* The same request, written again. */
static void
check_written(const struct message *message)
{
	struct writer writer;
	struct message again;
	writer_create(&writer);
	writer_array(&writer, 4);
	writer_uint(&writer, MESSAGE_REQUEST);
	writer_uint(&writer, message->id);
	writer_text(&writer, message->method.data, message->method.bytes);
	writer_array(&writer, message->param_count);
	for (uint32_t i = 0; i < message->param_count; i++)
		writer_raw(&writer, message->params[i].data, message->params[i].bytes);
	check(writer_finish(&writer) == 0);
	check(message_decode((struct slice){ writer.data, writer.bytes }, &again) == 0);
	check(again.id == message->id && again.param_count == message->param_count);
	check(again.method.bytes == message->method.bytes &&
	      memcmp(again.method.data, message->method.data, again.method.bytes) == 0);
	check(message_peek_id((struct slice){ writer.data, writer.bytes }) == message->id);
	writer_destroy(&writer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice frame = { data, size };
	struct message message;
	error_clear();
	(void)message_peek_id(frame);
	error_clear();
	if (message_decode(frame, &message) != 0) {
		check(error_last()->code == ERR_INVALID_ARGUMENT);
		check(error_last()->message[0] != '\0');
		return 0;
	}
	check(is_within(message.method, frame) && message.param_count <= MESSAGE_PARAMS_MAX);
	for (uint32_t i = 0; i < message.param_count; i++) {
		check(is_within(message.params[i], frame) && message.params[i].bytes > 0);
		read_every_way(message.params[i]);
	}
	if (message.kind == MESSAGE_REQUEST)
		check_written(&message);
	return 0;
}
