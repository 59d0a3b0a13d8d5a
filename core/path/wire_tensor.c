#include "path/wire_tensor.h"

#include <string.h>

#include "path/decode.h"

/* What a tensor map may say, as found. */
struct found {
	struct slice datatype;
	/* NumPy's type string, "<f4". */
	struct slice type;
	struct slice data;
	bool has_shape;
};

/* The calling thread's error, which begins with a member's name, is about that member of the tensor `field`. */
static int
member_error(const char *field)
{
	const struct error inner = *error_last();
	return error_set(inner.code, "%s.%s", field, inner.message);
}

static int
read_shape(struct reader *reader, const char *field, struct tensor_type *type)
{
	if (reader_array(reader, "shape", &type->rank) != 0)
		return member_error(field);
	if (type->rank > TENSOR_MAX_RANK)
		return error_set(ERR_INVALID_ARGUMENT, "%s.shape: %u dimensions, at most %d", field,
				 type->rank, TENSOR_MAX_RANK);
	for (uint32_t i = 0; i < type->rank; i++) {
		if (reader_int(reader, "shape", &type->dims[i]) != 0)
			return member_error(field);
		if (type->dims[i] < 0)
			return error_set(ERR_INVALID_ARGUMENT, "%s.shape: dimension %u is %lld",
					 field, i, (long long)type->dims[i]);
	}
	return 0;
}

static int
read_text(struct reader *reader, const char *field, const char *member, struct slice *text)
{
	return reader_string(reader, member, text) == 0 ? 0 : member_error(field);
}

static int
read_pair(struct reader *reader, const char *field, struct tensor_type *type, struct found *found)
{
	struct slice key, ignored;
	if (reader_string(reader, field, &key) != 0)
		return -1;
	if (slice_is(key, "datatype"))
		return read_text(reader, field, "datatype", &found->datatype);
	if (slice_is(key, "type"))
		return read_text(reader, field, "type", &found->type);
	if (slice_is(key, "data"))
		return read_text(reader, field, "data (bytes, little endian)", &found->data);
	if (slice_is(key, "shape")) {
		found->has_shape = true;
		return read_shape(reader, field, type);
	}
	return reader_any(reader, &ignored);
}

/* NumPy array-interface type strings, little endian or of one byte. */
static enum data_type
type_from_numpy(struct slice text)
{
	static const struct {
		const char *text;
		enum data_type type;
	} known[] = {
		{ "<f4", DATA_TYPE_FLOAT },   { "<f8", DATA_TYPE_DOUBLE },
		{ "<f2", DATA_TYPE_FLOAT16 }, { "|u1", DATA_TYPE_UINT8 },
		{ "|i1", DATA_TYPE_INT8 },    { "<i2", DATA_TYPE_INT16 },
		{ "<u2", DATA_TYPE_UINT16 },  { "<i4", DATA_TYPE_INT32 },
		{ "<u4", DATA_TYPE_UINT32 },  { "<i8", DATA_TYPE_INT64 },
		{ "<u8", DATA_TYPE_UINT64 },  { "|b1", DATA_TYPE_BOOL },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_is(text, known[i].text))
			return known[i].type;
	return DATA_TYPE_NONE;
}

static int
check(const struct found *found, const char *field, struct tensor_type *type)
{
	struct slice name = found->datatype.data != NULL ? found->datatype : found->type;
	if (name.data == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "%s.datatype: missing", field);
	if (!found->has_shape)
		return error_set(ERR_INVALID_ARGUMENT, "%s.shape: missing", field);
	if (found->data.data == NULL)
		return error_set(ERR_INVALID_ARGUMENT, "%s.data: missing", field);
	type->data_type = found->datatype.data != NULL
				  ? data_type_from_name((const char *)name.data, name.bytes)
				  : type_from_numpy(name);
	if (type->data_type == DATA_TYPE_NONE)
		return error_set(ERR_INVALID_ARGUMENT, "%s.datatype: '%.*s' is no element type",
				 field, (int)name.bytes, (const char *)name.data);
	if (tensor_type_check(type) != 0)
		return error_wrap("%s.shape", field);
	if (tensor_bytes(type) != found->data.bytes)
		return error_set(ERR_INVALID_ARGUMENT,
				 "%s.data: %zu bytes, but datatype and shape need %zu", field,
				 found->data.bytes, tensor_bytes(type));
	return 0;
}

int
wire_tensor_read(struct slice value, const char *field, struct tensor_type *type,
		 struct slice *data)
{
	struct reader reader;
	struct found found = { 0 };
	uint32_t pairs;
	*type = (struct tensor_type){ 0 };
	reader_create(&reader, value);
	if (reader_map(&reader, field, &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < pairs; i++)
		if (read_pair(&reader, field, type, &found) != 0)
			return -1;
	if (check(&found, field, type) != 0)
		return -1;
	*data = found.data;
	return 0;
}

void
wire_tensor_write(struct writer *writer, const struct tensor_type *type, const void *data)
{
	writer_map(writer, 3);
	writer_string(writer, "datatype");
	writer_string(writer, data_type_name(type->data_type));
	writer_string(writer, "shape");
	writer_array(writer, type->rank);
	for (uint32_t i = 0; i < type->rank; i++)
		writer_int(writer, type->dims[i]);
	writer_string(writer, "data");
	writer_bytes(writer, data, tensor_bytes(type));
}

bool
wire_tensor_is(struct slice value)
{
	struct reader reader;
	uint32_t pairs;
	reader_create(&reader, value);
	if (reader_map(&reader, "value", &pairs) != 0)
		return false;
	for (uint32_t i = 0; i < pairs; i++) {
		struct slice key, ignored;
		if (reader_string(&reader, "value", &key) != 0)
			return false;
		if (slice_is(key, "datatype") || slice_is(key, "nd"))
			return true;
		if (reader_any(&reader, &ignored) != 0)
			return false;
	}
	return false;
}
