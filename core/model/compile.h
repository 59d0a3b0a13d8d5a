/*
 * The compiler: a model's graph and concrete input types in, a program out.
 */
#pragma once

#include <stdbool.h>

#include "device/device.h"
#include "exec/graph.h"
#include "exec/tensor.h"
#include "model/pack.h"

struct program;

struct compile_options {
	enum device_kind kind;
	/* Threads for programs that are worth it; small ones are made for one. */
	unsigned threads;
	/* Make one step of element-wise operators that are each other's neighbours (model/pass_elements.c). */
	bool gathers_elements;
};

/*
 * Compile graph, which is left as it is, for these input types. Only its constants have types; what a model declares its
 * inputs to be is for the caller to check. Parameters are looked up in pack and, while it is open,
 * added to it. NULL: INVALID_ARGUMENT naming input or node, UNIMPLEMENTED naming node and operator, RESOURCE_EXHAUSTED,
 * UNAVAILABLE when the kind of device has no module here.
 */
struct program *
compile(const struct graph *graph, struct pack *pack, const struct tensor_type *inputs,
	uint32_t input_count, const struct compile_options *options);
