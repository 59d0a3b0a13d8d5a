#include "path/batch.h"

#include <stdlib.h>
#include <string.h>

#include "path/engine.h"
#include "path/functions.h"
#include "path/job.h"
#include "path/recipe.h"
#include "path/request.h"
#include "path/tensors.h"

/* The largest tensor whose value may decide shapes (axes, a new shape): its bytes are known when operators are compiled. */
enum { SHAPE_VALUE_BYTES = 256 };

static void
type_from_call(struct tensor_type *type, const struct call_tensor *from)
{
	*type = (struct tensor_type){ .data_type = (enum data_type)from->data_type,
				      .rank = from->rank };
	memcpy(type->dims, from->dims, sizeof(type->dims));
}

static int
add_tensor(struct request *request, const struct call *call)
{
	uint32_t index;
	struct tensor_slot *slot = tensors_add(request, call->handle, &index);
	if (slot == NULL)
		return -1;
	type_from_call(&slot->type, &call->type);
	if (tensor_type_check(&slot->type) != 0 || tensor_elements(&slot->type) < 0)
		return error_set(ERR_INVALID_ARGUMENT, "tensor: a type that no tensor can have");
	slot->bytes = tensor_bytes(&slot->type);
	if (slot->bytes != call->bytes)
		return error_set(ERR_INVALID_ARGUMENT,
				 "tensor: the shape needs %zu bytes, %zu were given", slot->bytes,
				 call->bytes);
	slot->host = call->data;
	return 0;
}

static int
slot_index(struct request *request, uint32_t handle, const char *what, uint32_t *index)
{
	struct tensor_slot *slot = tensors_find(request, handle);
	if (slot == NULL)
		return error_set(
			ERR_INVALID_ARGUMENT,
			"%s: no tensor has handle %u; what a failed batch was to make is gone",
			what, handle);
	*index = (uint32_t)(slot - request->slots);
	return 0;
}

/* As slot_index, for a tensor that has to be there: if it was not written, it will be. */
static int
needed_index(struct request *request, uint32_t handle, const char *what, uint32_t *index)
{
	if (slot_index(request, handle, what, index) != 0)
		return -1;
	if (request->slots[*index].recipe != NULL)
		recipe_want(&request->slots[*index]);
	return 0;
}

static int
set_operands(struct request *request, struct job *job, uint32_t k, const struct call *call,
	     const char *what)
{
	if (job_step_create(job, k, call->input_count, call->output_count) != 0)
		return -1;
	struct job_step *step = &job->steps[k];
	for (uint32_t i = 0; i < call->input_count; i++)
		if (needed_index(request, call->inputs[i], what, &step->inputs[i]) != 0)
			return -1;
	for (uint32_t i = 0; i < call->output_count; i++)
		if (tensors_add(request, call->outputs[i], &step->outputs[i]) == NULL)
			return -1;
	return 0;
}

static int
add_model(struct request *request, struct job *job, uint32_t k, const struct call *call)
{
	const struct generation *generation = request->generation;
	if (call->model >= generation->model_count)
		return error_set(ERR_INVALID_ARGUMENT, "call: the function has no model %u",
				 call->model);
	if (set_operands(request, job, k, call, generation->model_names[call->model]) != 0)
		return -1;
	return job_step_model(job, k, generation->models[call->model]);
}

static void
attribute_from_call(struct attribute *attribute, const struct call_attribute *from)
{
	attribute->name = from->name;
	attribute->count = from->count;
	switch ((enum call_attribute_kind)from->kind) {
	case CALL_ATTRIBUTE_INT:
		attribute->kind = ATTRIBUTE_INT;
		attribute->as.i = from->as.ints[0];
		break;
	case CALL_ATTRIBUTE_FLOAT:
		attribute->kind = ATTRIBUTE_FLOAT;
		attribute->as.f = from->as.floats[0];
		break;
	case CALL_ATTRIBUTE_INTS:
		attribute->kind = ATTRIBUTE_INTS;
		attribute->as.ints = from->as.ints;
		break;
	case CALL_ATTRIBUTE_STRING:
		attribute->kind = ATTRIBUTE_STRING;
		attribute->as.s = from->as.string;
		break;
	}
}

/* What may decide shapes: positions, and that there is nothing (Resize without scales). */
static bool
may_decide_shapes(const struct tensor_slot *slot)
{
	return slot->host != NULL &&
	       (slot->bytes == 0 ||
		(slot->bytes <= SHAPE_VALUE_BYTES && slot->type.data_type == DATA_TYPE_INT64));
}

/* Values of small inputs that still wait on the host, copied: operators whose shapes depend on them need them early. */
static int
set_constants(struct request *request, struct job *job, struct job_step *step)
{
	const struct constant **constants = NULL;
	for (uint32_t i = 0; i < step->input_count; i++) {
		const struct tensor_slot *slot = &request->slots[step->inputs[i]];
		if (!may_decide_shapes(slot))
			continue;
		if (constants == NULL)
			constants =
				arena_calloc(&job->arena, step->input_count, sizeof(*constants));
		if (constants == NULL)
			return -1;
		struct constant *constant = arena_alloc(&job->arena, sizeof(*constant));
		void *data = arena_alloc(&job->arena, slot->bytes + 1);
		if (constant == NULL || data == NULL)
			return -1;
		memcpy(data, slot->host, slot->bytes);
		*constant = (struct constant){ .type = slot->type, .data = data };
		constants[i] = constant;
	}
	step->operation.constants = constants;
	return 0;
}

static int
add_operation(struct request *request, struct job *job, uint32_t k, const struct call *call)
{
	struct job_step *step = &job->steps[k];
	if (set_operands(request, job, k, call, call->op_type) != 0)
		return -1;
	struct attribute *attributes =
		arena_calloc(&job->arena, call->attribute_count + 1, sizeof(*attributes));
	if (attributes == NULL)
		return -1;
	for (uint32_t i = 0; i < call->attribute_count; i++)
		attribute_from_call(&attributes[i], &call->attributes[i]);
	step->operation = (struct operation){
		.op_type = call->op_type,
		.attribute_count = call->attribute_count,
		.attributes = attributes,
		.input_count = call->input_count,
		.output_count = call->output_count,
	};
	return set_constants(request, job, step);
}

static int
add_fetch(struct request *request, struct job *job, uint32_t k, const struct call *call)
{
	return needed_index(request, call->handle, "get", &job->fetches[k].slot);
}

static int
free_tensor(struct request *request, const struct call *call)
{
	uint32_t index = 0;
	if (slot_index(request, call->handle, "free", &index) != 0)
		return -1;
	request->slots[index].freed = true;
	request->has_freed = true;
	return 0;
}

static int
add_calls(struct request *request, struct job *job)
{
	uint32_t steps = 0, fetches = 0;
	int status = 0;
	for (uint32_t i = 0; i < request->batch->count && status == 0; i++) {
		const struct call *call = &request->batch->calls[i];
		switch (call->kind) {
		case CALL_TENSOR:
			status = add_tensor(request, call);
			break;
		case CALL_MODEL:
			status = add_model(request, job, steps++, call);
			break;
		case CALL_OPERATION:
			status = add_operation(request, job, steps++, call);
			break;
		case CALL_GET:
			status = add_fetch(request, job, fetches++, call);
			break;
		case CALL_FREE:
			status = free_tensor(request, call);
			break;
		}
	}
	return status;
}

int
batch_make_job(struct request *request)
{
	uint32_t steps = 0, fetches = 0;
	for (uint32_t i = 0; i < request->batch->count; i++) {
		enum call_kind kind = request->batch->calls[i].kind;
		steps += kind == CALL_MODEL || kind == CALL_OPERATION;
		fetches += kind == CALL_GET;
	}
	struct job *job = job_new(request, steps, fetches);
	if (job == NULL)
		return -1;
	if (add_calls(request, job) != 0 || recipe_make_wanted(job) != 0) {
		job_delete(job);
		return -1;
	}
	if (steps == 0 && fetches == 0)
		job_delete(job);
	else
		request->job = job;
	return 0;
}

static void
type_to_call(struct call_tensor *to, const struct tensor_type *type)
{
	*to = (struct call_tensor){ .data_type = type->data_type, .rank = type->rank };
	memcpy(to->dims, type->dims, sizeof(to->dims));
}

static void
release_job(void *job)
{
	job_delete(job);
}

/* The results lie in the job's memory, which is the worker host's to release from now on. */
static void
answer_results(const struct call_batch *batch, struct request *request, struct job *job)
{
	struct call_result *list = arena_calloc(&job->arena, job->fetch_count + 1, sizeof(*list));
	if (list == NULL) {
		worker_batch_done(batch, NULL, error_last());
		job_delete(job);
		return;
	}
	for (uint32_t i = 0; i < job->fetch_count; i++) {
		const struct tensor_slot *slot = &request->slots[job->fetches[i].slot];
		list[i].handle = slot->handle;
		list[i].data = job->fetches[i].host;
		list[i].bytes = tensor_bytes(&slot->type);
		type_to_call(&list[i].type, &slot->type);
	}
	tensors_sweep(request);
	const struct worker_results results = { .list = list,
						.count = job->fetch_count,
						.is_heavy = tensors_are_heavy(request),
						.release = release_job,
						.context = job };
	worker_batch_done(batch, &results, NULL);
}

void
batch_answer(struct request *request)
{
	const struct call_batch *batch = request->batch;
	struct job *job = request->job;
	struct error *error = request->error;
	request->batch = NULL;
	request->job = NULL;
	request->error = NULL;
	recipe_settle(request, error == NULL);
	if (error == NULL && job != NULL) {
		answer_results(batch, request, job);
		return;
	}
	if (error != NULL)
		tensors_drop_unmade(request);
	tensors_keep_sent(request);
	tensors_sweep(request);
	worker_batch_done(batch, NULL, error);
	free(error);
	if (job != NULL)
		job_delete(job);
}
