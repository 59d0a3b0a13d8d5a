#include "path/direct.h"

#include <stdio.h>
#include <string.h>

#include "path/decode.h"
#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/request.h"
#include "path/tensors.h"
#include "path/wire_tensor.h"

static int
set_input(struct request *request, struct job *job, uint32_t input, struct slice value,
	  const char *name)
{
	struct slice data;
	struct tensor_slot *slot =
		tensors_add(request, request->slot_count, &job->steps[0].inputs[input]);
	if (slot == NULL || wire_tensor_read(value, name, &slot->type, &data) != 0)
		return -1;
	slot->host = data.data;
	slot->bytes = data.bytes;
	return 0;
}

/* The value of that key in a map of `pairs` pairs; 1 when found, 0 when not. */
static int
map_find(struct reader map, uint32_t pairs, const char *name, struct slice *value)
{
	for (uint32_t i = 0; i < pairs; i++) {
		struct slice key;
		if (reader_string(&map, "value: input name", &key) != 0 ||
		    reader_any(&map, value) != 0)
			return -1;
		if (slice_is(key, name))
			return 1;
	}
	return 0;
}

static bool
is_input(const struct model_info *info, struct slice name)
{
	for (uint32_t i = 0; i < info->input_count; i++)
		if (slice_is(name, info->inputs[i].name))
			return true;
	return false;
}

/* An input is missing (NULL: none), or there are too many: the first key that is none of the model's is told too. */
static int
refuse_inputs(struct reader map, uint32_t pairs, const struct model_info *info, const char *missing)
{
	struct slice key = { 0 }, value;
	bool is_known = true;
	for (uint32_t i = 0; i < pairs && is_known; i++) {
		if (reader_string(&map, "value: input name", &key) != 0 ||
		    reader_any(&map, &value) != 0)
			return -1;
		is_known = is_input(info, key);
	}
	if (missing == NULL)
		return error_set(ERR_INVALID_ARGUMENT,
				 "value: %u inputs, the model has %u; '%.*s' is none of them",
				 pairs, info->input_count, (int)key.bytes, (const char *)key.data);
	if (is_known)
		return error_set(ERR_INVALID_ARGUMENT, "value: input '%s' is missing", missing);
	return error_set(ERR_INVALID_ARGUMENT,
			 "value: input '%s' is missing; '%.*s' is no input of the model", missing,
			 (int)key.bytes, (const char *)key.data);
}

static int
set_inputs_by_name(struct request *request, struct job *job, const struct model_info *info)
{
	struct reader map;
	uint32_t pairs;
	reader_create(&map, request->value);
	if (reader_map(&map, "value (inputs by name, or the tensor of the only one)", &pairs) != 0)
		return -1;
	for (uint32_t i = 0; i < info->input_count; i++) {
		struct slice value;
		int found = map_find(map, pairs, info->inputs[i].name, &value);
		if (found < 0)
			return -1;
		if (found == 0)
			return refuse_inputs(map, pairs, info, info->inputs[i].name);
		if (set_input(request, job, i, value, info->inputs[i].name) != 0)
			return -1;
	}
	if (pairs > info->input_count)
		return refuse_inputs(map, pairs, info, NULL);
	return 0;
}

static int
fill_job(struct request *request, struct job *job, struct engine_model *model)
{
	const struct model_info *info = model_info(model->model);
	if (job_step_create(job, 0, info->input_count, info->output_count) != 0 ||
	    job_step_model(job, 0, model) != 0)
		return -1;
	bool bare = info->input_count == 1 && wire_tensor_is(request->value);
	int status = bare ? set_input(request, job, 0, request->value, info->inputs[0].name)
			  : set_inputs_by_name(request, job, info);
	for (uint32_t i = 0; i < info->output_count && status == 0; i++) {
		uint32_t *slot = &job->steps[0].outputs[i];
		if (tensors_add(request, request->slot_count, slot) == NULL)
			status = -1;
		job->fetches[i].slot = *slot;
	}
	return status;
}

int
direct_make_job(struct request *request)
{
	struct engine_model *model = request->generation->models[0];
	struct job *job = job_new(request, 1, model_info(model->model)->output_count);
	if (job == NULL)
		return -1;
	job->is_last = true;
	if (fill_job(request, job, model) != 0) {
		job_delete(job);
		return -1;
	}
	request->job = job;
	return 0;
}

int
direct_write_result(struct request *request)
{
	struct job *job = request->job;
	const struct model_info *info = model_info(request->generation->models[0]->model);
	struct writer *writer = request_result(request);
	request->job = NULL;
	if (writer != NULL) {
		writer_map(writer, job->fetch_count);
		for (uint32_t i = 0; i < job->fetch_count; i++) {
			const struct tensor_slot *slot = &request->slots[job->fetches[i].slot];
			writer_string(writer, info->outputs[i].name);
			wire_tensor_write(writer, &slot->type, job->fetches[i].host);
		}
	}
	job_delete(job);
	return writer == NULL ? -1 : 0;
}
