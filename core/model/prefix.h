/*
 * Partial residency: how much of a model must stay on a device for the copy of the rest to hide behind the run.
 */
#pragma once

#include <stdint.h>

struct image;
struct program;

/*
 * The fewest groups that must be there when a run of program begins for it to end no more than a hundredth later than with
 * all of them there, while the others are copied one after the other at bytes/s `rate`. A run that is put through on paper:
 * each part begins when the one before it is done and its groups have arrived. taken: ns of a whole run as it was seen, which
 * the parts share as far as is known of them; 0: the parts themselves. All groups while times or the rate (0) are not known.
 */
uint32_t
prefix_groups(const struct image *image, const struct program *program, double rate, double taken);
