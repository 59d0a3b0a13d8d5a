#include "exec/elements.h"

#include <assert.h>

#include "exec/graph.h"

/* A step as integers. */
enum field {
	FIELD_OPERANDS,
	FIELD_FUNCTION,
	FIELD_DATA_TYPE,
	FIELD_RESULT_TYPE,
	FIELD_A,
	FIELD_B,
	FIELD_OUTPUT,
	FIELD_COUNT,
};

static const char steps_name[] = "steps", numbers_name[] = "numbers";

int
elements_write(struct node *node, const struct element_steps *elements, struct arena *arena)
{
	uint32_t count = elements->count;
	int64_t *fields = arena_calloc(arena, (size_t)count * FIELD_COUNT, sizeof(fields[0]));
	float *numbers = arena_calloc(arena, (size_t)count * 2, sizeof(numbers[0]));
	struct attribute *attributes = arena_calloc(arena, 2, sizeof(attributes[0]));
	if (fields == NULL || numbers == NULL || attributes == NULL)
		return -1;
	for (uint32_t s = 0; s < count; s++) {
		const struct element_step *step = &elements->steps[s];
		const struct element *element = &step->element;
		int64_t *to = fields + (size_t)s * FIELD_COUNT;
		to[FIELD_OPERANDS] = element->operand_count;
		to[FIELD_FUNCTION] = element->operand_count == 1
					     ? (int64_t)element->function.unary
					     : (int64_t)element->function.binary;
		to[FIELD_DATA_TYPE] = element->data_type;
		to[FIELD_RESULT_TYPE] = element->result_type;
		to[FIELD_A] = step->operands[0];
		to[FIELD_B] = step->operands[1];
		to[FIELD_OUTPUT] = step->output;
		numbers[2 * s] = element->alpha;
		numbers[2 * s + 1] = element->beta;
	}
	attributes[0] = (struct attribute){ .name = steps_name,
					    .kind = ATTRIBUTE_INTS,
					    .count = count * FIELD_COUNT,
					    .as.ints = fields };
	attributes[1] = (struct attribute){ .name = numbers_name,
					    .kind = ATTRIBUTE_FLOATS,
					    .count = count * 2,
					    .as.floats = numbers };
	node->attributes = attributes;
	node->attribute_count = 2;
	return 0;
}

void
elements_read(const struct node *node, struct element_steps *elements)
{
	uint32_t fields = 0;
	const int64_t *from = node_ints(node, steps_name, &fields);
	const float *numbers = node_attribute(node, numbers_name)->as.floats;
	assert(fields % FIELD_COUNT == 0 && fields / FIELD_COUNT <= ELEMENTS_STEPS_MAX);
	elements->count = fields / FIELD_COUNT;
	for (uint32_t s = 0; s < elements->count; s++, from += FIELD_COUNT) {
		struct element_step *step = &elements->steps[s];
		*step = (struct element_step){
			.element = { .operand_count = (uint32_t)from[FIELD_OPERANDS],
				     .data_type = (enum data_type)from[FIELD_DATA_TYPE],
				     .result_type = (enum data_type)from[FIELD_RESULT_TYPE],
				     .alpha = numbers[2 * s],
				     .beta = numbers[2 * s + 1] },
			.operands = { (int32_t)from[FIELD_A], (int32_t)from[FIELD_B] },
			.output = (int32_t)from[FIELD_OUTPUT],
		};
		if (step->element.operand_count == 1)
			step->element.function.unary = (enum row_unary)from[FIELD_FUNCTION];
		else
			step->element.function.binary = (enum row_binary)from[FIELD_FUNCTION];
	}
}

static void
find_last_uses(const struct element_steps *elements, uint32_t *last_uses)
{
	for (uint32_t s = 0; s < elements->count; s++) {
		const struct element_step *step = &elements->steps[s];
		last_uses[s] = s;
		for (uint32_t i = 0; i < step->element.operand_count; i++)
			if (step->operands[i] < 0)
				last_uses[~step->operands[i]] = s;
	}
}

void
elements_assign(const struct element_steps *elements, uint8_t *registers)
{
	uint32_t last_uses[ELEMENTS_STEPS_MAX];
	/* By register, the step whose result is in it, and 1; 0: none. */
	uint32_t holds[ELEMENTS_STEPS_MAX] = { 0 };
	find_last_uses(elements, last_uses);
	for (uint32_t s = 0; s < elements->count; s++) {
		uint8_t free = 0;
		while (holds[free] != 0 && last_uses[holds[free] - 1] > s)
			free++;
		holds[free] = s + 1;
		registers[s] = free;
	}
}
