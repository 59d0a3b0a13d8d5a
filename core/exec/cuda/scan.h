/* CumSum in parts, several blocks a row: what its kernels need. */
#pragma once

#include <stdint.h>

#include "exec/axis.h"

/* Elements of a row that one block adds up. */
enum { SCAN_PART = 2048 };

/* Parts of a row. The run's scratch holds the sum of each part of all rows, 8 bytes each. */
int64_t
scan_parts(const struct axis *axis);
