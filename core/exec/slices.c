#include "exec/slices.h"

#include <string.h>

#include "base/error.h"
#include "exec/axis.h"

static void *
alloc_tensor(const struct tensor_type *type, struct arena *arena)
{
	size_t bytes = tensor_bytes(type);
	return arena_alloc(arena, bytes == 0 ? 1 : bytes);
}

int
slices_take(const struct constant *from, uint32_t axis, int64_t first, int64_t count,
	    struct arena *arena, struct constant *to)
{
	struct axis split = axis_of(&from->type, axis);
	size_t row = (size_t)split.inner * data_type_bytes(from->type.data_type);
	struct tensor_type type = from->type;
	type.dims[axis] = count;
	char *data = alloc_tensor(&type, arena);
	if (data == NULL)
		return -1;
	for (int64_t i = 0; i < split.outer && count * (int64_t)row > 0; i++)
		memcpy(data + (size_t)(i * count) * row,
		       (const char *)from->data + (size_t)(i * split.dim + first) * row,
		       (size_t)count * row);
	*to = (struct constant){ .type = type, .data = data };
	return 0;
}

static void
remove_axis(struct tensor_type *type, uint32_t axis)
{
	type->rank--;
	memmove(type->dims + axis, type->dims + axis + 1,
		(type->rank - axis) * sizeof(type->dims[0]));
}

int
slices_row(const struct constant *from, uint32_t axis, int64_t row, struct arena *arena,
	   struct constant *to)
{
	if (slices_take(from, axis, row, 1, arena, to) != 0)
		return -1;
	remove_axis(&to->type, axis);
	return 0;
}

/* The type of all parts together; -1 when one does not fit the first. */
static int
join_types(const struct constant *parts, int64_t count, uint32_t axis, bool is_new,
	   struct tensor_type *type)
{
	*type = parts[0].type;
	if (is_new) {
		if (type->rank >= TENSOR_MAX_RANK)
			return error_set(ERR_INVALID_ARGUMENT, "tensors of rank %u have no room",
					 type->rank);
		memmove(type->dims + axis + 1, type->dims + axis,
			(type->rank++ - axis) * sizeof(type->dims[0]));
		type->dims[axis] = 1;
	}
	int64_t total = 0;
	for (int64_t i = 0; i < count; i++) {
		struct tensor_type other = parts[i].type, first = parts[0].type;
		if (!is_new) {
			total += other.rank > axis ? other.dims[axis] : 0;
			other.dims[axis] = first.dims[axis];
		}
		if (!tensor_type_equal(&other, &first))
			return error_set(ERR_INVALID_ARGUMENT,
					 "tensors that are put together differ in type");
	}
	type->dims[axis] = is_new ? count : total;
	return 0;
}

int
slices_join(const struct constant *parts, int64_t count, uint32_t axis, bool is_new,
	    struct arena *arena, struct constant *to)
{
	struct tensor_type type;
	if (join_types(parts, count, axis, is_new, &type) != 0)
		return -1;
	char *data = alloc_tensor(&type, arena);
	if (data == NULL)
		return -1;
	struct axis split = axis_of(&type, axis);
	size_t row = (size_t)split.inner * data_type_bytes(type.data_type);
	int64_t at = 0;
	for (int64_t i = 0; i < count; i++) {
		int64_t rows = is_new ? 1 : parts[i].type.dims[axis];
		size_t bytes = (size_t)rows * row;
		for (int64_t k = 0; k < split.outer && bytes > 0; k++)
			memcpy(data + (size_t)(k * split.dim + at) * row,
			       (const char *)parts[i].data + (size_t)k * bytes, bytes);
		at += rows;
	}
	*to = (struct constant){ .type = type, .data = data };
	return 0;
}
