#include "path/joint_program.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/joint.h"
#include "path/request.h"

/* A compilation for more rows, on a pool thread. */
struct widening {
	uv_work_t work;
	struct engine *engine;
	/* Counted: it holds the model. */
	struct generation *generation;
	struct engine_model *model;
	/* For one request's rows; a reference. */
	struct program *one;
	uint32_t one_rows;
	uint32_t rows;
	uint32_t outputs;
	uint32_t type_count;
	struct tensor_type types[JOINT_PORTS_MAX];
	struct program *program;
	struct error error;
};

bool
joint_program_fits(const struct program *program, const struct program *one, uint32_t rows,
		   uint32_t one_rows, uint32_t outputs)
{
	const struct program_info *info = program_info(program), *alone = program_info(one);
	if (info->output_count < outputs || alone->output_count < outputs)
		return false;
	for (uint32_t i = 0; i < outputs; i++) {
		struct tensor_type type = alone->outputs[i];
		if (type.rank == 0 || type.dims[0] != one_rows)
			return false;
		type.dims[0] = rows;
		if (!tensor_type_equal(&type, &info->outputs[i]))
			return false;
	}
	return true;
}

/*
 * Types of the step's inputs for so many rows; how many. A synthetic model has no inputs: its programs for more than one row
 * are found by a tensor of as many bytes (model_new_synthetic).
 */
static uint32_t
widen_types(const struct job_step *step, uint32_t rows, struct tensor_type *types)
{
	if (step->input_count == 0) {
		types[0] = (struct tensor_type){ DATA_TYPE_UINT8, 1, { rows } };
		return rows > 1 ? 1 : 0;
	}
	for (uint32_t i = 0; i < step->input_count; i++) {
		types[i] = step->operation.inputs[i];
		types[i].dims[0] = rows;
	}
	return step->input_count;
}

/* Pool thread. */
static void
compile(uv_work_t *work)
{
	struct widening *widening = work->data;
	widening->program =
		model_compile(widening->model->model, widening->types, widening->type_count);
	if (widening->program == NULL)
		widening->error = *error_last();
}

/* Nobody tries so many rows again. */
static void
bound(struct engine_model *model, uint32_t rows, const char *why)
{
	log_warn("model '%s': no batches of %u rows and more: %s", model->name, rows, why);
	model->rows_max = rows - 1;
}

static void
compiled(uv_work_t *work, int cancelled)
{
	(void)cancelled;
	struct widening *widening = work->data;
	struct engine_model *model = widening->model;
	model->is_widening = false;
	widening->engine->widenings--;
	if (widening->program == NULL)
		bound(model, widening->rows, widening->error.message);
	else if (!joint_program_fits(widening->program, widening->one, widening->rows,
				     widening->one_rows, widening->outputs))
		bound(model, widening->rows, "its outputs have not as many rows as its inputs");
	program_unref(widening->program);
	program_unref(widening->one);
	generation_unref(widening->generation);
	free(widening);
}

static void
compile_aside(const struct job *job, uint32_t rows)
{
	const struct job_step *step = &job->steps[0];
	struct engine_model *model = step->model;
	struct engine *engine = job->request->engine;
	/* Simulated models have all that they will ever have. */
	if (model->is_widening || clock_is_virtual() || engine->stopping)
		return;
	struct widening *widening = calloc(1, sizeof(*widening));
	if (widening == NULL)
		return;
	widening->work.data = widening;
	widening->engine = engine;
	widening->generation = generation_ref(job->request->generation);
	widening->model = model;
	widening->one = program_ref(step->program);
	widening->one_rows = job->rows;
	widening->rows = rows;
	widening->outputs = step->output_count;
	widening->type_count = widen_types(step, rows, widening->types);
	model->is_widening = true;
	engine->widenings++;
	int status = uv_queue_work(&engine->loop, &widening->work, compile, compiled);
	assert(status == 0);
	(void)status;
}

struct program *
joint_program_find(const struct job *job, uint32_t rows)
{
	const struct job_step *step = &job->steps[0];
	struct tensor_type types[JOINT_PORTS_MAX];
	if (rows == job->rows)
		return program_ref(step->program);
	if (step->model->rows_max > 0 && rows > step->model->rows_max)
		return NULL;
	uint32_t count = widen_types(step, rows, types);
	struct program *program = model_find_program(step->model->model, types, count);
	if (program == NULL)
		compile_aside(job, rows);
	return program;
}

void
joint_program_drain(struct engine *engine)
{
	while (engine->widenings > 0)
		uv_run(&engine->loop, UV_RUN_ONCE);
}
