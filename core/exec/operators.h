/*
 * The families of operators, a file op_NAME.c each. operator_find looks through them in this order.
 */
#pragma once

#include "exec/operator.h"

/* clang-format off */
#define OPERATOR_FAMILIES(X) \
	X(adapt) \
	X(arg) \
	X(attention) \
	X(binary) \
	X(blocks) \
	X(cache) \
	X(cast) \
	X(control) \
	X(conv) \
	X(deconv) \
	X(detect) \
	X(einsum) \
	X(elements) \
	X(fold) \
	X(gather) \
	X(generate) \
	X(integer) \
	X(list) \
	X(lookup) \
	X(loss) \
	X(mask) \
	X(matmul) \
	X(move) \
	X(norm) \
	X(normalize) \
	X(pool) \
	X(quantize) \
	X(random) \
	X(recurrent) \
	X(reduce) \
	X(remap) \
	X(reorder) \
	X(resize) \
	X(sample) \
	X(scale) \
	X(scan) \
	X(scatter) \
	X(select) \
	X(sequence) \
	X(shape) \
	X(signal) \
	X(softmax) \
	X(sort) \
	X(unary) \
	X(weighting) \
	X(where)
/* clang-format on */

#define X(name) extern const struct operator_family operator_family_##name;
OPERATOR_FAMILIES(X)
#undef X
