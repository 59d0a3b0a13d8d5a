#include "path/recipe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/chain.h"
#include "path/engine.h"
#include "path/fusion.h"
#include "path/job.h"
#include "path/request.h"
#include "path/tensors.h"

struct recipe *
recipe_new(struct job *job, struct fused *fused, const uint32_t *inputs, const uint32_t *results)
{
	struct tensor_slot *slots = job->request->slots;
	const struct chain *chain = fused_chain(fused);
	size_t handles = (size_t)chain->input_count + chain->result_count;
	struct recipe *recipe = malloc(sizeof(*recipe) + handles * sizeof(recipe->inputs[0]));
	if (recipe == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "batch: no memory");
		return NULL;
	}
	*recipe = (struct recipe){ .fused = fused_ref(fused) };
	recipe->inputs = (uint32_t *)(recipe + 1);
	recipe->results = recipe->inputs + chain->input_count;
	for (uint32_t i = 0; i < chain->input_count; i++) {
		recipe->inputs[i] = slots[inputs[i]].handle;
		slots[inputs[i]].pins++;
	}
	for (uint32_t r = 0; r < chain->result_count; r++)
		recipe->results[r] = slots[results[r]].handle;
	list_push_back(&job->request->recipes, &recipe->of_request);
	return recipe;
}

/* The slot of an input, which may be freed: pins keep it. */
static struct tensor_slot *
input_slot(struct request *request, uint32_t handle)
{
	for (uint32_t i = request->slot_count; i-- > 0;)
		if (request->slots[i].handle == handle && request->slots[i].pins > 0)
			return &request->slots[i];
	assert(!"a recipe's input is pinned");
	return NULL;
}

static void delete (struct recipe *recipe)
{
	list_remove(&recipe->of_request);
	fused_unref(recipe->fused);
	free(recipe);
}

/* --- making what was not written ---------------------------------------------------------------------------------- */

void
recipe_want(struct tensor_slot *slot)
{
	slot->is_wanted = true;
	slot->recipe->is_wanted = true;
	fused_keep(slot->recipe->fused, slot->result);
}

/* One recipe's part of a job: which links have to run, and where their tensors are, by index into request->slots. */
struct remaking {
	struct job *job;
	struct request *request;
	const struct recipe *recipe;
	const struct chain *chain;
	bool *needed;
	uint32_t *inputs;
	uint32_t *results;
};

/* The slot of result r: one that is not written, freed by the batch or not, or one that is and is not freed. */
static struct tensor_slot *
result_slot(const struct remaking *remaking, uint32_t r)
{
	struct request *request = remaking->request;
	for (uint32_t i = request->slot_count; i-- > 0;) {
		struct tensor_slot *slot = &request->slots[i];
		if (slot->recipe == remaking->recipe && slot->result == r)
			return slot;
	}
	return tensors_find(request, remaking->recipe->results[r]);
}

/* Result r as it is: written, to be made, or (freed and forgotten) to be made for the others' sake. */
static int
place_result(struct remaking *remaking, uint32_t r)
{
	struct request *request = remaking->request;
	struct tensor_slot *slot = result_slot(remaking, r);
	if (slot == NULL) {
		slot = tensors_add(request, 0, &remaking->results[r]);
		if (slot == NULL)
			return -1;
		slot->handle = UINT32_MAX - request->nameless++;
		slot->freed = true;
		request->has_freed = true;
	}
	remaking->results[r] = (uint32_t)(slot - request->slots);
	return 0;
}

static bool
is_missing(const struct remaking *remaking, uint32_t r)
{
	const struct tensor_slot *slot = &remaking->request->slots[remaking->results[r]];
	return slot->recipe == remaking->recipe || slot->freed;
}

/* Links that are needed for what is wanted, from the last to the first; their results are wanted too. How many. */
static uint32_t
find_needed(struct remaking *remaking)
{
	const struct chain *chain = remaking->chain;
	struct tensor_slot *slots = remaking->request->slots;
	uint32_t count = 0;
	for (uint32_t k = chain->link_count; k-- > 0;) {
		const struct chain_link *link = &chain->links[k];
		bool needed = false;
		for (uint32_t i = 0; i < link->operation.output_count; i++) {
			uint32_t r = link->first_result + i;
			needed |= is_missing(remaking, r) && slots[remaking->results[r]].is_wanted;
		}
		if (!needed)
			continue;
		remaking->needed[k] = true;
		count++;
		for (uint32_t i = 0; i < link->operation.input_count; i++) {
			int32_t from = link->inputs[i];
			if (from < 0 && from != CHAIN_VALUE && is_missing(remaking, ~from))
				slots[remaking->results[~from]].is_wanted = true;
		}
	}
	return count;
}

/* The link as a step of the job. */
static int
make_step(const struct remaking *remaking, uint32_t k, struct job_step *step)
{
	const struct chain_link *link = &remaking->chain->links[k];
	struct arena *arena = &remaking->job->arena;
	uint32_t inputs = link->operation.input_count, outputs = link->operation.output_count;
	*step = (struct job_step){ .operation = link->operation,
				   .input_count = inputs,
				   .output_count = outputs };
	step->inputs = arena_calloc(arena, inputs + 1, sizeof(step->inputs[0]));
	step->outputs = arena_calloc(arena, outputs + 1, sizeof(step->outputs[0]));
	if (step->inputs == NULL || step->outputs == NULL)
		return -1;
	for (uint32_t i = 0; i < inputs; i++) {
		int32_t from = link->inputs[i];
		if (from >= 0)
			step->inputs[i] = remaking->inputs[from];
		else if (from != CHAIN_VALUE)
			step->inputs[i] = remaking->results[~from];
	}
	for (uint32_t i = 0; i < outputs; i++) {
		uint32_t index = remaking->results[link->first_result + i];
		struct tensor_slot *slot = &remaking->request->slots[index];
		step->outputs[i] = index;
		/* From now on it is a tensor as any other, and stays one. */
		slot->recipe = NULL;
		slot->is_wanted = false;
		slot->is_held = true;
	}
	return 0;
}

/* Replace the job's steps by `count` needed ones and its own. */
static int
put_before(const struct remaking *remaking, uint32_t count)
{
	struct job *job = remaking->job;
	uint32_t made = 0;
	struct job_step *steps =
		arena_calloc(&job->arena, count + job->step_count + 1, sizeof(*steps));
	if (steps == NULL)
		return -1;
	for (uint32_t k = 0; k < remaking->chain->link_count; k++)
		if (remaking->needed[k] && make_step(remaking, k, &steps[made++]) != 0)
			return -1;
	memcpy(steps + count, job->steps, job->step_count * sizeof(*steps));
	job->steps = steps;
	job->step_count += count;
	return 0;
}

static int
remake(struct job *job, const struct recipe *recipe)
{
	const struct chain *chain = fused_chain(recipe->fused);
	struct remaking remaking = { job, job->request, recipe, chain, NULL, NULL, NULL };
	remaking.needed = arena_calloc(&job->arena, chain->link_count, sizeof(bool));
	remaking.inputs = arena_calloc(&job->arena, chain->input_count + 1, sizeof(uint32_t));
	remaking.results = arena_calloc(&job->arena, chain->result_count + 1, sizeof(uint32_t));
	if (remaking.needed == NULL || remaking.inputs == NULL || remaking.results == NULL)
		return -1;
	for (uint32_t r = 0; r < chain->result_count; r++)
		if (place_result(&remaking, r) != 0)
			return -1;
	for (uint32_t i = 0; i < chain->input_count; i++)
		remaking.inputs[i] = (uint32_t)(input_slot(job->request, recipe->inputs[i]) -
						job->request->slots);
	uint32_t count = find_needed(&remaking);
	job->request->engine->fusion.stats.remade += count;
	return put_before(&remaking, count);
}

int
recipe_make_wanted(struct job *job)
{
	list_each(link, &job->request->recipes) {
		struct recipe *recipe = list_entry(link, struct recipe, of_request);
		if (recipe->is_wanted && remake(job, recipe) != 0)
			return -1;
		recipe->is_wanted = false;
	}
	return 0;
}

/* --- their end ---------------------------------------------------------------------------------------------------- */

void
recipe_settle(struct request *request, bool is_well)
{
	list_each(link, &request->recipes) {
		struct recipe *recipe = list_entry(link, struct recipe, of_request);
		for (uint32_t i = 0; i < request->slot_count && !is_well && !recipe->is_settled;
		     i++)
			if (request->slots[i].recipe == recipe)
				tensors_drop(&request->slots[i]);
		request->has_freed |= !is_well;
		recipe->is_settled = true;
	}
}

void
recipe_sweep(struct request *request)
{
	list_each(link, &request->recipes) {
		list_entry(link, struct recipe, of_request)->live = 0;
	}
	for (uint32_t i = 0; i < request->slot_count; i++)
		if (request->slots[i].recipe != NULL && !request->slots[i].freed)
			request->slots[i].recipe->live++;
	list_each_safe(link, &request->recipes) {
		struct recipe *recipe = list_entry(link, struct recipe, of_request);
		if (recipe->live > 0)
			continue;
		for (uint32_t i = 0; i < fused_chain(recipe->fused)->input_count; i++)
			input_slot(request, recipe->inputs[i])->pins--;
		for (uint32_t i = 0; i < request->slot_count; i++)
			if (request->slots[i].recipe == recipe)
				request->slots[i].recipe = NULL;
		delete (recipe);
	}
}

void
recipe_forget(struct request *request)
{
	list_each_safe(link, &request->recipes) {
		delete (list_entry(link, struct recipe, of_request));
	}
}
