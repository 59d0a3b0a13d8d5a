/*
 * Matching: what passes look patterns up with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "exec/graph.h"
#include "exec/operator.h"

/* Who makes and who reads each value. Goes stale where a pass rewires; passes fix the entries that they rely on. */
struct match {
	struct graph *graph;
	/* Node that makes the value; -1: an input or a constant. */
	int32_t *producers;
	/* The last node that reads it; -1: none. */
	int32_t *consumers;
	/* Reads by nodes and the graph's outputs. */
	uint32_t *uses;
};

/* -1 for want of memory. */
int
match_create(struct match *match, struct graph *graph, struct arena *scratch);

/* Is the node there, of ONNX's own domain and that type? */
bool
match_is(const struct node *node, const char *op_type);

/* The node of that type that makes input `input` of node, or NULL. */
struct node *
match_producer(const struct match *match, const struct node *node, uint32_t input,
	       const char *op_type);

/* As match_producer, only when nobody but node reads what it makes. */
struct node *
match_sole_producer(const struct match *match, const struct node *node, uint32_t input,
		    const char *op_type);

/* The one node that reads the value, when that is its only use; NULL otherwise. */
struct node *
match_sole_consumer(const struct match *match, int32_t value);

/* The float constant that input `input` is, or NULL. */
const struct constant *
match_floats(const struct match *match, const struct node *node, uint32_t input);

/* The same of FP32 or 16-bit floats. */
const struct constant *
match_reals(const struct match *match, const struct node *node, uint32_t input);

/* Is input `input` a float constant of one element? Writes it. */
bool
match_scalar(const struct match *match, const struct node *node, uint32_t input, float *scalar);

/* Is one input of this node of two a single float constant, near `wanted` unless that is NaN? *other: the other input. */
bool
match_with_scalar(const struct match *match, const struct node *node, const char *op_type,
		  float wanted, float *scalar, uint32_t *other);

/* A new constant of the graph in a new value; its data (to be filled in) in *data. The value's index, or -1. */
int32_t
match_add_constant(struct graph *graph, const char *name, enum data_type data_type, uint32_t rank,
		   const int64_t *dims, void **data);
