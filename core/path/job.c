#include "path/job.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/scrap.h"
#include "path/engine.h"
#include "path/request.h"

enum {
	JOB_ARENA_BYTES = 64 << 20,
	/* What is larger is not reset, but given up. */
	JOB_ARENA_KEPT_BYTES = 256 << 10,
	/* Ended jobs that are kept, each with an arena chunk. */
	IDLE_JOBS_MAX = 256,
};

/* A job with an empty arena and the rest to be cleared; NULL without memory. */
static struct job *
take(struct engine *engine)
{
	struct list *link = list_pop_front(&engine->idle_jobs);
	if (link != NULL) {
		engine->idle_job_count--;
		return list_entry(link, struct job, of_engine);
	}
	struct job *job = malloc(sizeof(*job));
	if (job != NULL)
		arena_create(&job->arena, JOB_ARENA_BYTES);
	return job;
}

struct job *
job_new(struct request *request, uint32_t steps, uint32_t fetches)
{
	struct job *job = take(request->engine);
	if (job == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "job: no memory");
		return NULL;
	}
	memset(job, 0, offsetof(struct job, arena));
	job->outcome.code = job->load_outcome.code = ERR_OK;
	list_create(&job->of_engine);
	list_create(&job->of_parked);
	list_create(&job->of_joint);
	job->engine = request->engine;
	job->request = request;
	job->errand.owner = job->load_errand.owner = job;
	job->steps = arena_calloc(&job->arena, steps + 1, sizeof(*job->steps));
	job->fetches = arena_calloc(&job->arena, fetches + 1, sizeof(*job->fetches));
	if (job->steps == NULL || job->fetches == NULL) {
		job_delete(job);
		return NULL;
	}
	job->step_count = steps;
	job->fetch_count = fetches;
	return job;
}

static void
free_job(struct job *job)
{
	arena_destroy(&job->arena);
	free(job);
}

static void
destroy_arena(void *arena, size_t bytes)
{
	(void)bytes;
	arena_destroy(arena);
	free(arena);
}

/* Leave the arena as new; what large results it held is freed elsewhere. */
static void
reset_arena(struct engine *engine, struct arena *arena)
{
	struct arena *old = arena->used > JOB_ARENA_KEPT_BYTES ? malloc(sizeof(*old)) : NULL;
	if (old == NULL) {
		arena_reset(arena);
		return;
	}
	*old = *arena;
	arena_create(arena, JOB_ARENA_BYTES);
	scrap(&engine->loop, destroy_arena, old, old->used);
}

void
job_delete(struct job *job)
{
	struct engine *engine = job->engine;
	assert(job->state != JOB_COMPILING && job->state != JOB_ON_DEVICE);
	assert(job->state != JOB_JOINED);
	for (uint32_t k = 0; k < job->step_count; k++)
		if (job->steps[k].program != NULL)
			program_unref(job->steps[k].program);
	list_remove(&job->of_engine);
	list_remove(&job->of_parked);
	if (engine->idle_job_count >= IDLE_JOBS_MAX) {
		free_job(job);
		return;
	}
	reset_arena(engine, &job->arena);
	list_push_front(&engine->idle_jobs, &job->of_engine);
	engine->idle_job_count++;
}

void
job_free_idle(struct engine *engine)
{
	while (!list_is_empty(&engine->idle_jobs))
		free_job(list_entry(list_pop_front(&engine->idle_jobs), struct job, of_engine));
}

int
job_step_create(struct job *job, uint32_t k, uint32_t inputs, uint32_t outputs)
{
	struct job_step *step = &job->steps[k];
	step->input_count = inputs;
	step->output_count = outputs;
	step->inputs = arena_calloc(&job->arena, inputs + 1, sizeof(*step->inputs));
	step->outputs = arena_calloc(&job->arena, outputs + 1, sizeof(*step->outputs));
	return step->inputs == NULL || step->outputs == NULL ? -1 : 0;
}

int
job_step_model(struct job *job, uint32_t k, struct engine_model *model)
{
	job->steps[k].model = model;
	for (uint32_t i = 0; i < job->model_count; i++)
		if (job->models[i] == model)
			return 0;
	if (job->model_count == JOB_MODELS_MAX)
		return error_set(ERR_RESOURCE_EXHAUSTED, "job: runs more than %d models at once",
				 JOB_MODELS_MAX);
	job->view_models[job->model_count] = &model->view;
	job->models[job->model_count++] = model;
	return 0;
}
