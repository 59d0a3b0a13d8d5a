#include "exec/tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* Tensors stay below this many bytes, so that sums of sizes do not overflow. */
static const int64_t BYTES_LIMIT = (int64_t)1 << 62;

size_t
data_type_bytes(enum data_type data_type)
{
	switch (data_type) {
#define X(name, number, bytes, wire)                                                               \
	case DATA_TYPE_##name:                                                                     \
		return bytes;
		DATA_TYPES(X)
#undef X
	default:
		return 0;
	}
}

const char *
data_type_name(enum data_type data_type)
{
	switch (data_type) {
#define X(name, number, bytes, wire)                                                               \
	case DATA_TYPE_##name:                                                                     \
		return wire;
		DATA_TYPES(X)
#undef X
	default:
		return "NONE";
	}
}

enum data_type
data_type_from_name(const char *name, size_t length)
{
#define X(type, number, bytes, wire)                                                               \
	if (length == sizeof(wire) - 1 && memcmp(name, wire, length) == 0)                         \
		return DATA_TYPE_##type;
	DATA_TYPES(X)
#undef X
	return DATA_TYPE_NONE;
}

int64_t
tensor_elements(const struct tensor_type *type)
{
	int64_t elements = 1;
	bool dynamic = false;
	for (uint32_t i = 0; i < type->rank; i++) {
		dynamic |= type->dims[i] == TENSOR_DYNAMIC;
		elements *= type->dims[i];
	}
	return dynamic ? -1 : elements;
}

size_t
tensor_bytes(const struct tensor_type *type)
{
	int64_t elements = tensor_elements(type);
	assert(elements >= 0);
	return (size_t)elements * data_type_bytes(type->data_type);
}

int
tensor_type_check(const struct tensor_type *type)
{
	size_t bytes = data_type_bytes(type->data_type);
	if (bytes == 0)
		return error_set(ERR_INVALID_ARGUMENT, "unknown element type %d",
				 (int)type->data_type);
	if (type->rank > TENSOR_MAX_RANK)
		return error_set(ERR_INVALID_ARGUMENT, "rank %" PRIu32 " is above %d", type->rank,
				 TENSOR_MAX_RANK);
	int64_t size = (int64_t)bytes;
	for (uint32_t i = 0; i < type->rank; i++) {
		int64_t dim = type->dims[i];
		if (dim < 0 && dim != TENSOR_DYNAMIC)
			return error_set(ERR_INVALID_ARGUMENT, "dimension %" PRIu32 " is %" PRId64,
					 i, dim);
		/* A zero elsewhere does not excuse a product that overflows. */
		int64_t factor = dim > 0 ? dim : 1;
		if (__builtin_mul_overflow(size, factor, &size) || size >= BYTES_LIMIT)
			return error_set(ERR_INVALID_ARGUMENT,
					 "dimension %" PRIu32 " of %" PRId64
					 " makes the tensor too large",
					 i, dim);
	}
	return 0;
}

bool
tensor_dims_equal(const struct tensor_type *a, const struct tensor_type *b)
{
	return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof(a->dims[0])) == 0;
}

bool
tensor_type_equal(const struct tensor_type *a, const struct tensor_type *b)
{
	return a->data_type == b->data_type && tensor_dims_equal(a, b);
}

/* Append to text as snprintf does; *used grows by what there was room for. */
static void
append(char *text, size_t room, size_t *used, const char *piece)
{
	size_t left = room - *used;
	size_t length = strlen(piece);
	if (left == 0)
		return;
	if (length >= left)
		length = left - 1;
	memcpy(text + *used, piece, length);
	*used += length;
	text[*used] = '\0';
}

const char *
tensor_type_format(const struct tensor_type *type, char *text, size_t room)
{
	size_t used = 0;
	append(text, room, &used, data_type_name(type->data_type));
	append(text, room, &used, "[");
	for (uint32_t i = 0; i < type->rank && i < TENSOR_MAX_RANK; i++) {
		char dim[24];
		snprintf(dim, sizeof(dim), "%s%" PRId64, i == 0 ? "" : ",", type->dims[i]);
		if (type->dims[i] == TENSOR_DYNAMIC)
			snprintf(dim, sizeof(dim), "%s?", i == 0 ? "" : ",");
		append(text, room, &used, dim);
	}
	append(text, room, &used, "]");
	return text;
}
