#include "model/compile_parameters.h"

#include <string.h>

#include "exec/backend.h"

static struct location
location_of_entry(const struct pack_entry *entry)
{
	return (struct location){ .place = PLACE_GROUP,
				  .index = entry->group,
				  .offset = entry->offset };
}

static size_t
round_up(size_t bytes)
{
	return (bytes + PACK_ALIGNMENT - 1) / PACK_ALIGNMENT * PACK_ALIGNMENT;
}

/* Memory of the program's own for a constant that is not the model's. */
static void *
add_literal(struct compiler *compiler, size_t bytes, struct location *location)
{
	char *memory = arena_alloc(&compiler->program->arena, bytes + PACK_ALIGNMENT);
	struct literal *literal = arena_alloc(&compiler->scratch, sizeof(*literal));
	if (memory == NULL || literal == NULL)
		return NULL;
	memory += -(uintptr_t)memory % PACK_ALIGNMENT;
	*location = (struct location){ .place = PLACE_LITERAL, .literal = memory };
	*literal = (struct literal){ compiler->literals, location, memory, bytes };
	compiler->literals = literal;
	compiler->literal_bytes += round_up(bytes);
	return memory;
}

/* Room for a new form of the constant: in the image while that is being made, else in the program. */
static void *
add_form(struct compiler *compiler, const struct constant *constant, const char *key,
	 const void *descriptor, size_t size, size_t bytes, struct location *location)
{
	void *buffer;
	if (compiler->pack->closed || pack_value(compiler->pack, constant) < 0)
		return add_literal(compiler, bytes, location);
	const struct pack_entry *entry =
		pack_add(compiler->pack, constant, key, descriptor, size, bytes, &buffer);
	if (entry == NULL)
		return NULL;
	*location = location_of_entry(entry);
	return buffer;
}

static int
find_parameter(struct parameters *parameters, const struct constant *constant, const char *key,
	       void *descriptor, size_t size)
{
	struct step_parameters *own = (struct step_parameters *)parameters;
	const struct pack_entry *entry = pack_find(own->compiler->pack, constant, key);
	if (entry == NULL || entry->descriptor_bytes != size)
		return 0;
	memcpy(descriptor, entry->descriptor, size);
	return 1;
}

/* Pack from the constant, or from a copy for the time where its data is not aligned. */
static int
pack_aligned(const struct constant *constant, void *to, operator_pack_f *pack, void *context)
{
	struct arena temporary;
	arena_create(&temporary, 0);
	const struct constant *from = constant_aligned(constant, &temporary);
	int result = from == NULL ? -1 : pack(context, from, to);
	arena_destroy(&temporary);
	return result;
}

static int
add_parameter(struct parameters *parameters, const struct operator_call *call, uint32_t input,
	      const char *key, const void *descriptor, size_t size, size_t bytes,
	      operator_pack_f *pack, void *context)
{
	struct step_parameters *own = (struct step_parameters *)parameters;
	const struct constant *constant = call->constants[input];
	struct location *location = &own->step->inputs[input];
	const struct pack_entry *entry = pack_find(own->compiler->pack, constant, key);
	if (entry != NULL && entry->descriptor_bytes == size && entry->bytes == bytes &&
	    memcmp(entry->descriptor, descriptor, size) == 0) {
		*location = location_of_entry(entry);
		return 0;
	}
	void *to = add_form(own->compiler, constant, key, descriptor, size, bytes, location);
	return to == NULL ? -1 : pack_aligned(constant, to, pack, context);
}

/* A constant that no operator packed, as it is. */
static int
add_plain(struct compiler *compiler, const struct constant *constant, struct location *location)
{
	size_t bytes = tensor_bytes(&constant->type);
	const struct pack_entry *entry = pack_find(compiler->pack, constant, "");
	if (entry != NULL) {
		*location = location_of_entry(entry);
		return 0;
	}
	void *to = add_form(compiler, constant, "", NULL, 0, bytes, location);
	if (to != NULL)
		constant_write(constant, to);
	return to == NULL ? -1 : 0;
}

/* Find the constants among the step's inputs that prepare left as they are. */
static int
place_constants(struct compiler *compiler, const struct operator_call *call, struct step *step)
{
	for (uint32_t i = 0; i < call->input_count; i++) {
		bool read_at_run = call->constants[i] != NULL &&
				   !operator_needs_value(call->op, i) &&
				   (call->op->flags & OPERATOR_TYPE_ONLY) == 0;
		if (read_at_run && step->inputs[i].place == PLACE_NONE &&
		    add_plain(compiler, call->constants[i], &step->inputs[i]) != 0)
			return -1;
	}
	return 0;
}

/* Groups that must be there before the step, the last one so far. */
static void
count_groups(const struct program *program, struct step *step)
{
	if (step != program->steps)
		step->groups = step[-1].groups;
	for (uint32_t i = 0; i < step->input_count; i++)
		if (step->inputs[i].place == PLACE_GROUP && step->inputs[i].index >= step->groups)
			step->groups = step->inputs[i].index + 1;
}

struct step_parameters
compile_parameters_of(struct compiler *compiler, struct step *step)
{
	return (struct step_parameters){ { find_parameter, add_parameter }, compiler, step };
}

int
compile_parameters_place(struct compiler *compiler, const struct operator_call *call,
			 struct step *step)
{
	if (place_constants(compiler, call, step) != 0)
		return -1;
	count_groups(compiler->program, step);
	return 0;
}

int
compile_parameters_place_literals(struct compiler *compiler)
{
	struct program *program = compiler->program;
	size_t offset = 0;
	if (compiler->backend->copy_in == NULL || compiler->literal_bytes == 0)
		return 0;
	char *block = arena_alloc(&program->arena, compiler->literal_bytes);
	if (block == NULL)
		return -1;
	program->literals = block;
	program->literal_bytes = compiler->literal_bytes;
	program->literal_offset = compiler->plan.workspace_bytes;
	compiler->plan.workspace_bytes += program->literal_bytes;
	for (const struct literal *each = compiler->literals; each != NULL; each = each->next) {
		/* A second try to prepare a step may have left the first one's behind. */
		if (each->location->place != PLACE_LITERAL ||
		    each->location->literal != each->memory)
			continue;
		memcpy(block + offset, each->memory, each->bytes);
		*each->location = (struct location){ .place = PLACE_WORKSPACE,
						     .offset = program->literal_offset + offset };
		offset += round_up(each->bytes);
	}
	return 0;
}

int
compile_parameters_cut(struct compiler *compiler)
{
	struct program *program = compiler->program;
	if (compiler->pack->closed)
		return 0;
	if (pack_cut(compiler->pack) != 0)
		return -1;
	for (uint32_t i = 0; i < program->info.step_count; i++) {
		struct step *step = &program->steps[i];
		for (uint32_t k = 0; k < step->input_count; k++)
			if (step->inputs[k].place == PLACE_GROUP)
				pack_find_group(compiler->pack, step->inputs[k].offset,
						&step->inputs[k].index, &step->inputs[k].offset);
		step->groups = 0;
		count_groups(program, step);
	}
	return 0;
}
