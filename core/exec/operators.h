/*
 * The families of operators, a file op_NAME.c each. operator_find looks through them in this order.
 */
#pragma once

#include "exec/operator.h"

#define OPERATOR_FAMILIES(X) X(shape)

#define X(name) extern const struct operator_family operator_family_##name;
OPERATOR_FAMILIES(X)
#undef X
