/* What signal.cu needs besides its state. */
#pragma once

#include <stddef.h>

#include "exec/op_signal.h"

/* Scratch of a run, in place of the host's. */
size_t
cuda_signal_scratch(const struct spectrum *spectrum);
