#include "model/synthetic.h"

#include "exec/step.h"
#include "model/image.h"

/* A kernel_run_f. */
static int
run_nothing(const void *state, const struct operands *operands)
{
	return 0;
}

/* So much of run_ns as belongs to the image's first `bytes`. */
static uint64_t
share(const struct image *image, uint64_t bytes, uint64_t run_ns)
{
	return (uint64_t)((double)run_ns * ((double)bytes / (double)image->bytes));
}

static void
fill_steps(struct program *program, const struct image *image, uint64_t run_ns)
{
	for (uint32_t i = 0; i < image->group_count; i++) {
		const struct image_group *group = &image->groups[i];
		program->steps[i] = (struct step){
			.name = "synthetic",
			.op_type = "Synthetic",
			.kernel = { .run = run_nothing },
			.groups = i + 1,
			.duration_ns = share(image, group->offset + group->bytes, run_ns) -
				       share(image, group->offset, run_ns),
		};
	}
}

/* The input by which a program for several rows is known. */
static int
add_rows(struct program *program, uint32_t rows)
{
	struct tensor_type *type = arena_calloc(&program->arena, 1, sizeof(*type));
	if (type == NULL)
		return -1;
	*type = (struct tensor_type){ DATA_TYPE_UINT8, 1, { rows } };
	program->info.inputs = type;
	program->info.input_count = 1;
	return 0;
}

struct program *
synthetic_program(const struct image *image, uint32_t rows, uint64_t run_ns,
		  uint64_t workspace_bytes)
{
	struct program *program = program_new();
	if (program == NULL)
		return NULL;
	program->steps =
		arena_calloc(&program->arena, image->group_count, sizeof(program->steps[0]));
	if (program->steps == NULL || (rows > 1 && add_rows(program, rows) != 0)) {
		program_unref(program);
		return NULL;
	}
	fill_steps(program, image, run_ns);
	program->threads = 1;
	program->info.step_count = image->group_count;
	program->info.workspace_bytes = workspace_bytes;
	if (program_finish(program) == 0)
		return program;
	program_unref(program);
	return NULL;
}
