#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/onnx_import.h"

enum {
	LOCATION_DEFAULT = 0,
	LOCATION_EXTERNAL = 1,
};

/* Names of element types that ONNX has and we do not, by number. */
static const char *const other_types[] = {
	[8] = "STRING",          [14] = "COMPLEX64",      [15] = "COMPLEX128",
	[17] = "FLOAT8E4M3FN",   [18] = "FLOAT8E4M3FNUZ", [19] = "FLOAT8E5M2",
	[20] = "FLOAT8E5M2FNUZ", [21] = "UINT4",          [22] = "INT4",
	[23] = "FLOAT4E2M1",     [24] = "FLOAT8E8M0",
};

int
onnx_check_data_type(int32_t data_type)
{
	const int32_t count = sizeof(other_types) / sizeof(other_types[0]);
	if (data_type > 0 && data_type_bytes((enum data_type)data_type) != 0)
		return 0;
	if (data_type > 0 && data_type < count && other_types[data_type] != NULL)
		return error_set(ERR_UNIMPLEMENTED, "element type %s is not supported",
				 other_types[data_type]);
	return error_set(ERR_INVALID_ARGUMENT, "element type %" PRId32 " does not exist",
			 data_type);
}

static int
read_type(const Onnx__Tensor *tensor, struct tensor_type *type)
{
	if (onnx_check_data_type(tensor->data_type) != 0)
		return -1;
	if (tensor->n_dims > TENSOR_MAX_RANK)
		return error_set(ERR_UNIMPLEMENTED, "%zu dimensions; at most %d are supported",
				 tensor->n_dims, TENSOR_MAX_RANK);
	*type = (struct tensor_type){ .data_type = (enum data_type)tensor->data_type,
				      .rank = (uint32_t)tensor->n_dims };
	for (uint32_t i = 0; i < type->rank; i++) {
		type->dims[i] = tensor->dims[i];
		if (type->dims[i] < 0)
			return error_set(ERR_INVALID_ARGUMENT, "dims[%u] is %" PRId64, i,
					 type->dims[i]);
	}
	return tensor_type_check(type);
}

/* --- data in the typed fields ------------------------------------------------------------------------------------- */

/* Store one element that came as a 32-bit number; -1 when it does not fit. */
static int
narrow(enum data_type data_type, int32_t number, unsigned char *to)
{
	size_t bytes = data_type_bytes(data_type);
	bool is_signed = data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_INT16;
	int bits = (int)(8 * bytes);
	if (data_type == DATA_TYPE_INT32) {
		memcpy(to, &number, 4);
		return 0;
	}
	int64_t low = is_signed ? -(INT64_C(1) << (bits - 1)) : 0;
	int64_t high = is_signed ? (INT64_C(1) << (bits - 1)) - 1 : (INT64_C(1) << bits) - 1;
	if (data_type == DATA_TYPE_BOOL)
		high = 1;
	if (number < low || number > high)
		return error_set(ERR_INVALID_ARGUMENT,
				 "int32_data holds %" PRId32 ", which does not fit %s", number,
				 data_type_name(data_type));
	memcpy(to, &number, bytes);
	return 0;
}

static int
convert_int32(const Onnx__Tensor *tensor, enum data_type data_type, unsigned char *to)
{
	size_t bytes = data_type_bytes(data_type);
	for (size_t i = 0; i < tensor->n_int32_data; i++) {
		if (narrow(data_type, tensor->int32_data[i], to + i * bytes) != 0)
			return -1;
	}
	return 0;
}

static int
convert_uint64(const Onnx__Tensor *tensor, enum data_type data_type, unsigned char *to)
{
	for (size_t i = 0; i < tensor->n_uint64_data; i++) {
		uint64_t number = tensor->uint64_data[i];
		if (data_type == DATA_TYPE_UINT32 && number > UINT32_MAX)
			return error_set(ERR_INVALID_ARGUMENT,
					 "uint64_data holds %" PRIu64 ", which does not fit UINT32",
					 number);
		size_t bytes = data_type_bytes(data_type);
		memcpy(to + i * bytes, &number, bytes);
	}
	return 0;
}

/* The field that holds the elements of a type, and how many it holds. */
static const char *
typed_field(const Onnx__Tensor *tensor, enum data_type data_type, size_t *count)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		*count = tensor->n_float_data;
		return "float_data";
	case DATA_TYPE_DOUBLE:
		*count = tensor->n_double_data;
		return "double_data";
	case DATA_TYPE_INT64:
		*count = tensor->n_int64_data;
		return "int64_data";
	case DATA_TYPE_UINT32:
	case DATA_TYPE_UINT64:
		*count = tensor->n_uint64_data;
		return "uint64_data";
	default:
		*count = tensor->n_int32_data;
		return "int32_data";
	}
}

static int
convert_typed(const Onnx__Tensor *tensor, enum data_type data_type, void *to)
{
	switch (data_type) {
	case DATA_TYPE_FLOAT:
		memcpy(to, tensor->float_data, tensor->n_float_data * sizeof(float));
		return 0;
	case DATA_TYPE_DOUBLE:
		memcpy(to, tensor->double_data, tensor->n_double_data * sizeof(double));
		return 0;
	case DATA_TYPE_INT64:
		memcpy(to, tensor->int64_data, tensor->n_int64_data * sizeof(int64_t));
		return 0;
	case DATA_TYPE_UINT32:
	case DATA_TYPE_UINT64:
		return convert_uint64(tensor, data_type, to);
	default:
		return convert_int32(tensor, data_type, to);
	}
}

/* The count is checked before memory is taken: dims alone cost nothing. */
static int
read_typed(struct arena *arena, const Onnx__Tensor *tensor, struct constant *constant)
{
	size_t count;
	const char *field = typed_field(tensor, constant->type.data_type, &count);
	int64_t wanted = tensor_elements(&constant->type);
	if (count != (uint64_t)wanted)
		return error_set(ERR_INVALID_ARGUMENT,
				 "%s holds %zu elements where dims make %" PRId64, field, count,
				 wanted);
	void *data = arena_alloc(arena, tensor_bytes(&constant->type));
	constant->data = data;
	if (data == NULL)
		return -1;
	return count == 0 ? 0 : convert_typed(tensor, constant->type.data_type, data);
}

/* --- data as bytes ------------------------------------------------------------------------------------------------ */

/* Bytes of the tensor's data where they lie: in the model file or in an external one. */
struct place {
	const unsigned char *data;
	size_t size;
};

static int
parse_number(const char *key, const char *text, uint64_t *number)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return error_set(ERR_INVALID_ARGUMENT, "external_data: %s '%s' is not a number",
				 key, text);
	*number = strtoull(text, &end, 10);
	if (*end != '\0')
		return error_set(ERR_INVALID_ARGUMENT, "external_data: %s '%s' is not a number",
				 key, text);
	return 0;
}

static const char *
entry_value(const Onnx__Tensor *tensor, const char *key)
{
	for (size_t i = 0; i < tensor->n_external_data; i++) {
		const Onnx__Entry *entry = tensor->external_data[i];
		if (entry->key != NULL && entry->value != NULL && strcmp(entry->key, key) == 0)
			return entry->value;
	}
	return NULL;
}

static int
find_external(struct onnx_files *files, const Onnx__Tensor *tensor, struct place *place)
{
	const char *location = entry_value(tensor, "location");
	const char *offset_text = entry_value(tensor, "offset");
	const char *length_text = entry_value(tensor, "length");
	uint64_t offset = 0;
	if (location == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "external_data: location is missing");
	if (onnx_files_external(files, location, &place->data, &place->size) != 0)
		return error_wrap("external_data");
	if (offset_text != NULL && parse_number("offset", offset_text, &offset) != 0)
		return -1;
	if (offset > place->size)
		return error_set(ERR_INVALID_ARGUMENT,
				 "external_data: offset %" PRIu64 " is beyond '%s' of %zu bytes",
				 offset, location, place->size);
	if (place->data != NULL)
		place->data += offset;
	uint64_t length = place->size - offset;
	if (length_text != NULL && parse_number("length", length_text, &length) != 0)
		return -1;
	if (length > place->size - offset)
		return error_set(ERR_INVALID_ARGUMENT,
				 "external_data: offset %" PRIu64 " and length %" PRIu64
				 " are beyond '%s' of %zu bytes",
				 offset, length, location, place->size);
	place->size = length;
	return 0;
}

/* Copy bytes into the arena; booleans become 0 or 1. NULL with the error set. */
static void *
copy_bytes(struct arena *arena, enum data_type data_type, struct place place)
{
	unsigned char *copy = arena_alloc(arena, place.size);
	if (copy == NULL)
		return NULL;
	if (place.size != 0)
		memcpy(copy, place.data, place.size);
	if (data_type == DATA_TYPE_BOOL) {
		for (size_t i = 0; i < place.size; i++)
			copy[i] = copy[i] != 0;
	}
	return copy;
}

/* Large floats are used where they lie, whatever their alignment: copies would hold the model in memory twice. */
static bool
stays_in_file(const struct onnx_files *files, enum data_type data_type, struct place place)
{
	if (data_type == DATA_TYPE_BOOL || place.size == 0)
		return false;
	return (uintptr_t)place.data % data_type_bytes(data_type) == 0 ||
	       (data_type == DATA_TYPE_FLOAT && place.size >= GRAPH_UNALIGNED_BYTES &&
		onnx_files_hold(files, place.data));
}

/* Use the bytes where they lie if that may be, else a copy. */
static int
read_bytes(struct onnx_files *files, struct arena *arena, struct place place, const char *field,
	   struct constant *constant)
{
	enum data_type data_type = constant->type.data_type;
	size_t wanted = tensor_bytes(&constant->type);
	if (place.size != wanted)
		return error_set(ERR_INVALID_ARGUMENT,
				 "%s holds %zu bytes where type and dims make %zu", field,
				 place.size, wanted);
	constant->data = place.data;
	if (stays_in_file(files, data_type, place))
		return 0;
	constant->data = copy_bytes(arena, data_type, place);
	if (constant->data == NULL)
		return -1;
	onnx_drop(files, place.data, place.size);
	return 0;
}

static int
check_whole(const Onnx__Tensor *tensor)
{
	bool is_typed = tensor->n_float_data != 0 || tensor->n_int32_data != 0 ||
			tensor->n_int64_data != 0 || tensor->n_double_data != 0 ||
			tensor->n_uint64_data != 0;
	bool is_external = tensor->data_location == LOCATION_EXTERNAL;
	if (tensor->has_segment)
		return error_set(ERR_UNIMPLEMENTED, "segment: tensors in parts are not supported");
	if (tensor->data_location != LOCATION_DEFAULT && !is_external)
		return error_set(ERR_INVALID_ARGUMENT, "data_location %d does not exist",
				 tensor->data_location);
	if (tensor->has_raw_size + is_typed + is_external > 1)
		return error_set(ERR_INVALID_ARGUMENT,
				 "has data in more than one of raw_data, typed data and "
				 "external_data");
	return 0;
}

int
onnx_tensor_convert(struct onnx_files *files, struct arena *arena, const Onnx__Tensor *tensor,
		    struct constant *constant)
{
	struct place place = { 0 };
	if (read_type(tensor, &constant->type) != 0 || check_whole(tensor) != 0)
		return -1;
	if (tensor->data_location == LOCATION_EXTERNAL) {
		if (find_external(files, tensor, &place) != 0)
			return -1;
		return read_bytes(files, arena, place, "external_data", constant);
	}
	if (tensor->has_raw_size) {
		place.data = files->data + tensor->raw_offset;
		place.size = tensor->raw_size;
		return read_bytes(files, arena, place, "raw_data", constant);
	}
	return read_typed(arena, tensor, constant);
}

int
onnx_read_tensor(const void *data, size_t size, struct arena *arena, struct constant *tensor,
		 const char **name)
{
	struct onnx_files bytes = { .data = data, .size = size };
	struct arena scratch;
	int result = -1;
	arena_create(&scratch, 0);
	size_t skeleton_size;
	unsigned char *skeleton =
		onnx_skeleton(data, size, ONNX_MESSAGE_TENSOR, &scratch, &skeleton_size);
	if (skeleton == NULL)
		goto out;
	ProtobufCAllocator allocator = onnx_allocator(&scratch);
	Onnx__Tensor *message = onnx__tensor__unpack(&allocator, skeleton_size, skeleton);
	if (message == NULL) {
		error_set(ERR_INVALID_ARGUMENT, "not a serialized tensor");
		goto out;
	}
	if (onnx_tensor_convert(&bytes, arena, message, tensor) != 0)
		goto out;
	const char *label = message->name != NULL ? message->name : "";
	if (name != NULL && (*name = arena_strndup(arena, label, strlen(label))) == NULL)
		goto out;
	result = 0;
out:
	arena_destroy(&scratch);
	return result;
}
