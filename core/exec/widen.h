/*
 * Operators on 16-bit floats: what an operator has no kernel for in FLOAT16 or BFLOAT16 runs in FLOAT, its operands
 * converted before and its results after.
 */
#pragma once

#include "exec/operator.h"

/* Infer as if 16-bit floats were FLOAT. -1, the error as it was, when there are none or that does not help either. */
int
widen_infer(struct operator_call *call);

/* Do the operator's own rules refuse the 16-bit floats that call has, so that prepare need not? Sets the error if so. */
bool
widen_is_needed(const struct operator_call *call);

/* As widen_infer for prepare; call->kernel is zeroed. */
int
widen_prepare(struct operator_call *call);

/* Is an operand of that type converted? */
typedef bool
widen_f(enum data_type data_type);

/* Prepare op for call with every operand that `widens` holds for converted to `to`, and results back. */
int
widen_prepare_as(struct operator_call *call, const struct op *op, widen_f *widens,
		 enum data_type to);
