/*
 * Tensors on the wire: maps `{datatype="FP32", shape=[…], data=<bin>}`; msgpack-numpy's `{nd, type,
 * shape, data}` is read too.
 */
#pragma once

#include "exec/tensor.h"
#include "net/message.h"

/* Read a tensor map; *data points into value. INVALID_ARGUMENT names field and what is wrong with it. */
int
wire_tensor_read(struct slice value, const char *field, struct tensor_type *type,
		 struct slice *data);

void
wire_tensor_write(struct writer *writer, const struct tensor_type *type, const void *data);

/* True when the value is a map with a key that only tensor maps have. */
bool
wire_tensor_is(struct slice value);
