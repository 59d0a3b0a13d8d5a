#include "exec/cuda/op.h"

#include <string.h>

static const struct cuda_family *const families[] = {
#define X(name) &cuda_family_##name,
	CUDA_FAMILIES(X)
#undef X
};

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const struct cuda_op *
find_in_family(const struct cuda_family *family, const struct op *op)
{
	for (size_t i = 0; i < family->count; i++) {
		const struct cuda_op *entry = &family->operators[i];
		if (strcmp(entry->type, op->type) == 0 && same_text(entry->domain, op->domain) &&
		    op->since >= entry->since)
			return entry;
	}
	return NULL;
}

const struct cuda_op *
cuda_op_find(const struct op *op)
{
	const struct cuda_op *found = NULL;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && found == NULL; i++)
		found = find_in_family(families[i], op);
	return found;
}

struct cuda_compute *
cuda_op_compute(const struct operands *operands)
{
	return operands->queue;
}

int
cuda_op_launched(const struct operands *operands, cudaError_t status, const char *kernel)
{
	return cuda_compute_check(operands->queue, status, kernel);
}

int
cuda_op_unsupported(const struct operator_call *call, enum data_type data_type)
{
	return operator_unimplemented(call, "element type %s has no kernel",
				      data_type_name(data_type));
}

bool
cuda_op_is_real(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT || data_type == DATA_TYPE_FLOAT16 ||
	       data_type == DATA_TYPE_BFLOAT16 || data_type == DATA_TYPE_DOUBLE;
}
