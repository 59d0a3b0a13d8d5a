#include "exec/axis.h"

#include <inttypes.h>

#include "base/error.h"

struct axis
axis_of(const struct tensor_type *type, uint32_t index)
{
	struct axis axis = { 1, type->dims[index], 1 };
	for (uint32_t i = 0; i < type->rank; i++) {
		if (i < index)
			axis.outer *= type->dims[i];
		else if (i > index)
			axis.inner *= type->dims[i];
	}
	return axis;
}

struct axis
axis_from(const struct tensor_type *type, uint32_t index)
{
	struct axis axis = { 1, 1, 1 };
	for (uint32_t i = 0; i < type->rank; i++)
		*(i < index ? &axis.outer : &axis.dim) *= type->dims[i];
	return axis;
}

void
axis_steps(const struct tensor_type *type, int64_t *steps)
{
	int64_t step = 1;
	for (uint32_t i = type->rank; i-- > 0;) {
		steps[i] = step;
		step *= type->dims[i];
	}
}

int64_t
axis_integer(enum data_type data_type, const void *data, int64_t i)
{
	return data_type == DATA_TYPE_INT64 ? ((const int64_t *)data)[i]
					    : ((const int32_t *)data)[i];
}

int
axis_index(int64_t *index, int64_t dim)
{
	if (*index < -dim || *index >= dim)
		return error_set(ERR_OUT_OF_RANGE,
				 "index %" PRId64 " is out of range for a dimension of %" PRId64,
				 *index, dim);
	if (*index < 0)
		*index += dim;
	return 0;
}
