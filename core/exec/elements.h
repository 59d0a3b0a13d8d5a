/*
 * Elements: element-wise operators that feed each other as one node, tidepool.Elements, which does all of them to a few
 * elements while these are in the cache, or in registers, and goes on. Made by model/pass_elements.c.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "exec/rows.h"
#include "exec/tensor.h"

struct node;

enum {
	ELEMENTS_STEPS_MAX = 64,
	ELEMENTS_INPUTS_MAX = 32,
};

/* What an element-wise operator does, for every backend: out = f(a), or out = f(a, b). */
struct element {
	/* 1 or 2. */
	uint32_t operand_count;
	union {
		enum row_unary unary;
		enum row_binary binary;
	} function;
	/* Of the operands, and of what it gives. */
	enum data_type data_type;
	enum data_type result_type;
	/* A function of one operand's own parameters. */
	float alpha;
	float beta;
};

struct element_step {
	struct element element;
	/* An input of the node, or as ~s what step s gives. */
	int32_t operands[2];
	/* The output of the node that it is; -1: none. */
	int32_t output;
};

/* The steps, in order. Results have the shape of the outputs, to which inputs broadcast. */
struct element_steps {
	uint32_t count;
	struct element_step steps[ELEMENTS_STEPS_MAX];
};

/* Give the node its steps, as attributes in arena. -1 for want of memory. */
int
elements_write(struct node *node, const struct element_steps *elements, struct arena *arena);

/*
 * A register for what each step gives, free again for what comes when it was read last: registers has a number a step.
 */
void
elements_assign(const struct element_steps *elements, uint8_t *registers);

/* The steps of a node that elements_write was called for. */
void
elements_read(const struct node *node, struct element_steps *elements);
