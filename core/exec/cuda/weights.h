/*
 * Weights as kernels for channels last want them: the channels behind the places of the kernel (KRSC), brought there once, in
 * the model's image.
 */
#pragma once

#include "exec/operator.h"

/* Let constant input `input`, [out][in][places], be read as [out][places][in]. -1 with the error set. */
int
cuda_weights_put_last(struct operator_call *call, uint32_t input);
