/*
 * Tensor types and values. Elements are little endian, rows last (C order), without gaps, unless an operator's packed
 * layout says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Element types; the numbers are ONNX's (TensorProto.DataType). X(name, number, bytes, Open Inference Protocol name) */
#define DATA_TYPES(X)                                                                              \
	X(FLOAT, 1, 4, "FP32")                                                                     \
	X(UINT8, 2, 1, "UINT8")                                                                    \
	X(INT8, 3, 1, "INT8")                                                                      \
	X(UINT16, 4, 2, "UINT16")                                                                  \
	X(INT16, 5, 2, "INT16")                                                                    \
	X(INT32, 6, 4, "INT32")                                                                    \
	X(INT64, 7, 8, "INT64")                                                                    \
	X(BOOL, 9, 1, "BOOL")                                                                      \
	X(FLOAT16, 10, 2, "FP16")                                                                  \
	X(DOUBLE, 11, 8, "FP64")                                                                   \
	X(UINT32, 12, 4, "UINT32")                                                                 \
	X(UINT64, 13, 8, "UINT64")                                                                 \
	X(BFLOAT16, 16, 2, "BF16")

enum data_type {
	DATA_TYPE_NONE = 0,
	DATA_TYPE_FLOAT = 1,
	DATA_TYPE_UINT8 = 2,
	DATA_TYPE_INT8 = 3,
	DATA_TYPE_UINT16 = 4,
	DATA_TYPE_INT16 = 5,
	DATA_TYPE_INT32 = 6,
	DATA_TYPE_INT64 = 7,
	DATA_TYPE_BOOL = 9,
	DATA_TYPE_FLOAT16 = 10,
	DATA_TYPE_DOUBLE = 11,
	DATA_TYPE_UINT32 = 12,
	DATA_TYPE_UINT64 = 13,
	DATA_TYPE_BFLOAT16 = 16,
};

enum {
	TENSOR_MAX_RANK = 8,
	/* A dimension that is not known until a request brings it. */
	TENSOR_DYNAMIC = -1,
};

/* Element type and shape. */
struct tensor_type {
	enum data_type data_type;
	uint32_t rank;
	/* Outermost first; TENSOR_DYNAMIC where the model leaves it open. */
	int64_t dims[TENSOR_MAX_RANK];
};

/* Bytes of one element; 0 for DATA_TYPE_NONE and unknown numbers. */
size_t
data_type_bytes(enum data_type data_type);

/* "FP32" …, the Open Inference Protocol's names; and back, DATA_TYPE_NONE when there is none. */
const char *
data_type_name(enum data_type data_type);
enum data_type
data_type_from_name(const char *name, size_t length);

/* Product of the dims; 1 for rank 0. -1 when a dim is dynamic. Overflow was excluded by tensor_type_check. */
int64_t
tensor_elements(const struct tensor_type *type);

/* Bytes of a tensor of that type; asserts that no dim is dynamic. */
size_t
tensor_bytes(const struct tensor_type *type);

/* 0 when the type is sound: known element type, rank, no negative dim but TENSOR_DYNAMIC, size below 2^62 bytes. */
int
tensor_type_check(const struct tensor_type *type);

/* The same rank and dims, whatever the elements are. */
bool
tensor_dims_equal(const struct tensor_type *a, const struct tensor_type *b);

bool
tensor_type_equal(const struct tensor_type *a, const struct tensor_type *b);

/* "FP32[1,3,224,224]", dynamic dims as ?; cut to fit room. Returns text. */
const char *
tensor_type_format(const struct tensor_type *type, char *text, size_t room);
