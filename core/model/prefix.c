#include "model/prefix.h"

#include "exec/program.h"
#include "model/image.h"

static const double slack = 1.01;

/* ns of a run with all groups there; 0 when it is not known. */
static double
resident_ns(const struct program *program)
{
	double total = 0;
	for (uint32_t i = 0; i < program_part_count(program); i++)
		total += (double)program_part(program, i).ns;
	return total;
}

/* When the last of the first `groups` has arrived, ns after the copy of group `first` began. */
static double
arrival_ns(const struct image *image, uint32_t first, uint32_t groups, double rate)
{
	return (double)image_bytes_of(image_on_host(image), first, groups) / rate * 1e9;
}

/* ns of a run with groups 0 … there-1 there and the others on their way; each part takes `scale` of what is known of it. */
static double
run_ns(const struct image *image, const struct program *program, uint32_t there, double rate,
       double scale)
{
	double now = 0;
	for (uint32_t i = 0; i < program_part_count(program); i++) {
		struct program_part part = program_part(program, i);
		double ready = arrival_ns(image, there, part.groups, rate);
		now = (ready > now ? ready : now) + (double)part.ns * scale;
	}
	return now;
}

uint32_t
prefix_groups(const struct image *image, const struct program *program, double rate, double taken)
{
	uint32_t least = 0, enough = image->group_count;
	double parts = resident_ns(program);
	double scale = taken > 0 && parts > 0 ? taken / parts : 1, longest = parts * scale * slack;
	if (rate <= 0 || longest == 0)
		return enough;
	while (least < enough) {
		uint32_t half = least + (enough - least) / 2;
		if (run_ns(image, program, half, rate, scale) <= longest)
			enough = half;
		else
			least = half + 1;
	}
	return enough;
}
