/*
 * What recurrent networks do, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/recurrent.h"

enum {
	OP_RECURRENT_INPUTS = 8,
	OP_RECURRENT_OUTPUTS = 3,
};

/* Which inputs and outputs the node has; the addresses of others are NULL. */
struct recurrent_node {
	struct recurrent shape;
	bool has_input[OP_RECURRENT_INPUTS];
	bool has_output[OP_RECURRENT_OUTPUTS];
	bool batch_first;
};

/* The operands of direction d. */
struct recurrent_direction
op_recurrent_direction(const struct recurrent_node *node, const struct operands *operands,
		       int64_t d);
