#include "exec/widen.h"

#include <string.h>

#include "base/error.h"
#include "exec/backend.h"
#include "exec/cast.h"

enum {
	ALIGNMENT = 64,
	MAX_INPUTS = 64,
};

/* One input or output of the node as the run handles it. */
struct operand {
	/* What it is outside; within it is widened->to. DATA_TYPE_NONE: as it is. */
	enum data_type outside;
	int64_t elements;
	/* Where it is in the scratch, converted. */
	size_t offset;
	/* A packed or converted constant; NULL: the operand that the run is given. */
	const void *literal;
};

struct widened {
	struct kernel kernel;
	/* Whose conversions; NULL: the host's. */
	const struct backend *backend;
	enum data_type to;
	uint32_t input_count;
	uint32_t output_count;
	struct operand *inputs;
	struct operand *outputs;
	/* Where in the scratch the kernel's own begins. */
	size_t scratch;
};

/* What packs go to while the kernel is prepared: memory of the kernel's own. */
struct widen_parameters {
	struct parameters base;
	struct widened *widened;
	struct arena *arena;
};

static bool
is_half(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
}

/* The 16-bit float that the inputs have, DATA_TYPE_NONE when none has one. */
static enum data_type
half_of(const struct operator_call *call)
{
	for (uint32_t i = 0; i < call->input_count; i++) {
		if (is_half(call->inputs[i].data_type))
			return call->inputs[i].data_type;
	}
	return DATA_TYPE_NONE;
}

/* --- the call, widened --------------------------------------------------------------------------------------------- */

static const struct constant *
widen_constant(const struct constant *constant, enum data_type to, struct arena *arena)
{
	struct constant *wide = arena_alloc(arena, sizeof(*wide));
	int64_t elements = tensor_elements(&constant->type);
	void *data = arena_calloc(arena, (size_t)elements, data_type_bytes(to));
	if (wide == NULL || data == NULL)
		return NULL;
	cast_run(to, data, constant->type.data_type, constant->data, elements);
	*wide = (struct constant){ .type = constant->type, .data = data };
	wide->type.data_type = to;
	return wide;
}

/* *wide: call with `to` for the types that are widened, its types and constants in arena. */
static int
widen_call(const struct operator_call *call, widen_f *widens, enum data_type to,
	   struct operator_call *wide, struct arena *arena)
{
	uint32_t inputs = call->input_count, outputs = call->output_count;
	struct tensor_type *types = arena_calloc(arena, inputs + outputs, sizeof(*types));
	const struct constant **constants = arena_calloc(arena, inputs, sizeof(*constants));
	if (types == NULL || constants == NULL)
		return -1;
	*wide = *call;
	for (uint32_t i = 0; i < inputs; i++) {
		types[i] = call->inputs[i];
		constants[i] = call->constants[i];
		if (!widens(types[i].data_type))
			continue;
		types[i].data_type = to;
		if (constants[i] != NULL &&
		    (constants[i] = widen_constant(call->constants[i], to, arena)) == NULL)
			return -1;
	}
	for (uint32_t i = 0; i < outputs; i++) {
		types[inputs + i] = call->outputs[i];
		if (widens(call->outputs[i].data_type))
			types[inputs + i].data_type = to;
	}
	wide->inputs = types;
	wide->outputs = types + inputs;
	wide->constants = constants;
	return 0;
}

int
widen_infer(struct operator_call *call)
{
	struct error first = *error_last();
	enum data_type half = half_of(call);
	struct operator_call wide;
	struct arena scratch;
	if (first.code != ERR_UNIMPLEMENTED || half == DATA_TYPE_NONE)
		return -1;
	arena_create(&scratch, 0);
	int result = widen_call(call, is_half, DATA_TYPE_FLOAT, &wide, &scratch);
	if (result == 0)
		result = call->op->infer(&wide);
	for (uint32_t i = 0; i < call->output_count && result == 0; i++) {
		call->outputs[i] = wide.outputs[i];
		if (call->outputs[i].data_type == DATA_TYPE_FLOAT)
			call->outputs[i].data_type = half;
	}
	arena_destroy(&scratch);
	return result == 0 ? 0 : error_restore(&first);
}

/* --- the kernel ----------------------------------------------------------------------------------------------------- */

/* elements of `from` to `to`, where the kernel runs. */
static int
convert(const struct widened *widened, const struct operands *operands, enum data_type to,
	void *out, enum data_type from, const void *in, int64_t elements)
{
	if (widened->backend != NULL && widened->backend->cast != NULL)
		return widened->backend->cast(operands->queue, to, out, from, in, elements);
	cast_run(to, out, from, in, elements);
	return 0;
}

/* The address that the kernel gets for an operand. */
static void *
address_of(const struct operand *operand, const void *given, void *scratch)
{
	if (operand->literal != NULL)
		return (void *)operand->literal;
	if (operand->outside == DATA_TYPE_NONE || given == NULL)
		return (void *)given;
	return (char *)scratch + operand->offset;
}

static int
run_widened(const void *state, const struct operands *operands)
{
	const struct widened *widened = state;
	const void *inputs[MAX_INPUTS];
	void *outputs[OPERATOR_MAX_OUTPUTS];
	for (uint32_t i = 0; i < widened->input_count; i++) {
		const struct operand *operand = &widened->inputs[i];
		void *to = address_of(operand, operands->inputs[i], operands->scratch);
		if (to != operands->inputs[i] && operand->literal == NULL &&
		    convert(widened, operands, widened->to, to, operand->outside,
			    operands->inputs[i], operand->elements) != 0)
			return -1;
		inputs[i] = to;
	}
	for (uint32_t i = 0; i < widened->output_count; i++)
		outputs[i] =
			address_of(&widened->outputs[i], operands->outputs[i], operands->scratch);
	struct operands inner = { .inputs = inputs,
				  .outputs = outputs,
				  .scratch = (char *)operands->scratch + widened->scratch,
				  .queue = operands->queue,
				  .label = operands->label };
	if (widened->kernel.run(widened->kernel.state, &inner) != 0)
		return -1;
	for (uint32_t i = 0; i < widened->output_count; i++) {
		const struct operand *operand = &widened->outputs[i];
		if (outputs[i] != operands->outputs[i] &&
		    convert(widened, operands, operand->outside, operands->outputs[i], widened->to,
			    outputs[i], operand->elements) != 0)
			return -1;
	}
	return 0;
}

static void
destroy_widened(const void *state)
{
	const struct widened *widened = state;
	if (widened->kernel.destroy != NULL)
		widened->kernel.destroy(widened->kernel.state);
}

static int
find_nothing(struct parameters *parameters, const struct constant *constant, const char *key,
	     void *descriptor, size_t size)
{
	return 0;
}

static int
add_literal(struct parameters *parameters, const struct operator_call *call, uint32_t input,
	    const char *key, const void *descriptor, size_t size, size_t bytes,
	    operator_pack_f *pack, void *context)
{
	struct widen_parameters *own = (struct widen_parameters *)parameters;
	char *memory = arena_alloc(own->arena, bytes + ALIGNMENT);
	if (memory == NULL)
		return -1;
	memory += -(uintptr_t)memory % ALIGNMENT;
	own->widened->inputs[input].literal = memory;
	return pack(context, call->constants[input], memory);
}

/* Places in the scratch for what is converted; returns their end. */
static size_t
place_operands(struct operand *operands, const struct tensor_type *types,
	       const struct tensor_type *inner, uint32_t count, size_t at)
{
	for (uint32_t i = 0; i < count; i++) {
		if (types[i].data_type == inner[i].data_type)
			continue;
		operands[i].outside = types[i].data_type;
		operands[i].elements = tensor_elements(&types[i]);
		operands[i].offset = at;
		at += (tensor_bytes(&inner[i]) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	}
	return at;
}

/* Fill in what run_widened needs, and prepare op in it. */
static int
prepare_widened(struct operator_call *call, const struct op *op, widen_f *widens,
		struct widened *widened)
{
	struct operator_call wide;
	struct widen_parameters parameters = { { find_nothing, add_literal },
					       widened,
					       call->arena };
	widened->inputs = arena_calloc(call->arena, call->input_count, sizeof(struct operand));
	widened->outputs = arena_calloc(call->arena, call->output_count, sizeof(struct operand));
	widened->input_count = call->input_count;
	widened->output_count = call->output_count;
	if (widened->inputs == NULL || widened->outputs == NULL ||
	    widen_call(call, widens, widened->to, &wide, call->arena) != 0)
		return -1;
	wide.op = op;
	wide.kernel = &widened->kernel;
	wide.parameters = &parameters.base;
	size_t end =
		place_operands(widened->inputs, call->inputs, wide.inputs, call->input_count, 0);
	widened->scratch = place_operands(widened->outputs, call->outputs, wide.outputs,
					  call->output_count, end);
	return call->backend == NULL ? op->prepare(&wide) : call->backend->prepare(&wide);
}

int
widen_prepare_as(struct operator_call *call, const struct op *op, widen_f *widens,
		 enum data_type to)
{
	if (call->input_count > MAX_INPUTS)
		return operator_unimplemented(call, "more than %d inputs", MAX_INPUTS);
	struct widened *widened = operator_state(call, sizeof(*widened));
	if (widened == NULL)
		return -1;
	widened->to = to;
	widened->backend = call->backend;
	call->kernel->destroy = destroy_widened;
	call->kernel->run = run_widened;
	if (prepare_widened(call, op, widens, widened) != 0)
		return -1;
	call->kernel->scratch_bytes = widened->scratch + widened->kernel.scratch_bytes;
	call->kernel->flops = widened->kernel.flops;
	call->kernel->staged = widened->kernel.staged;
	call->kernel->converts = true;
	return 0;
}

bool
widen_is_needed(const struct operator_call *call)
{
	struct tensor_type outputs[OPERATOR_MAX_OUTPUTS];
	struct operator_call again = *call;
	if (call->op->infer == NULL || half_of(call) == DATA_TYPE_NONE ||
	    call->output_count > OPERATOR_MAX_OUTPUTS)
		return false;
	again.outputs = outputs;
	return call->op->infer(&again) != 0 && error_last()->code == ERR_UNIMPLEMENTED;
}

int
widen_prepare(struct operator_call *call)
{
	struct error first = *error_last();
	if (first.code != ERR_UNIMPLEMENTED || half_of(call) == DATA_TYPE_NONE)
		return -1;
	if (widen_prepare_as(call, call->op, is_half, DATA_TYPE_FLOAT) != 0)
		return error_restore(&first);
	return 0;
}
