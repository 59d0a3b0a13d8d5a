/* A job's operations as a chain, and its program in their place. */
#include <string.h>

#include "base/clock.h"
#include "exec/program.h"
#include "path/engine.h"
#include "path/fusion.h"
#include "path/fusion_parts.h"
#include "path/job.h"
#include "path/recipe.h"
#include "path/request.h"
#include "path/tensors.h"

enum { NOT_MET = INT32_MAX };

/* A job's steps from `first` on as a chain. All in the job's arena. */
struct reading {
	struct job *job;
	uint32_t first;
	struct chain chain;
	/* For each slot: the chain's input, or as ~r its result; NOT_MET. And by input and by result, its slot. */
	int32_t *of_slot;
	uint32_t *input_slots;
	uint32_t *result_slots;
	struct tensor_type *types;
	/* Room for where the next links' inputs come from. */
	int32_t *inputs;
	/* Results that a link reads. */
	bool *consumed;
};

/* How many steps from k on are operations, as many as a chain may have. */
static uint32_t
chain_length(const struct job *job, uint32_t k)
{
	uint32_t end = k;
	while (end < job->step_count && end - k < CHAIN_LINKS_MAX &&
	       job->steps[end].model == NULL && job->steps[end].program == NULL)
		end++;
	return end - k;
}

static int
reading_create(struct reading *reading, struct job *job, uint32_t k, uint32_t length)
{
	struct arena *arena = &job->arena;
	uint32_t inputs = 0, results = 0, slots = job->request->slot_count;
	for (uint32_t i = 0; i < length; i++) {
		inputs += job->steps[k + i].input_count;
		results += job->steps[k + i].output_count;
	}
	*reading = (struct reading){ .job = job, .first = k };
	reading->of_slot = arena_alloc(arena, slots * sizeof(reading->of_slot[0]) + 1);
	reading->input_slots = arena_alloc(arena, (inputs + 1) * sizeof(uint32_t));
	reading->result_slots = arena_alloc(arena, (results + 1) * sizeof(uint32_t));
	reading->inputs = arena_alloc(arena, (inputs + 1) * sizeof(reading->inputs[0]));
	reading->types = arena_alloc(arena, (inputs + 1) * sizeof(reading->types[0]));
	reading->consumed = arena_calloc(arena, results + 1, sizeof(bool));
	reading->chain = (struct chain){
		.kind = job->request->engine->model_options.kind,
		.inputs = reading->types,
		.links = arena_alloc(arena, length * sizeof(struct chain_link)),
		.kept = arena_calloc(arena, results + 1, sizeof(bool)),
	};
	if (reading->of_slot == NULL || reading->input_slots == NULL ||
	    reading->result_slots == NULL || reading->types == NULL || reading->consumed == NULL ||
	    reading->inputs == NULL || reading->chain.links == NULL || reading->chain.kept == NULL)
		return -1;
	for (uint32_t i = 0; i < slots; i++)
		reading->of_slot[i] = NOT_MET;
	return 0;
}

/* Where the slot's tensor comes from. */
static int32_t
read_input(struct reading *reading, uint32_t slot)
{
	struct chain *chain = &reading->chain;
	if (reading->of_slot[slot] == NOT_MET) {
		reading->types[chain->input_count] = reading->job->request->slots[slot].type;
		reading->input_slots[chain->input_count] = slot;
		reading->of_slot[slot] = (int32_t)chain->input_count++;
	}
	if (reading->of_slot[slot] < 0)
		reading->consumed[~reading->of_slot[slot]] = true;
	return reading->of_slot[slot];
}

static void
read_step(struct reading *reading, const struct job_step *step)
{
	struct chain *chain = &reading->chain;
	int32_t *inputs = reading->inputs;
	reading->inputs += step->input_count;
	const struct constant *const *constants = step->operation.constants;
	for (uint32_t i = 0; i < step->input_count; i++)
		inputs[i] = constants != NULL && constants[i] != NULL
				    ? CHAIN_VALUE
				    : read_input(reading, step->inputs[i]);
	chain->links[chain->link_count++] = (struct chain_link){
		.operation = step->operation,
		.inputs = inputs,
		.first_result = chain->result_count,
	};
	chain->links[chain->link_count - 1].operation.inputs = NULL;
	for (uint32_t i = 0; i < step->output_count; i++) {
		reading->result_slots[chain->result_count] = step->outputs[i];
		reading->of_slot[step->outputs[i]] = ~(int32_t)chain->result_count++;
	}
}

static void
keep(struct reading *reading, uint32_t slot)
{
	if (reading->of_slot[slot] < 0)
		reading->chain.kept[~reading->of_slot[slot]] = true;
}

/* What is fetched or read behind the chain, or not read in it; and what was missed before. */
static void
find_kept(struct reading *reading)
{
	const struct job *job = reading->job;
	struct chain *chain = &reading->chain;
	for (uint32_t r = 0; r < chain->result_count; r++)
		chain->kept[r] = !reading->consumed[r] ||
				 job->request->slots[reading->result_slots[r]].is_held;
	for (uint32_t i = 0; i < job->fetch_count; i++)
		keep(reading, job->fetches[i].slot);
	for (uint32_t k = reading->first + chain->link_count; k < job->step_count; k++)
		for (uint32_t i = 0; i < job->steps[k].input_count; i++)
			keep(reading, job->steps[k].inputs[i]);
}

static void
read_chain(struct reading *reading, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		read_step(reading, &reading->job->steps[reading->first + i]);
	find_kept(reading);
}

/* --- taking the steps' place -------------------------------------------------------------------------------------- */

/* Is there a result that the handler could still name though it is not written? */
static bool
leaves_some(const struct reading *reading, const struct fused *fused)
{
	const struct tensor_slot *slots = reading->job->request->slots;
	for (uint32_t r = 0; r < reading->chain.result_count; r++)
		if (!fused->written[r] && !slots[reading->result_slots[r]].freed)
			return true;
	return false;
}

static void
leave(struct reading *reading, const struct fused *fused, struct recipe *recipe)
{
	for (uint32_t r = 0; r < reading->chain.result_count; r++) {
		struct tensor_slot *slot = &reading->job->request->slots[reading->result_slots[r]];
		if (fused->written[r])
			continue;
		if (slot->freed)
			tensors_drop(slot);
		slot->recipe = slot->freed ? NULL : recipe;
		slot->result = r;
	}
}

/* The chain's steps are one. */
static int
take(struct reading *reading, struct fused *fused)
{
	struct job *job = reading->job;
	const struct chain *chain = &reading->chain;
	struct job_step step = {
		.input_count = chain->input_count,
		.inputs = reading->input_slots,
		.outputs = arena_alloc(&job->arena, (chain->result_count + 1) * sizeof(uint32_t)),
	};
	if (step.outputs == NULL)
		return -1;
	for (uint32_t r = 0; r < chain->result_count; r++)
		if (fused->written[r])
			step.outputs[step.output_count++] = reading->result_slots[r];
	struct recipe *recipe = NULL;
	if (leaves_some(reading, fused)) {
		recipe = recipe_new(job, fused, reading->input_slots, reading->result_slots);
		if (recipe == NULL)
			return -1;
	}
	leave(reading, fused, recipe);
	step.operation.op_type = "batch";
	step.operation.output_count = step.output_count;
	step.program = program_ref(fused->program);
	struct job_step *first = &job->steps[reading->first];
	uint32_t behind = job->step_count - reading->first - chain->link_count;
	memmove(first + 1, first + chain->link_count, behind * sizeof(*first));
	*first = step;
	job->step_count -= chain->link_count - 1;
	return 0;
}

int
fusion_take(struct job *job, uint32_t k)
{
	struct reading reading;
	struct engine *engine = job->request->engine;
	struct fusion_stats *stats = &engine->fusion.stats;
	uint32_t length = chain_length(job, k);
	if (length < 2 || !engine->config->fuse || clock_is_virtual())
		return 0;
	if (reading_create(&reading, job, k, length) != 0)
		return -1;
	read_chain(&reading, length);
	struct fused *fused = fusion_find(engine, &reading.chain);
	if (fused == NULL) {
		stats->misses++;
		return (int)length;
	}
	if (take(&reading, fused) != 0)
		return -1;
	stats->hits++;
	stats->fused += length;
	return 1;
}
