/*
 * Channels last (LAYOUT_LAST), as backends that want it run the operators of the table: a few have kernels that know the
 * layout; for most, a tensor whose channels lie last is a plain one with its dimensions in another order, so that they are
 * prepared as if the model had said that, with axes and the like turned round.
 */
#pragma once

#include "exec/operator.h"

enum last_role {
	/* Wants plain tensors. */
	LAST_NEVER,
	/* Wants channels last whatever it is given, for types whose backend likes that (convolutions). */
	LAST_SEEKS,
	/* Works with channels last where an input of it lies so. */
	LAST_FOLLOWS,
};

/* What the call's operator would like; only types and constants of the call are looked at. */
enum last_role
last_role(const struct operator_call *call);

/* When it works with channels last: which inputs are to lie so, which outputs do. */
bool
last_takes(const struct operator_call *call, uint32_t input);
bool
last_gives(const struct operator_call *call, uint32_t output);

/* Are its results the memory of input 0, seen otherwise, though the operator is no view for plain tensors (a Transpose)? */
bool
last_is_view(const struct operator_call *call);

/* Does a plain Transpose of those types give the memory of its input as a tensor with channels last? */
bool
last_is_made(const struct operator_call *call);

/* Is any tensor of the call to lie with its channels last, by the layouts that prepare is given? */
bool
last_is_used(const struct operator_call *call);

/*
 * The call that does the same to plain tensors, in call's arena: *view is to be prepared instead. Untouched where the
 * operator's kernels know the layout themselves: false. -1 with the error set.
 */
int
last_view(const struct operator_call *call, struct operator_call *view, bool *is_other);
