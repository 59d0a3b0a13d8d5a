/*
 * Operators that are others put together: what ONNX Runtime's optimiser and quantiser write (com.microsoft), and newer ones
 * of ONNX's that are larger than a kernel. Each has a function that adds the nodes it stands for; pass_expand calls it, before
 * anything else looks at the graph and before any type is known. So they run wherever their parts do.
 */
#pragma once

#include <stdbool.h>

#include "exec/graph.h"

/* One node that is being replaced. The functions below may be called on after one failed: they do nothing then. */
struct expand {
	struct graph *graph;
	/* A copy of the node. */
	struct node node;
	/* Index of the first node that was added for it. */
	uint32_t first;
	/* The error is set. */
	bool failed;
};

/* Adds the nodes; errors show in expand->failed. */
typedef void
expand_f(struct expand *expand);

struct expansion {
	/* Domain "" and the first version, or another domain. */
	const char *domain;
	const char *type;
	int since;
	expand_f *expand;
};

struct expansion_list {
	const struct expansion *expansions;
	uint32_t count;
};

extern const struct expansion_list expand_attention;
extern const struct expansion_list expand_fused;
extern const struct expansion_list expand_quantized;

/* Input `input` of the node, -1 when it is absent. */
int32_t
expand_input(const struct expand *expand, uint32_t input);

/* Is that output of the node wanted by anybody? */
bool
expand_wants(const struct expand *expand, uint32_t output);

/* A new node of ONNX's own domain and one output, which is returned. Inputs may be -1: absent. */
int32_t
expand_op(struct expand *expand, const char *op_type, uint32_t count, const int32_t *inputs);
#define EXPAND(expand, op_type, ...)                                                               \
	expand_op(expand, op_type, sizeof((int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t),           \
		  (int32_t[]){ __VA_ARGS__ })

/* One more output of the node that was added last. */
int32_t
expand_more(struct expand *expand);

/* Make the node that was added last one of our own domain. */
void
expand_own(struct expand *expand);

/* Attributes of the node that was added last. Arrays and names must outlive the graph (be static), or lie in its arena. */
void
expand_int(struct expand *expand, const char *name, int64_t value);
void
expand_float(struct expand *expand, const char *name, float value);
void
expand_text(struct expand *expand, const char *name, const char *value);
void
expand_ints(struct expand *expand, const char *name, uint32_t count, const int64_t *values);

/* It has all attributes of the node that is replaced; call it first. */
void
expand_inherit(struct expand *expand);

/* Constants: INT64 of rank 1, one FLOAT of rank 0. */
int32_t
expand_numbers(struct expand *expand, uint32_t count, const int64_t *values);
#define EXPAND_NUMBERS(expand, ...)                                                                \
	expand_numbers(expand, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t),               \
		       (int64_t[]){ __VA_ARGS__ })
int32_t
expand_scalar(struct expand *expand, float value);

/* Value is what the node gives as output `output`. Returns what it is to be called from then on. */
int32_t
expand_give(struct expand *expand, uint32_t output, int32_t value);

/* The node asks for what is not there: UNIMPLEMENTED with its name, operator and opset, and what. */
void
expand_refuse(struct expand *expand, const char *what);

/* --- what several expansions need -------------------------------------------------------------------------------------- */

/* Transposed in that order. */
int32_t
expand_transpose(struct expand *expand, int32_t value, uint32_t rank, const int64_t *order);
#define EXPAND_TRANSPOSE(expand, value, ...)                                                       \
	expand_transpose(expand, value,                                                            \
			 sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t),               \
			 (const int64_t[]){ __VA_ARGS__ })

/* value * factor, factor as value's type. */
int32_t
expand_scale(struct expand *expand, int32_t value, float factor);
