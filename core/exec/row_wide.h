/*
 * Rows for AVX-512, where the compiler's are slower: these take two thirds to a half of the time.
 */
#pragma once

#include "exec/rows.h"

/* The function for FP32; NULL when there is none. Only where panels_supported() says so. */
row_unary_f *
row_wide(enum row_unary function);
