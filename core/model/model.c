#include "model/model.h"

#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "exec/backend.h"
#include "exec/parallel.h"
#include "exec/program.h"
#include "model/compile.h"
#include "model/model_parts.h"
#include "model/pass.h"
#include "model/program_cache.h"
#include "model/synthetic.h"

/* --- import ------------------------------------------------------------------------------------------------------- */

static struct model_port *
new_ports(struct model *model, const int32_t *values, uint32_t count)
{
	struct model_port *ports = arena_calloc(&model->arena, count, sizeof(ports[0]));
	for (uint32_t i = 0; i < count && ports != NULL; i++) {
		const struct value *value = &model->graph->values[values[i]];
		ports[i] = (struct model_port){ value->name, value->type };
	}
	return ports;
}

/* Remember what the model declares, then forget it: declared types may be wrong, and open dimensions infer nothing. */
static int
take_ports(struct model *model)
{
	struct graph *graph = model->graph;
	model->info.inputs = new_ports(model, graph->inputs, graph->input_count);
	model->info.outputs = new_ports(model, graph->outputs, graph->output_count);
	model->any_rank = arena_calloc(&model->arena, graph->input_count, sizeof(bool));
	if (model->info.inputs == NULL || model->info.outputs == NULL || model->any_rank == NULL)
		return -1;
	model->info.input_count = graph->input_count;
	model->info.output_count = graph->output_count;
	for (uint32_t i = 0; i < graph->input_count; i++)
		model->any_rank[i] = !graph->values[graph->inputs[i]].has_type;
	for (uint32_t i = 0; i < graph->value_count; i++)
		if (graph->values[i].constant == NULL)
			graph->values[i].has_type = false;
	return 0;
}

static int
import(struct model *model, const char *path)
{
	uint64_t from = clock_now();
	model->graph = onnx_import(path, &model->files, &model->arena);
	model_note_time(&model->times.read, &from);
	if (model->graph == NULL)
		return -1;
	model->info.node_count = model->graph->node_count;
	model->info.opset = model->graph->opset;
	if (take_ports(model) != 0 || passes_run_untyped(model->graph) != 0)
		return error_wrap("%s", path);
	model_note_time(&model->times.rewrite, &from);
	return 0;
}

/* Import the file, and find or make its images. */
static int
open_model(struct model *model, const char *path, const struct model_options *options)
{
	if (import(model, path) != 0)
		return -1;
	return model_find_images(model, options) == 0 ? 0 : error_wrap("%s", path);
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

static void
model_delete(struct model *model)
{
	program_cache_destroy(&model->programs);
	model_leave_backlog(model);
	image_delete(model->image);
	narrow_image_delete(model->narrow);
	shelf_return(&model->image_on_shelf);
	shelf_return(&model->narrow_on_shelf);
	pack_destroy(&model->pack);
	onnx_files_destroy(&model->files);
	arena_destroy(&model->arena);
	pthread_mutex_destroy(&model->compiling);
	free(model);
}

/* One with nothing in it yet; what: for the error. */
static struct model *
new_model(const char *what)
{
	struct model *model = calloc(1, sizeof(*model));
	if (model == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", what);
		return NULL;
	}
	atomic_init(&model->references, 1);
	arena_create(&model->arena, 0);
	pthread_mutex_init(&model->compiling, NULL);
	program_cache_create(&model->programs);
	return model;
}

struct model *
model_open(const char *path, const struct model_options *options)
{
	struct model *model = new_model(path);
	if (model == NULL)
		return NULL;
	model->options.kind = options->kind;
	model->options.threads = options->threads != 0 ? options->threads : 1;
	int result = open_model(model, path, options);
	parallel_rest();
	if (result != 0) {
		model_delete(model);
		return NULL;
	}
	model->info.parameter_bytes = model->image->bytes;
	return model;
}

/* Its program for so many rows. */
static int
add_synthetic(struct model *model, const struct model_synthetic *synthetic, uint32_t rows)
{
	uint64_t run_ns = rows == 1 ? synthetic->run_ns : synthetic->batch_ns[rows - 2];
	struct program *program =
		synthetic_program(model->image, rows, run_ns, synthetic->workspace_bytes * rows);
	if (program == NULL)
		return -1;
	program_cache_add(&model->programs, program);
	program_unref(program);
	return 0;
}

struct model *
model_new_synthetic(const struct model_synthetic *synthetic)
{
	struct model *model = new_model(synthetic->name);
	if (model == NULL)
		return NULL;
	uint64_t group_bytes =
		synthetic->group_bytes != 0 ? synthetic->group_bytes : MODEL_GROUP_BYTES_DEFAULT;
	model->image = image_hollow(synthetic->bytes, group_bytes);
	int status = model->image == NULL ? -1 : 0;
	for (uint32_t rows = 1; rows <= synthetic->batch_count + 1 && status == 0; rows++)
		status = add_synthetic(model, synthetic, rows);
	if (status != 0) {
		error_wrap("%s", synthetic->name);
		model_delete(model);
		return NULL;
	}
	model->info.parameter_bytes = model->image->bytes;
	return model;
}

struct model *
model_ref(struct model *model)
{
	atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
	return model;
}

void
model_unref(struct model *model)
{
	if (model == NULL)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel);
	assert(before != 0);
	if (before == 1)
		model_delete(model);
}

const struct model_info *
model_info(const struct model *model)
{
	return &model->info;
}

const char *
model_hash(struct model *model)
{
	pthread_mutex_lock(&model->compiling);
	if (model->hash[0] == '\0' && model->graph != NULL)
		onnx_hash(&model->files, model->hash);
	pthread_mutex_unlock(&model->compiling);
	return model->hash;
}

void
model_note_time(uint64_t *time, uint64_t *from)
{
	uint64_t now = clock_now();
	*time += now - *from;
	*from = now;
}

struct model_times
model_times(const struct model *model)
{
	return model->times;
}

const struct image *
model_image(const struct model *model)
{
	return model->image;
}

const struct narrow_image *
model_narrow(const struct model *model)
{
	return model->narrow;
}

struct program *
model_find_program(struct model *model, const struct tensor_type *inputs, uint32_t input_count)
{
	return program_cache_find(&model->programs, inputs, input_count);
}

/* Does the type fit what the model declares for that input? */
static int
check_input(const struct model *model, uint32_t input, const struct tensor_type *type)
{
	const struct model_port *port = &model->info.inputs[input];
	bool any_rank = model->any_rank[input];
	char wanted[256];
	char given[256];
	bool fits = type->data_type == port->type.data_type &&
		    (any_rank || type->rank == port->type.rank);
	for (uint32_t i = 0; i < type->rank && fits && !any_rank; i++)
		fits = port->type.dims[i] == TENSOR_DYNAMIC || port->type.dims[i] == type->dims[i];
	if (fits)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "input '%s' is %s, the model wants %s", port->name,
			 tensor_type_format(type, given, sizeof(given)),
			 tensor_type_format(&port->type, wanted, sizeof(wanted)));
}

static int
check_inputs(const struct model *model, const struct tensor_type *inputs, uint32_t input_count)
{
	if (input_count != model->info.input_count)
		return error_set(ERR_INVALID_ARGUMENT, "%u inputs, the model has %u", input_count,
				 model->info.input_count);
	for (uint32_t i = 0; i < input_count; i++)
		if (check_input(model, i, &inputs[i]) != 0)
			return -1;
	return 0;
}

struct program *
model_compile(struct model *model, const struct tensor_type *inputs, uint32_t input_count)
{
	if (check_inputs(model, inputs, input_count) != 0)
		return NULL;
	pthread_mutex_lock(&model->compiling);
	struct program *program = program_cache_find(&model->programs, inputs, input_count);
	if (program == NULL) {
		uint64_t from = clock_now();
		program = compile(model->graph, &model->pack, inputs, input_count, &model->options);
		model_note_time(&model->times.compile, &from);
		if (program != NULL)
			program_cache_add(&model->programs, program);
	}
	pthread_mutex_unlock(&model->compiling);
	parallel_rest();
	return program;
}
