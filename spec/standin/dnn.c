/*
 * cuDNN's backend API. Of floats there are many engines that take their inputs as TF32, and say so, before the one that is exact:
 * the real one's heuristic puts up to two dozen of those first for an H100. Elsewhere there is the exact one alone.
 */
#include "dnn.h"

#include <stdlib.h>
#include <string.h>

#include "dnn_describe.h"
#include "library.h"

enum { ROUNDING_ENGINES = 20 };

/* --- handles ------------------------------------------------------------------------------------------------------------ */

size_t
cudnnGetVersion(void)
{
	return CUDNN_VERSION;
}

const char *
cudnnGetErrorString(cudnnStatus_t status)
{
	switch ((int)status / 1000) {
	case 0:
		return "CUDNN_STATUS_SUCCESS";
	case 1:
		return "CUDNN_STATUS_NOT_INITIALIZED";
	case 2:
		return "CUDNN_STATUS_BAD_PARAM";
	case 3:
		return "CUDNN_STATUS_NOT_SUPPORTED";
	case 4:
		return "CUDNN_STATUS_INTERNAL_ERROR";
	default:
		return "CUDNN_STATUS_EXECUTION_FAILED";
	}
}

cudnnStatus_t
cudnnCreate(cudnnHandle_t *handle)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	struct gpu *gpu = library_gpu();
	if (handle == NULL)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	if (gpu == NULL)
		return CUDNN_STATUS_NOT_INITIALIZED;
	*handle = handle_new(gpu, HANDLE_DNN, sizeof(**handle));
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnDestroy(cudnnHandle_t handle)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	if (handle_check(handle, HANDLE_DNN, "cudnnDestroy") != cudaSuccess)
		return CUDNN_STATUS_NOT_INITIALIZED;
	handle_free(handle);
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	if (handle_check(handle, HANDLE_DNN, "cudnnSetStream") != cudaSuccess ||
	    stream_check(streamId, "cudnnSetStream") != cudaSuccess)
		return CUDNN_STATUS_BAD_PARAM;
	if (((struct handle *)streamId)->gpu != handle->handle.gpu)
		return CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH;
	handle->stream = streamId;
	return CUDNN_STATUS_SUCCESS;
}

/* --- descriptors -------------------------------------------------------------------------------------------------------- */

cudnnStatus_t
cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t descriptorType,
			     cudnnBackendDescriptor_t *descriptor)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	struct dnn_descriptor *created = calloc(1, sizeof(*created));
	created->type = descriptorType;
	*descriptor = created;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
	free(descriptor);
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
			 cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	struct dnn_descriptor *self = descriptor;
	if (self == NULL)
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	/* What is final is not changed any more. */
	if (self->is_final)
		return CUDNN_STATUS_NOT_INITIALIZED;
	if (name == CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION && type == CUDNN_TYPE_CHAR)
		return dnn_describe_read(self, values, count);
	return dnn_describe_set(self, name, type, count, values);
}

cudnnStatus_t
cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	return descriptor == NULL ? CUDNN_STATUS_BAD_PARAM_NULL_POINTER
				  : dnn_describe_finalize(descriptor);
}

/* --- what is asked of them ---------------------------------------------------------------------------------------------- */

/* Fill configurations that the caller has made. */
static cudnnStatus_t
give_engines(const struct dnn_descriptor *heuristic, int64_t room, int64_t *count, void *values)
{
	struct dnn_descriptor *const *configs = values;
	const struct dnn_graph *graph = &heuristic->heuristic.graph;
	bool rounds = graph->operations[0].x.type == CUDNN_DATA_FLOAT &&
		      heuristic->heuristic.mode != CUDNN_HEUR_MODE_FALLBACK;
	int64_t rounding = rounds ? ROUNDING_ENGINES : 0;
	bool is_float = graph->operations[0].x.type == CUDNN_DATA_FLOAT;
	int64_t exact = !is_float || dnn_graph_is_exact(graph) ? 1 : 0;
	int64_t engines = dnn_graph_is_supported(graph) ? rounding + exact : 0;
	*count = engines < room ? engines : room;
	for (int64_t i = 0; i < engines && i < room; i++) {
		if (configs[i] == NULL || configs[i]->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
			return CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE;
		configs[i]->plan.graph = *graph;
		configs[i]->plan.is_rounded = i < rounding;
		configs[i]->is_final = true;
	}
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
give_engine(const struct dnn_descriptor *config, int64_t room, int64_t *count, void *values)
{
	struct dnn_descriptor *engine = room < 1 ? NULL : *(struct dnn_descriptor **)values;
	if (engine == NULL || engine->type != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
		return CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE;
	*count = 1;
	engine->plan = config->plan;
	engine->is_final = true;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
give_notes(const struct dnn_descriptor *engine, int64_t room, int64_t *count, void *values)
{
	*count = engine->plan.is_rounded ? 2 : 0;
	if (*count > room)
		return CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
	if (*count == 0)
		return CUDNN_STATUS_SUCCESS;
	((cudnnBackendNumericalNote_t *)values)[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
	((cudnnBackendNumericalNote_t *)values)[1] = CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
	return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t
give_text(const struct dnn_descriptor *plan, int64_t room, int64_t *count, char *text)
{
	*count = dnn_describe_text(&plan->plan, NULL);
	if (text == NULL)
		return CUDNN_STATUS_SUCCESS;
	if (room < *count)
		return CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
	dnn_describe_text(&plan->plan, text);
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
			 cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
			 int64_t room, int64_t *count, void *values)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	const struct dnn_descriptor *self = descriptor;
	int64_t ignored;
	bool is_text = name == CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
	if (self == NULL || (values == NULL && !is_text))
		return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
	if (!self->is_final)
		return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
	if (count == NULL)
		count = &ignored;
	if (is_text && self->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR &&
	    type == CUDNN_TYPE_CHAR)
		return give_text(self, room, count, values);
	if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
		return give_engines(self, room, count, values);
	if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
		return give_engine(self, room, count, values);
	if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE)
		return give_notes(self, room, count, values);
	if (name != CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE || type != CUDNN_TYPE_INT64 ||
	    room < 1)
		return CUDNN_STATUS_NOT_SUPPORTED;
	*count = 1;
	*(int64_t *)values = DNN_WORKSPACE_BYTES;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t executionPlan,
		    cudnnBackendDescriptor_t variantPack)
{
	LIBRARY_BEGIN(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED);
	const struct dnn_descriptor *plan = executionPlan, *pack = variantPack;
	if (handle_check(handle, HANDLE_DNN, "cudnnBackendExecute") != cudaSuccess ||
	    stream_check(handle->stream, "cudnnBackendExecute") != cudaSuccess)
		return CUDNN_STATUS_EXECUTION_FAILED;
	if (!plan->is_final || !pack->is_final)
		return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
	if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
	    pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
		return CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE;
	cudnnStatus_t status = dnn_pack_check(&plan->plan, &pack->pack, handle->stream);
	if (status != CUDNN_STATUS_SUCCESS)
		return status;
	struct dnn_run run = { .plan = plan->plan, .pack = pack->pack };
	dnn_pack_take_values(&run.plan, &run.pack);
	return library_put(handle->stream, dnn_run, &run, sizeof(run)) == cudaSuccess
		       ? CUDNN_STATUS_SUCCESS
		       : CUDNN_STATUS_EXECUTION_FAILED;
}
