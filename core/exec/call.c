#include "exec/call.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
	/* What kernels may assume of addresses. */
	ALIGNMENT = 64,
};

int
call_create(struct operator_call *call, const struct graph *graph, const struct node *node,
	    const struct op *op, struct arena *arena)
{
	uint32_t inputs = node->input_count;
	struct tensor_type *types =
		arena_calloc(arena, inputs + node->output_count, sizeof(types[0]));
	const struct constant **constants = arena_calloc(arena, inputs, sizeof(constants[0]));
	enum layout *layouts = arena_calloc(arena, inputs + node->output_count, sizeof(layouts[0]));
	if (types == NULL || constants == NULL || layouts == NULL)
		return -1;
	for (uint32_t i = 0; i < inputs; i++) {
		if (node->inputs[i] < 0)
			continue;
		const struct value *value = &graph->values[node->inputs[i]];
		types[i] = value->type;
		constants[i] = value->constant;
		/* Their values are looked at; others are packed or copied. */
		if (constants[i] != NULL && operator_needs_value(op, i))
			constants[i] = constant_aligned(constants[i], arena);
		if (constants[i] == NULL && value->constant != NULL)
			return -1;
		if (!value->has_type)
			types[i].data_type = DATA_TYPE_NONE;
	}
	for (uint32_t i = 0; i < node->output_count; i++)
		if (node->outputs[i] >= 0 && graph->values[node->outputs[i]].has_type)
			types[inputs + i] = graph->values[node->outputs[i]].type;
	*call = (struct operator_call){
		.op = op,
		.node = node,
		.input_count = inputs,
		.output_count = node->output_count,
		.inputs = types,
		.constants = constants,
		.outputs = types + inputs,
		.input_layouts = layouts,
		.output_layouts = layouts + inputs,
		.threads = 1,
		.arena = arena,
	};
	return 0;
}

/* Is that input absent on purpose, rather than of unknown type? */
static bool
is_absent(const struct operator_call *call, uint32_t input)
{
	return call->node->inputs[input] < 0;
}

bool
call_is_constant(const struct operator_call *call)
{
	if ((call->op->flags & OPERATOR_IMPURE) != 0 || call->op->control != NULL)
		return false;
	bool types_do = (call->op->flags & OPERATOR_TYPE_ONLY) != 0;
	bool likes = (call->op->flags & OPERATOR_LIKE) != 0;
	for (uint32_t i = 0; i < call->input_count; i++) {
		if (is_absent(call, i) || call->constants[i] != NULL)
			continue;
		if (!(types_do || (likes && i > 0)) || !operator_has_input(call, i))
			return false;
	}
	return true;
}

bool
call_is_inferable(const struct operator_call *call)
{
	if (call->op->control != NULL)
		return false;
	for (uint32_t i = 0; i < call->input_count; i++) {
		if (is_absent(call, i))
			continue;
		if (!operator_has_input(call, i) ||
		    (operator_needs_value(call->op, i) && call->constants[i] == NULL))
			return false;
	}
	return true;
}

static void *
align(void *memory)
{
	return (void *)(((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
}

/* Packed constants of a node that runs once: made at once, in the arena. */
struct once {
	struct parameters parameters;
	struct arena *arena;
	const void **inputs;
};

static int
find_nothing(struct parameters *parameters, const struct constant *constant, const char *key,
	     void *descriptor, size_t size)
{
	return 0;
}

static int
pack_now(struct parameters *parameters, const struct operator_call *call, uint32_t input,
	 const char *key, const void *descriptor, size_t size, size_t bytes, operator_pack_f *pack,
	 void *context)
{
	struct once *once = (struct once *)parameters;
	void *memory = arena_alloc(once->arena, bytes + ALIGNMENT);
	if (memory == NULL)
		return -1;
	once->inputs[input] = align(memory);
	const struct constant *from = constant_aligned(call->constants[input], once->arena);
	return from == NULL ? -1 : pack(context, from, align(memory));
}

/* Constants lie where they were imported or folded, which need not suit a kernel's loads; copies do. */
static int
align_inputs(const struct operator_call *call, const void **inputs, struct arena *arena)
{
	for (uint32_t i = 0; i < call->input_count; i++) {
		if (call->constants[i] == NULL || operator_needs_value(call->op, i))
			continue;
		inputs[i] = call->constants[i]->data;
		if ((uintptr_t)inputs[i] % ALIGNMENT == 0 && call->constants[i]->factors == NULL)
			continue;
		size_t bytes = tensor_bytes(&call->constants[i]->type);
		void *memory = arena_alloc(arena, bytes + ALIGNMENT);
		if (memory == NULL)
			return -1;
		inputs[i] = align(memory);
		constant_write(call->constants[i], align(memory));
	}
	return 0;
}

static int
alloc_outputs(const struct operator_call *call, struct constant *outputs, void **addresses,
	      struct arena *arena)
{
	for (uint32_t i = 0; i < call->output_count; i++) {
		outputs[i] = (struct constant){ 0 };
		if (!operator_has_output(call, i))
			continue;
		void *memory = arena_alloc(arena, tensor_bytes(&call->outputs[i]) + ALIGNMENT);
		if (memory == NULL)
			return -1;
		addresses[i] = align(memory);
		outputs[i] = (struct constant){ .type = call->outputs[i], .data = addresses[i] };
	}
	return 0;
}

/* Prepare and run; the kernel and its scratch are gone afterwards. */
static int
run_once(struct operator_call *call, const struct operands *operands, struct arena *arena)
{
	struct kernel kernel;
	call->kernel = &kernel;
	if (operator_prepare(call) != 0)
		return -1;
	struct operands with_scratch = *operands;
	void *scratch = arena_alloc(arena, kernel.scratch_bytes + ALIGNMENT);
	int result = -1;
	if (scratch != NULL) {
		with_scratch.scratch = align(scratch);
		result = kernel.run(kernel.state, &with_scratch);
	}
	if (kernel.destroy != NULL)
		kernel.destroy(kernel.state);
	return result;
}

static bool
has_no_elements(const struct operator_call *call)
{
	for (uint32_t i = 0; i < call->output_count; i++)
		if (operator_has_output(call, i) && tensor_elements(&call->outputs[i]) != 0)
			return false;
	return true;
}

static int
evaluate_in(struct operator_call *call, struct constant *outputs, struct arena *arena,
	    struct arena *temporary)
{
	const void **inputs = arena_calloc(temporary, call->input_count, sizeof(inputs[0]));
	void **addresses = arena_calloc(temporary, call->output_count, sizeof(addresses[0]));
	struct once once = { { find_nothing, pack_now }, temporary, inputs };
	if (inputs == NULL || addresses == NULL || operator_infer(call) != 0 ||
	    alloc_outputs(call, outputs, addresses, arena) != 0)
		return -1;
	if (has_no_elements(call))
		return 0;
	if (call->op->flags & OPERATOR_VIEW) {
		constant_write(call->constants[0], addresses[0]);
		return 0;
	}
	if (align_inputs(call, inputs, temporary) != 0)
		return -1;
	call->arena = temporary;
	call->parameters = &once.parameters;
	struct operands operands = { .inputs = inputs, .outputs = addresses };
	return run_once(call, &operands, temporary);
}

int
call_evaluate(struct operator_call *call, struct constant *outputs, struct arena *arena)
{
	struct arena temporary;
	arena_create(&temporary, 0);
	int result = evaluate_in(call, outputs, arena, &temporary);
	arena_destroy(&temporary);
	return result;
}
