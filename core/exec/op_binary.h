/*
 * What element-wise operators of two and more tensors do, for every backend.
 */
#pragma once

#include "exec/operator.h"
#include "exec/rows.h"

/* The function of the call's operator, which is one of op_binary.c's, but Mod and Mean. */
enum row_binary
op_binary_row(const struct operator_call *call);
