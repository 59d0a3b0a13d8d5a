/*
 * What element-wise operators of one tensor do, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/rows.h"

struct op_unary {
	enum row_unary row;
	/* The function's own parameters. */
	float alpha;
	float beta;
};

/* The function of the call's operator, which is one of the table's that op_unary.c prepares by a row, but Gelu and Clip. */
struct op_unary
op_unary_read(const struct operator_call *call);
