/* Programs of synthetic models (model_new_synthetic). */
#pragma once

#include <stdint.h>

struct image;
struct program;

/*
 * A step a group, which does nothing and takes its share, by bytes, of run_ns. For more than one row it has one input, a byte
 * a row, which it does not read. NULL with RESOURCE_EXHAUSTED.
 */
struct program *
synthetic_program(const struct image *image, uint32_t rows, uint64_t run_ns,
		  uint64_t workspace_bytes);
