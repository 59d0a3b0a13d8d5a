#include "exec/cuda/weights.h"

#include <string.h>

/* What is known of packed weights: their key's descriptor, and what packing them needs. */
struct weights {
	int64_t outer;
	int64_t channels;
	int64_t places;
	int64_t element_bytes;
};

static const char weights_key[] = "channels last";

/* Each outer piece transposed. */
static int
pack(void *context, const struct constant *from, void *to)
{
	const struct weights *weights = context;
	size_t bytes = (size_t)weights->element_bytes;
	const char *in = from->data;
	char *out = to;
	for (int64_t i = 0; i < weights->outer; i++)
		for (int64_t place = 0; place < weights->places; place++)
			for (int64_t c = 0; c < weights->channels; c++, out += bytes) {
				int64_t at = (i * weights->channels + c) * weights->places + place;
				memcpy(out, in + (size_t)at * bytes, bytes);
			}
	return 0;
}

int
cuda_weights_put_last(struct operator_call *call, uint32_t input)
{
	const struct tensor_type *type = &call->inputs[input];
	struct weights weights = { .outer = type->dims[0],
				   .channels = type->dims[1],
				   .places = 1,
				   .element_bytes = (int64_t)data_type_bytes(type->data_type) };
	for (uint32_t i = 2; i < type->rank; i++)
		weights.places *= type->dims[i];
	/* Pointwise and depthwise ones lie the same either way. */
	if (weights.channels == 1 || weights.places == 1)
		return 0;
	return operator_pack(call, input, weights_key, &weights, sizeof(weights),
			     tensor_bytes(type), pack, &weights);
}
