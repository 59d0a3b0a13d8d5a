#include "script/record.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

enum { PAGE_BYTES = 4096 };

/* The controls, in whole pages. */
enum { CONTROLS_BYTES = 2 * PAGE_BYTES };

_Static_assert(sizeof(struct record_controls) <= CONTROLS_BYTES, "two pages hold the controls");
_Static_assert(CALL_BATCH_MAX > 0 && CALL_TENSORS_MAX < 256 && CALL_ATTRIBUTES_MAX < 256,
	       "counts of a call fit a byte");

struct record_layout
record_layout(size_t heap_bytes)
{
	struct record_layout layout = { .heap_bytes = heap_bytes };
	layout.to_worker = CONTROLS_BYTES;
	layout.to_core = layout.to_worker + RING_BYTES;
	layout.worker_heap = layout.to_core + RING_BYTES;
	layout.core_heap = layout.worker_heap + heap_bytes;
	layout.total = layout.core_heap + heap_bytes;
	return layout;
}

uint32_t
record_place(uint32_t number)
{
	return number & (RECORD_PLACES - 1);
}

bool
record_claim(struct record_controls *controls, uint32_t number)
{
	uint32_t expected = number;
	return atomic_compare_exchange_strong(&controls->claims[record_place(number)], &expected,
					      0);
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static size_t
round_8(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static size_t
attribute_values_bytes(uint32_t kind, uint32_t count)
{
	switch (kind) {
	case CALL_ATTRIBUTE_INT:
	case CALL_ATTRIBUTE_INTS:
		return count * sizeof(int64_t);
	case CALL_ATTRIBUTE_FLOAT:
		return round_8(count * sizeof(float));
	default:
		return CALL_NAME_BYTES;
	}
}

size_t
record_call_bytes(const struct call *call, size_t inline_bytes)
{
	size_t bytes = sizeof(struct record_call) +
		       round_8((call->input_count + call->output_count) * sizeof(uint32_t));
	if (call->kind == CALL_TENSOR)
		bytes += sizeof(struct call_tensor) + sizeof(struct record_payload) + inline_bytes;
	if (call->kind == CALL_OPERATION) {
		bytes += CALL_NAME_BYTES;
		for (uint32_t i = 0; i < call->attribute_count; i++)
			bytes += offsetof(struct call_attribute, as) +
				 attribute_values_bytes(call->attributes[i].kind,
							call->attributes[i].count);
	}
	return bytes;
}

static unsigned char *
put(unsigned char *at, const void *data, size_t bytes)
{
	if (bytes > 0)
		memcpy(at, data, bytes);
	return at + bytes;
}

static unsigned char *
put_tensor(unsigned char *at, const struct call *call, size_t inline_bytes, size_t offset)
{
	struct record_payload payload = { offset, call->bytes };
	at = put(at, &call->type, sizeof(call->type));
	at = put(at, &payload, sizeof(payload));
	return put(at, call->data, inline_bytes);
}

static unsigned char *
put_operation(unsigned char *at, const struct call *call)
{
	at = put(at, call->op_type, CALL_NAME_BYTES);
	for (uint32_t i = 0; i < call->attribute_count; i++) {
		const struct call_attribute *attribute = &call->attributes[i];
		at = put(at, attribute, offsetof(struct call_attribute, as));
		at = put(at, &attribute->as,
			 attribute_values_bytes(attribute->kind, attribute->count));
	}
	return at;
}

void
record_write_call(struct record_call *record, const struct call *call, size_t inline_bytes,
		  size_t offset)
{
	unsigned char *at = (unsigned char *)(record + 1);
	unsigned char *start = at;
	record->kind = (uint8_t)call->kind;
	record->input_count = (uint8_t)call->input_count;
	record->output_count = (uint8_t)call->output_count;
	record->attribute_count = call->kind == CALL_OPERATION ? (uint8_t)call->attribute_count : 0;
	record->handle = call->kind == CALL_MODEL ? call->model : call->handle;
	at = put(at, call->inputs, call->input_count * sizeof(uint32_t));
	put(at, call->outputs, call->output_count * sizeof(uint32_t));
	at = start + round_8((call->input_count + call->output_count) * sizeof(uint32_t));
	if (call->kind == CALL_TENSOR)
		put_tensor(at, call, inline_bytes, offset);
	if (call->kind == CALL_OPERATION)
		put_operation(at, call);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* The unread part of a record. */
struct cursor {
	const unsigned char *at;
	const unsigned char *end;
};

static bool
take(struct cursor *cursor, void *data, size_t bytes)
{
	if ((size_t)(cursor->end - cursor->at) < bytes)
		return false;
	memcpy(data, cursor->at, bytes);
	cursor->at += bytes;
	return true;
}

static int
too_short(const char *field)
{
	return error_set(ERR_INVALID_ARGUMENT, "call: %s: goes beyond its record", field);
}

static bool
is_name(const char *name)
{
	return name[0] != '\0' && memchr(name, '\0', CALL_NAME_BYTES) != NULL;
}

static int
read_tensors(struct cursor *cursor, const struct record_call *record, struct call *call)
{
	struct cursor start = *cursor;
	call->input_count = record->input_count;
	call->output_count = record->output_count;
	if (call->input_count > CALL_TENSORS_MAX || call->output_count > CALL_TENSORS_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "call: %u inputs, %u outputs, at most %d",
				 call->input_count, call->output_count, CALL_TENSORS_MAX);
	size_t bytes = round_8((call->input_count + call->output_count) * sizeof(uint32_t));
	if ((size_t)(cursor->end - cursor->at) < bytes)
		return too_short("inputs and outputs");
	take(&start, call->inputs, call->input_count * sizeof(uint32_t));
	take(&start, call->outputs, call->output_count * sizeof(uint32_t));
	cursor->at += bytes;
	return 0;
}

/* Bytes of an element by ONNX's number; 0 where there is none, or none of a fixed size. */
static size_t
element_bytes(uint32_t data_type)
{
	static const uint8_t bytes[] = { 0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 0, 0, 2 };
	return data_type < sizeof(bytes) ? bytes[data_type] : 0;
}

/* The type is one, and takes exactly that many bytes. */
static int
check_type(const struct call_tensor *type, uint64_t bytes)
{
	uint64_t product = element_bytes(type->data_type);
	if (product == 0)
		return error_set(ERR_INVALID_ARGUMENT, "call: tensor: data type %u",
				 type->data_type);
	if (type->rank > CALL_RANK_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "call: tensor: rank %u, at most %d",
				 type->rank, CALL_RANK_MAX);
	for (uint32_t i = 0; i < type->rank; i++)
		if (type->dims[i] < 0 ||
		    __builtin_mul_overflow(product, (uint64_t)type->dims[i], &product))
			return error_set(ERR_INVALID_ARGUMENT, "call: tensor: dims[%u]: %lld", i,
					 (long long)type->dims[i]);
	if (product == bytes)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "call: tensor: %llu bytes, its shape says %llu",
			 (unsigned long long)bytes, (unsigned long long)product);
}

static int
read_type(struct cursor *cursor, struct call *call, struct record_payload *payload)
{
	if (!take(cursor, &call->type, sizeof(call->type)) ||
	    !take(cursor, payload, sizeof(*payload)))
		return too_short("tensor");
	if (check_type(&call->type, payload->bytes) != 0)
		return -1;
	call->data = cursor->at;
	call->bytes = payload->bytes;
	if (payload->offset == RECORD_HERE && payload->bytes > (uint64_t)(cursor->end - cursor->at))
		return too_short("data");
	return 0;
}

static int
read_attribute(struct cursor *cursor, struct call_attribute *attribute)
{
	if (!take(cursor, attribute, offsetof(struct call_attribute, as)))
		return too_short("attribute");
	if (!is_name(attribute->name))
		return error_set(ERR_INVALID_ARGUMENT, "call: attribute: name is empty or endless");
	uint32_t kind = attribute->kind;
	if (kind < CALL_ATTRIBUTE_INT || kind > CALL_ATTRIBUTE_STRING)
		return error_set(ERR_INVALID_ARGUMENT, "call: attribute %s: kind %u",
				 attribute->name, kind);
	uint32_t most =
		kind == CALL_ATTRIBUTE_INT || kind == CALL_ATTRIBUTE_STRING ? 1 : CALL_VALUES_MAX;
	if (attribute->count > most || (attribute->count != 1 && most == 1))
		return error_set(ERR_INVALID_ARGUMENT, "call: attribute %s: %u values, at most %u",
				 attribute->name, attribute->count, most);
	if (!take(cursor, &attribute->as, attribute_values_bytes(kind, attribute->count)))
		return too_short(attribute->name);
	if (kind == CALL_ATTRIBUTE_STRING &&
	    memchr(attribute->as.string, '\0', CALL_NAME_BYTES) == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "call: attribute %s: endless string",
				 attribute->name);
	return 0;
}

static int
read_operation(struct cursor *cursor, const struct record_call *record, struct call *call)
{
	call->attribute_count = record->attribute_count;
	if (call->attribute_count > CALL_ATTRIBUTES_MAX)
		return error_set(ERR_INVALID_ARGUMENT, "call: %u attributes, at most %d",
				 call->attribute_count, CALL_ATTRIBUTES_MAX);
	if (!take(cursor, call->op_type, CALL_NAME_BYTES))
		return too_short("operator");
	if (!is_name(call->op_type))
		return error_set(ERR_INVALID_ARGUMENT, "call: operator: name is empty or endless");
	for (uint32_t i = 0; i < call->attribute_count; i++)
		if (read_attribute(cursor, &call->attributes[i]) != 0)
			return -1;
	return 0;
}

/* Only models and operations have inputs and outputs. */
static int
check_tensors(const struct call *call)
{
	bool runs = call->kind == CALL_MODEL || call->kind == CALL_OPERATION;
	if (runs == (call->output_count > 0) && (runs || call->input_count == 0))
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "call: kind %d with %u inputs and %u outputs",
			 call->kind, call->input_count, call->output_count);
}

int
record_read_call(const struct record_call *record, struct call *call,
		 struct record_payload *payload)
{
	struct cursor cursor = { (const unsigned char *)(record + 1),
				 (const unsigned char *)record + record->record.bytes };
	*payload = (struct record_payload){ 0 };
	if (record->record.bytes < sizeof(*record))
		return too_short("header");
	if (record->kind < CALL_TENSOR || record->kind > CALL_FREE)
		return error_set(ERR_INVALID_ARGUMENT, "call: kind %u", record->kind);
	call->kind = record->kind;
	call->handle = record->handle;
	call->model = record->handle;
	call->attribute_count = 0;
	if (read_tensors(&cursor, record, call) != 0 || check_tensors(call) != 0)
		return -1;
	if (call->kind == CALL_TENSOR)
		return read_type(&cursor, call, payload);
	if (call->kind == CALL_OPERATION)
		return read_operation(&cursor, record, call);
	return 0;
}
