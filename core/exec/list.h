/*
 * Lists: ONNX's sequences of tensors, as values of the interpreter. A constant that holds one has a
 * data type that no tensor has; nothing but the interpreter and the operators on sequences
 * (op_list.c) ever sees it.
 */
#pragma once

#include "exec/graph.h"

enum {
	/* The data type of a constant whose data is a struct list. */
	LIST_DATA_TYPE = 1000,
};

/* Tensors in order; never changed once it is made. */
struct list {
	int64_t count;
	const struct constant *items;
};

static inline bool
list_is(const struct constant *value)
{
	return (int)value->type.data_type == LIST_DATA_TYPE;
}
