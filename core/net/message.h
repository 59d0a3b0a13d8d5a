/*
 * Messages: the envelope of MessagePack-RPC as it comes off the wire. A frame is one MessagePack value; framer.h finds its
 * end and checks size and depth, message_decode reads the envelope, and what is inside stays bytes until somebody needs
 * it: reader.h takes it apart, writer.h writes what goes back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/reader.h"
#include "net/slice.h"
#include "net/writer.h"

enum {
	/* Most params of one message. */
	MESSAGE_PARAMS_MAX = 8,
};

enum message_kind {
	MESSAGE_REQUEST = 0,
	MESSAGE_RESPONSE = 1,
	MESSAGE_NOTIFICATION = 2,
};

struct message {
	enum message_kind kind;
	/* Of a request or response; 0 for a notification. */
	uint32_t id;
	/* Not NUL-terminated; empty for a response. */
	struct slice method;
	/* The elements of the params array, each one MessagePack value; of a response its error and its result. */
	uint32_t param_count;
	struct slice params[MESSAGE_PARAMS_MAX];
};

/*
 * Read the envelope of one whole frame; all slices point into it. -1 with INVALID_ARGUMENT naming the element at fault;
 * kind and id are set then as far as they were readable, the kind as MESSAGE_REQUEST and the id as 0 where not.
 */
int
message_decode(struct slice frame, struct message *message) __attribute__((warn_unused_result));

/* The id in the first bytes of a request, which need not be whole; 0 when there is none to be read. */
uint32_t
message_peek_id(struct slice start);
