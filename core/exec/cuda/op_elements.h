/*
 * Which element-wise operators the kernel of tidepool.Elements does.
 */
#pragma once

#include <stdbool.h>

struct element;
struct operator_call;

/* For backend.gathers. */
bool
cuda_op_gathers(const struct operator_call *call, const struct element *element);
