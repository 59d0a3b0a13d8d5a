/*
 * Calls: what a handler asks of the core, and the answers. This file is also the FFI's declaration in the worker (embedded
 * as text), so it holds plain declarations only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum call_kind {
	/* A tensor that the handler made: `handle` names it, its bytes lie in the worker's heap. */
	CALL_TENSOR = 1,
	/* Run model `index` of the script's models on `inputs`; `outputs` name the results. */
	CALL_MODEL = 2,
	/* Run one ONNX operator on `inputs`. */
	CALL_OPERATION = 3,
	/* Bring the tensor `handle` back to the handler; it waits for that. */
	CALL_GET = 4,
	/* The handler has no more use for `handle`. */
	CALL_FREE = 5,
};

enum {
	CALL_TENSORS_MAX = 16,
	CALL_RANK_MAX = 8,
	CALL_ATTRIBUTES_MAX = 8,
	CALL_NAME_BYTES = 32,
	CALL_VALUES_MAX = 16,
	/* Most calls of one batch. */
	CALL_BATCH_MAX = 4096,
};

/* Type of a tensor. Numbers as ONNX's (exec/tensor.h enum data_type). */
struct call_tensor {
	uint32_t data_type;
	uint32_t rank;
	int64_t dims[CALL_RANK_MAX];
};

enum call_attribute_kind {
	CALL_ATTRIBUTE_INT = 1,
	CALL_ATTRIBUTE_FLOAT = 2,
	CALL_ATTRIBUTE_INTS = 3,
	CALL_ATTRIBUTE_STRING = 4,
};

struct call_attribute {
	char name[CALL_NAME_BYTES];
	uint32_t kind;
	uint32_t count;
	union {
		int64_t ints[CALL_VALUES_MAX];
		float floats[CALL_VALUES_MAX];
		char string[CALL_NAME_BYTES];
	} as;
};

/*
 * One call, checked: enums in range, handles known to the request, counts within their arrays, data within the heap.
 * The handles of a request count up from 1, in the order in which its calls define them (CALL_TENSOR's, outputs).
 */
struct call {
	enum call_kind kind;
	/* CALL_TENSOR (defines it), CALL_GET, CALL_FREE. */
	uint32_t handle;
	/* CALL_TENSOR: type, and bytes in the worker's heap (the worker may change them at any time: copy, do not re-read). */
	struct call_tensor type;
	const void *data;
	size_t bytes;
	/* CALL_MODEL */
	uint32_t model;
	/* CALL_MODEL and CALL_OPERATION */
	uint32_t input_count;
	uint32_t inputs[CALL_TENSORS_MAX];
	uint32_t output_count;
	uint32_t outputs[CALL_TENSORS_MAX];
	/* CALL_OPERATION: ONNX operator of the default domain. */
	char op_type[CALL_NAME_BYTES];
	uint32_t attribute_count;
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
};
