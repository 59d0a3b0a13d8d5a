#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

/* Kinds of messages, and what else a field may be. */
enum kind {
	/* The field is not read: leave it out. */
	DROPPED,
	/* Copy the field as it is: nothing nests below it that could go deep. */
	LEAF,
	/* raw_data: put its place instead. */
	BULK,
	MODEL,
	GRAPH,
	NODE,
	ATTRIBUTE,
	TENSOR,
	VALUE_INFO,
	TYPE,
	TENSOR_TYPE,
	SHAPE,
	FUNCTION,
	KIND_COUNT,
};

enum {
	FIELD_END = 26,
	/* Wire types of Protocol Buffers. */
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_LENGTH = 2,
	WIRE_FIXED32 = 5,
	/* Bytes of a length that is put in before it is known. */
	LENGTH_BYTES = 5,
	VARINT_BYTES_MAX = 10,
	FIRST_ROOM = 4096,
	/* Numbers of our own fields in message Tensor. */
	RAW_OFFSET = 100,
	RAW_SIZE = 101,
};

/* Kind of each field of each message of onnx.proto, by number. */
static const uint8_t fields[KIND_COUNT][FIELD_END] = {
	[MODEL] = { [1] = LEAF, [7] = GRAPH, [8] = LEAF, [25] = FUNCTION },
	[GRAPH] = { [1] = NODE,
		    [2] = LEAF,
		    [5] = TENSOR,
		    [11] = VALUE_INFO,
		    [12] = VALUE_INFO,
		    [15] = LEAF },
	[NODE] = { [1] = LEAF,
		   [2] = LEAF,
		   [3] = LEAF,
		   [4] = LEAF,
		   [5] = ATTRIBUTE,
		   [7] = LEAF,
		   [8] = LEAF },
	[ATTRIBUTE] = { [1] = LEAF,
			[2] = LEAF,
			[3] = LEAF,
			[4] = LEAF,
			[5] = TENSOR,
			[6] = GRAPH,
			[7] = LEAF,
			[8] = LEAF,
			[9] = LEAF,
			[20] = LEAF,
			[21] = LEAF },
	[TENSOR] = { [1] = LEAF,
		     [2] = LEAF,
		     [3] = LEAF,
		     [4] = LEAF,
		     [5] = LEAF,
		     [7] = LEAF,
		     [8] = LEAF,
		     [9] = BULK,
		     [10] = LEAF,
		     [11] = LEAF,
		     [13] = LEAF,
		     [14] = LEAF },
	[VALUE_INFO] = { [1] = LEAF, [2] = TYPE },
	[TYPE] = { [1] = TENSOR_TYPE, [4] = LEAF, [5] = LEAF, [8] = LEAF, [9] = LEAF },
	[TENSOR_TYPE] = { [1] = LEAF, [2] = SHAPE },
	[SHAPE] = { [1] = LEAF },
	[FUNCTION] = { [1] = LEAF,
		       [4] = LEAF,
		       [5] = LEAF,
		       [6] = LEAF,
		       [7] = NODE,
		       [9] = LEAF,
		       [10] = LEAF,
		       [11] = ATTRIBUTE,
		       [13] = LEAF },
};

struct skeleton {
	/* The whole input, for offsets. */
	const unsigned char *base;
	/* What is written so far; moves as it grows. */
	unsigned char *bytes;
	size_t size;
	size_t room;
	struct arena *arena;
};

/* A part of the input that is being read. */
struct span {
	const unsigned char *at;
	const unsigned char *end;
};

/* One field of the input. */
struct field {
	uint32_t number;
	unsigned wire;
	/* The field with its tag; and what a length-delimited field holds. */
	const unsigned char *start;
	const unsigned char *end;
	struct span payload;
};

static int
put(struct skeleton *out, const void *bytes, size_t size)
{
	if (size > out->room - out->size) {
		size_t room = 2 * (out->room + size) + FIRST_ROOM;
		unsigned char *larger = arena_alloc(out->arena, room);
		if (larger == NULL)
			return -1;
		if (out->size != 0)
			memcpy(larger, out->bytes, out->size);
		out->bytes = larger;
		out->room = room;
	}
	memcpy(out->bytes + out->size, bytes, size);
	out->size += size;
	return 0;
}

static int
malformed(const struct skeleton *out, const unsigned char *at, const char *what)
{
	return error_set(ERR_INVALID_ARGUMENT, "not an ONNX file: byte %zu: %s",
			 (size_t)(at - out->base), what);
}

static int
read_varint(const struct skeleton *out, struct span *in, uint64_t *number)
{
	const unsigned char *start = in->at;
	*number = 0;
	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		if (in->at == in->end)
			return malformed(out, start, "cut short in a number");
		unsigned char byte = *in->at++;
		*number |= (uint64_t)(byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			return 0;
	}
	return malformed(out, start, "number of more than ten bytes");
}

/* Take size bytes of in as the field's payload. */
static int
take(const struct skeleton *out, struct span *in, uint64_t size, struct field *field)
{
	if (size > (uint64_t)(in->end - in->at))
		return malformed(out, field->start, "field goes beyond what holds it");
	field->payload = (struct span){ .at = in->at, .end = in->at + size };
	in->at += size;
	return 0;
}

static int
read_field(const struct skeleton *out, struct span *in, struct field *field)
{
	uint64_t number;
	*field = (struct field){ .start = in->at };
	if (read_varint(out, in, &number) != 0)
		return -1;
	if (number >> 3 == 0 || number >> 3 > UINT32_MAX >> 3)
		return malformed(out, field->start, "field number out of range");
	field->number = (uint32_t)(number >> 3);
	field->wire = number & 7;
	switch (field->wire) {
	case WIRE_VARINT:
		return read_varint(out, in, &number);
	case WIRE_FIXED64:
		return take(out, in, 8, field);
	case WIRE_FIXED32:
		return take(out, in, 4, field);
	case WIRE_LENGTH:
		return read_varint(out, in, &number) != 0 ? -1 : take(out, in, number, field);
	default:
		return malformed(out, field->start, "unknown wire type");
	}
}

/* Write a fixed64 field. */
static int
put_place(struct skeleton *out, unsigned number, uint64_t value)
{
	unsigned tag = number << 3 | WIRE_FIXED64;
	unsigned char bytes[10] = { (tag & 0x7f) | 0x80, (unsigned char)(tag >> 7) };
	for (unsigned i = 0; i < 8; i++)
		bytes[2 + i] = (unsigned char)(value >> (8 * i));
	return put(out, bytes, sizeof(bytes));
}

static int
put_bulk(struct skeleton *out, const struct field *field)
{
	if (put_place(out, RAW_OFFSET, (uint64_t)(field->payload.at - out->base)) != 0)
		return -1;
	return put_place(out, RAW_SIZE, (uint64_t)(field->payload.end - field->payload.at));
}

/* Fill in the LENGTH_BYTES at offset `at` with what was written after them. */
static void
patch_length(struct skeleton *out, size_t at)
{
	size_t length = out->size - at - LENGTH_BYTES;
	for (unsigned i = 0; i < LENGTH_BYTES; i++)
		out->bytes[at + i] = (unsigned char)((length >> (7 * i) & 0x7f) |
						     (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

/* Write the tag of a length-delimited field; numbers have at most two bytes of it. */
static int
put_tag(struct skeleton *out, uint32_t number)
{
	unsigned tag = number << 3 | WIRE_LENGTH;
	unsigned char bytes[2] = { (unsigned char)tag, 0 };
	if (tag < 0x80)
		return put(out, bytes, 1);
	bytes[0] = (tag & 0x7f) | 0x80;
	bytes[1] = (unsigned char)(tag >> 7);
	return put(out, bytes, 2);
}

static int
put_message(struct skeleton *out, struct span in, enum kind kind, int depth);

static int
put_field(struct skeleton *out, const struct field *field, enum kind child, int depth)
{
	static const unsigned char unknown_length[LENGTH_BYTES];
	if (child == DROPPED)
		return 0;
	if (child == LEAF)
		return put(out, field->start, (size_t)(field->end - field->start));
	if (field->wire != WIRE_LENGTH)
		return malformed(out, field->start, "field is not length-delimited");
	if (child == BULK)
		return put_bulk(out, field);
	if (put_tag(out, field->number) != 0)
		return -1;
	size_t at = out->size;
	if (put(out, unknown_length, LENGTH_BYTES) != 0 ||
	    put_message(out, field->payload, child, depth + 1) != 0)
		return -1;
	patch_length(out, at);
	return 0;
}

static int
put_message(struct skeleton *out, struct span in, enum kind kind, int depth)
{
	if (depth > ONNX_DEPTH_MAX)
		return malformed(out, in.at, "messages nest too deep");
	while (in.at < in.end) {
		struct field field;
		if (read_field(out, &in, &field) != 0)
			return -1;
		field.end = in.at;
		enum kind child = field.number < FIELD_END ? fields[kind][field.number] : DROPPED;
		if (put_field(out, &field, child, depth) != 0)
			return -1;
	}
	return 0;
}

unsigned char *
onnx_skeleton(const unsigned char *data, size_t data_size, enum onnx_message message,
	      struct arena *scratch, size_t *size)
{
	struct skeleton out = { .base = data, .arena = scratch };
	struct span in = { .at = data, .end = data + data_size };
	enum kind kind = message == ONNX_MESSAGE_MODEL ? MODEL : TENSOR;
	if (put_message(&out, in, kind, 0) != 0)
		return NULL;
	if (out.size == 0) {
		error_set(ERR_INVALID_ARGUMENT, "not an ONNX file: no field of a %s in %zu bytes",
			  kind == MODEL ? "model" : "tensor", data_size);
		return NULL;
	}
	*size = out.size;
	return out.bytes;
}

static void *
allocate(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void
release(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

ProtobufCAllocator
onnx_allocator(struct arena *arena)
{
	return (ProtobufCAllocator){ .alloc = allocate, .free = release, .allocator_data = arena };
}
