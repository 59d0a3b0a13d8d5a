/*
 * Operations: single ONNX operators called by name on tensors (a handler's y:softmax(-1)), compiled to programs without
 * parameters and cached by operator, attributes, input types and known values. A program's inputs are those without a
 * known value, in order. Any thread.
 */
#pragma once

#include "exec/graph.h"
#include "model/model.h"

struct program;
struct spelling;

struct operation {
	/* ONNX operator of the default domain, newest opset that is supported. */
	const char *op_type;
	/* Devices that it is to run on. */
	enum device_kind kind;
	uint32_t attribute_count;
	const struct attribute *attributes;
	uint32_t input_count;
	const struct tensor_type *inputs;
	/* Values of inputs that must be known when shapes are (axes, new shape); NULL entries: only known at run time. */
	const struct constant *const *constants;
	uint32_t output_count;
};

/* The cached program (a reference of the caller's), or NULL without an error. */
struct program *
operation_find(const struct operation *operation);

/* As operation_find, compiling if need be. NULL: UNIMPLEMENTED, INVALID_ARGUMENT naming operator and input. May block. */
struct program *
operation_compile(const struct operation *operation, const struct model_options *options);

/* Spell out all that the program depends on but the input types. A failure is noted in spelling. */
void
operation_spell(struct spelling *spelling, const struct operation *operation);
