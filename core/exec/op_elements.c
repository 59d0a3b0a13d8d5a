/*
 * tidepool.Elements on the host: the row functions that the operators have by themselves, run on tiles that stay in the first
 * cache. So every result is, to the bit, what they would have given one by one.
 */
#include <string.h>

#include "exec/broadcast.h"
#include "exec/elements.h"
#include "exec/operator.h"
#include "exec/parallel.h"

enum {
	/* Elements that are done at a time. */
	TILE = 1024,
	/* Steps times elements that are worth a thread of their own. */
	GRAIN = 32768,
};

/* Where a step finds an operand or puts its result. */
struct place {
	enum {
		/* Walked along with the outputs. */
		IN_INPUT,
		/* One element for all. */
		IN_SINGLE,
		IN_OUTPUT,
		IN_TILE,
	} kind;
	uint32_t index;
	int64_t element_bytes;
};

/* An input that is repeated: read into a tile, to be walked along with the others. */
struct loading {
	struct broadcast broadcast;
	uint32_t input;
	uint32_t tile;
	int64_t element_bytes;
	/* All tiles have the same: it is read once. */
	bool is_periodic;
};

struct stage {
	/* The one of its two that is not NULL. */
	row_unary_f *unary;
	row_binary_f *binary;
	float alpha;
	float beta;
	struct place operands[2];
	struct place result;
};

struct machine {
	int64_t elements;
	int64_t tile_bytes;
	uint32_t tile_count;
	uint32_t stage_count;
	uint32_t loading_count;
	unsigned threads;
	struct stage *stages;
	struct loading *loadings;
};

/* --- running ------------------------------------------------------------------------------------------------------ */

struct machine_run {
	const struct machine *machine;
	const struct operands *operands;
};

static void
fill(char *out, const char *element, int64_t bytes, int64_t n)
{
	float value;
	if (bytes == sizeof(value)) {
		memcpy(&value, element, sizeof(value));
		for (int64_t i = 0; i < n; i++)
			memcpy(out + i * (int64_t)sizeof(value), &value, sizeof(value));
		return;
	}
	for (int64_t i = 0; i < n; i++)
		memcpy(out + i * bytes, element, (size_t)bytes);
}

/* Elements begin … begin + n - 1 of what the input is repeated to. */
static void
load(const struct loading *loading, const char *in, int64_t begin, int64_t n, char *out)
{
	const struct broadcast *broadcast = &loading->broadcast;
	uint32_t last = broadcast->rank - 1;
	int64_t length = broadcast->dims[last], step = broadcast->steps[0][last];
	int64_t bytes = loading->element_bytes;
	while (n > 0) {
		int64_t row = begin / length, from = begin - row * length;
		int64_t count = length - from < n ? length - from : n;
		int64_t offsets[BROADCAST_OPERANDS];
		broadcast_offsets(broadcast, row, offsets);
		const char *at = in + (offsets[0] + from * step) * bytes;
		if (step != 0)
			memcpy(out, at, (size_t)(count * bytes));
		else
			fill(out, at, bytes, count);
		out += count * bytes;
		begin += count;
		n -= count;
	}
}

/* Address of the place's elements from `begin` on. */
static inline char *
resolve(const struct machine_run *run, const struct place *place, char *tiles, int64_t begin)
{
	switch (place->kind) {
	case IN_INPUT:
		return (char *)run->operands->inputs[place->index] + begin * place->element_bytes;
	case IN_SINGLE:
		return (char *)run->operands->inputs[place->index];
	case IN_OUTPUT:
		return (char *)run->operands->outputs[place->index] + begin * place->element_bytes;
	default:
		return tiles + place->index * run->machine->tile_bytes;
	}
}

static void
run_tile(const struct machine_run *run, char *tiles, int64_t begin, int64_t n)
{
	const struct machine *machine = run->machine;
	for (uint32_t s = 0; s < machine->stage_count; s++) {
		const struct stage *stage = &machine->stages[s];
		void *out = resolve(run, &stage->result, tiles, begin);
		const void *a = resolve(run, &stage->operands[0], tiles, begin);
		if (stage->unary != NULL) {
			stage->unary(out, a, n, stage->alpha, stage->beta);
			continue;
		}
		const void *b = resolve(run, &stage->operands[1], tiles, begin);
		stage->binary(out, a, b, n, stage->operands[0].kind != IN_SINGLE,
			      stage->operands[1].kind != IN_SINGLE);
	}
}

static void
load_tiles(const struct machine_run *run, char *tiles, int64_t begin, int64_t n, bool is_first)
{
	const struct machine *machine = run->machine;
	for (uint32_t i = 0; i < machine->loading_count; i++) {
		const struct loading *loading = &machine->loadings[i];
		if (is_first || !loading->is_periodic)
			load(loading, run->operands->inputs[loading->input], begin, n,
			     tiles + loading->tile * machine->tile_bytes);
	}
}

/* Tiles begin … end-1. */
static void
run_part(void *context, int64_t begin, int64_t end)
{
	const struct machine_run *run = context;
	const struct machine *machine = run->machine;
	_Alignas(64) char tiles[machine->tile_count * machine->tile_bytes + 1];
	for (int64_t tile = begin; tile < end; tile++) {
		int64_t from = tile * TILE, left = machine->elements - from;
		int64_t n = left < TILE ? left : TILE;
		load_tiles(run, tiles, from, n, tile == begin);
		run_tile(run, tiles, from, n);
	}
}

static int
run_elements(const void *state, const struct operands *operands)
{
	const struct machine *machine = state;
	struct machine_run run = { machine, operands };
	int64_t grain = GRAIN / (TILE * (int64_t)machine->stage_count) + 1;
	parallel_for(machine->threads, (machine->elements + TILE - 1) / TILE, grain, run_part,
		     &run);
	return 0;
}

/* --- preparing ---------------------------------------------------------------------------------------------------- */

struct builder {
	const struct operator_call *call;
	struct machine *machine;
	struct element_steps elements;
	/* For each step, the last that reads it, and where it is. */
	uint32_t last_use[ELEMENTS_STEPS_MAX];
	struct place results[ELEMENTS_STEPS_MAX];
	struct place inputs[ELEMENTS_INPUTS_MAX];
	/* Tiles that nothing is in any more. */
	uint32_t free_count;
	uint32_t free[ELEMENTS_STEPS_MAX];
};

/* Is a tile's worth of elements a whole number of times what the input holds, repeated from the start? */
static bool
is_periodic(const struct broadcast *broadcast, int64_t held)
{
	uint32_t last = broadcast->rank - 1;
	return broadcast->rank == 2 && broadcast->steps[0][0] == 0 &&
	       broadcast->steps[0][last] == 1 && broadcast->dims[last] == held && TILE % held == 0;
}

static void
place_input(struct builder *builder, uint32_t i)
{
	struct machine *machine = builder->machine;
	const struct tensor_type *type = &builder->call->inputs[i];
	int64_t held = tensor_elements(type);
	struct place place = { IN_INPUT, i, (int64_t)data_type_bytes(type->data_type) };
	if (held != machine->elements && held == 1) {
		place.kind = IN_SINGLE;
	} else if (held != machine->elements) {
		struct loading *loading = &machine->loadings[machine->loading_count++];
		*loading = (struct loading){ .input = i,
					     .tile = machine->tile_count++,
					     .element_bytes = place.element_bytes };
		broadcast_create(&loading->broadcast, &builder->call->outputs[0], &type, 1);
		loading->is_periodic = is_periodic(&loading->broadcast, held);
		place.kind = IN_TILE;
		place.index = loading->tile;
	}
	builder->inputs[i] = place;
}

static void
find_last_uses(struct builder *builder)
{
	for (uint32_t s = 0; s < builder->elements.count; s++) {
		const struct element_step *step = &builder->elements.steps[s];
		builder->last_use[s] = s;
		for (uint32_t i = 0; i < step->element.operand_count; i++)
			if (step->operands[i] < 0)
				builder->last_use[~step->operands[i]] = s;
	}
}

/* Tiles of results that step s is the last to read are free. */
static void
release(struct builder *builder, uint32_t s)
{
	const struct element_step *step = &builder->elements.steps[s];
	for (uint32_t i = 0; i < step->element.operand_count; i++) {
		int32_t from = step->operands[i];
		if (from >= 0 || builder->last_use[~from] != s ||
		    builder->results[~from].kind != IN_TILE ||
		    (i == 1 && step->operands[0] == from))
			continue;
		builder->free[builder->free_count++] = builder->results[~from].index;
	}
}

static struct place
place_result(struct builder *builder, uint32_t s)
{
	const struct element_step *step = &builder->elements.steps[s];
	int64_t bytes = (int64_t)data_type_bytes(step->element.result_type);
	/* A row function may write over an operand as wide as its results. */
	bool in_place = bytes == (int64_t)data_type_bytes(step->element.data_type);
	struct place place = { IN_OUTPUT, (uint32_t)step->output, bytes };
	if (in_place)
		release(builder, s);
	if (step->output < 0) {
		place.kind = IN_TILE;
		place.index = builder->free_count > 0 ? builder->free[--builder->free_count]
						      : builder->machine->tile_count++;
	}
	if (!in_place)
		release(builder, s);
	return place;
}

static int
build_stage(struct builder *builder, uint32_t s)
{
	const struct element_step *step = &builder->elements.steps[s];
	const struct element *element = &step->element;
	struct stage *stage = &builder->machine->stages[s];
	stage->alpha = element->alpha;
	stage->beta = element->beta;
	if (element->operand_count == 1)
		stage->unary = row_unary(element->function.unary, element->data_type);
	else
		stage->binary = row_binary(element->function.binary, element->data_type);
	if (stage->unary == NULL && stage->binary == NULL)
		return operator_unimplemented(builder->call, "element type %s is not supported",
					      data_type_name(element->data_type));
	for (uint32_t i = 0; i < element->operand_count; i++)
		stage->operands[i] = step->operands[i] < 0 ? builder->results[~step->operands[i]]
							   : builder->inputs[step->operands[i]];
	builder->results[s] = stage->result = place_result(builder, s);
	return 0;
}

static int
prepare_elements(struct operator_call *call)
{
	struct machine *machine = operator_state(call, sizeof(*machine));
	struct builder builder = { .call = call, .machine = machine };
	elements_read(call->node, &builder.elements);
	if (machine == NULL)
		return -1;
	machine->elements = tensor_elements(&call->outputs[0]);
	machine->threads = call->threads;
	machine->tile_bytes = TILE * (int64_t)sizeof(double);
	machine->stage_count = builder.elements.count;
	machine->stages = arena_calloc(call->arena, machine->stage_count, sizeof(struct stage));
	machine->loadings = arena_calloc(call->arena, call->input_count, sizeof(struct loading));
	if (machine->stages == NULL || machine->loadings == NULL)
		return -1;
	for (uint32_t i = 0; i < call->input_count; i++)
		place_input(&builder, i);
	find_last_uses(&builder);
	for (uint32_t s = 0; s < machine->stage_count; s++)
		if (build_stage(&builder, s) != 0)
			return -1;
	call->kernel->flops = (uint64_t)machine->elements * machine->stage_count;
	call->kernel->run = run_elements;
	return 0;
}

/* The pass that makes the node knows all types. */
static int
infer_elements(struct operator_call *call)
{
	return operator_unimplemented(call, "is made with types only");
}

static const struct op elements_operators[] = {
	{ .domain = "tidepool",
	  .type = "Elements",
	  .since = 1,
	  .inputs = { 1, ELEMENTS_INPUTS_MAX },
	  .outputs = { 1, OPERATOR_MAX_OUTPUTS },
	  .infer = infer_elements,
	  .prepare = prepare_elements },
};

const struct operator_family operator_family_elements = {
	elements_operators,
	sizeof(elements_operators) / sizeof(elements_operators[0]),
};
