#include "exec/cuda/plan.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "device/cuda.h"
#include "exec/cuda/plan_problem.h"
#include "exec/cuda/planner.h"

enum {
	/*
	 * Engines that cuDNN is asked to propose: it has up to 40 for a convolution, and of FP32 ones the first dozens use tensor
	 * cores, which are passed over.
	 */
	PROPOSALS = 64,
};

struct plan {
	struct plan_problem problem;
	/*
	 * Made anew when the planner's epoch is another than this, and the one before left to itself: another GPU's stream may be
	 * putting it just now. Both change under the planner's lock.
	 */
	_Atomic(cudnnBackendDescriptor_t) execution;
	_Atomic uint32_t epoch;
};

/* A search for the plan of one graph. */
struct search {
	const struct plan_problem *problem;
	struct plan_build build;
	cudnnBackendDescriptor_t graph;
	/* Best so far, us when ways are timed. */
	cudnnBackendDescriptor_t plan;
	double us;
	/* cuDNN said nothing but yes and "not supported": when there is no plan, there is none to be had. */
	bool clean;
};

/* Execution plans that nobody destroys any more. */
struct remains {
	struct remains *next;
	cudnnBackendDescriptor_t execution;
};

static _Atomic(struct remains *) all_remains;

/* Never destroyed, and never lost sight of. */
static void
leave(cudnnBackendDescriptor_t execution)
{
	struct remains *remains = execution != NULL ? malloc(sizeof(*remains)) : NULL;
	if (remains == NULL)
		return;
	*remains = (struct remains){ atomic_load(&all_remains), execution };
	while (!atomic_compare_exchange_weak(&all_remains, &remains->next, remains))
		;
}

/* What was loaded for a plan went with the context of its epoch: of an earlier one there may be nothing left to be unloaded. */
static void
destroy(cudnnBackendDescriptor_t execution, uint32_t epoch)
{
	if (epoch != planner_epoch())
		leave(execution);
	else if (execution != NULL)
		cudnnBackendDestroyDescriptor(execution);
}

/* --- what is remembered ---------------------------------------------------------------------------------------------------- */

/* Make the execution plan in the descriptor; NOT_SUPPORTED also when it wants more workspace than there is. */
static cudnnStatus_t
fill_plan(cudnnBackendDescriptor_t plan, cudnnBackendAttributeName_t name,
	  cudnnBackendAttributeType_t type, int64_t count, const void *value)
{
	cudnnHandle_t handle = planner_dnn();
	int64_t bytes = 0, got = 0;
	cudnnStatus_t status = cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
							CUDNN_TYPE_HANDLE, 1, &handle);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendSetAttribute(plan, name, type, count, value);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendFinalize(plan);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
						  CUDNN_TYPE_INT64, 1, &got, &bytes);
	if (status == CUDNN_STATUS_SUCCESS && bytes > CUDA_WORKSPACE_BYTES)
		status = CUDNN_STATUS_NOT_SUPPORTED;
	return status;
}

/*
 * *plan: the execution plan that an attribute of that type describes, an engine's configuration or text that a plan was
 * written as; NULL unless successful.
 */
static cudnnStatus_t
realize(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
	const void *value, cudnnBackendDescriptor_t *plan)
{
	*plan = NULL;
	cudnnStatus_t status =
		cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, plan);
	if (status != CUDNN_STATUS_SUCCESS)
		return status;
	status = fill_plan(*plan, name, type, count, value);
	if (status != CUDNN_STATUS_SUCCESS) {
		cudnnBackendDestroyDescriptor(*plan);
		*plan = NULL;
	}
	return status;
}

/* The plan that was found for the problem before. True: what is known stands, though *plan may be NULL: nothing serves. */
static bool
recall(const char *key, cudnnBackendDescriptor_t *plan)
{
	const struct finding *finding = findings_find(planner_findings(), key);
	if (finding == NULL)
		return false;
	*plan = NULL;
	if (finding->bytes == 0)
		return true;
	if (realize(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, finding->bytes,
		    finding->value, plan) == CUDNN_STATUS_SUCCESS)
		return true;
	findings_remove(planner_findings(), key);
	return false;
}

/* A plan that cannot be written is searched for again by the next process. */
static void
remember(const char *key, cudnnBackendDescriptor_t plan)
{
	int64_t bytes = 0;
	if (plan == NULL) {
		findings_add(planner_findings(), key, NULL, 0);
		return;
	}
	if (cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
				     CUDNN_TYPE_CHAR, 0, &bytes, NULL) != CUDNN_STATUS_SUCCESS ||
	    bytes <= 0 || bytes > FINDING_BYTES)
		return;
	char *text = malloc((size_t)bytes);
	if (text != NULL &&
	    cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
				     CUDNN_TYPE_CHAR, bytes, &bytes, text) == CUDNN_STATUS_SUCCESS)
		findings_add(planner_findings(), key, text, (size_t)bytes);
	free(text);
}

/* --- running --------------------------------------------------------------------------------------------------------------- */

/* Where the operands of a plan lie. */
struct placed {
	struct plan_operand operands[PLAN_OPERANDS];
	uint32_t count;
	void *workspace;
};

static cudnnStatus_t
execute(cudnnHandle_t handle, cudnnBackendDescriptor_t execution, const struct placed *placed)
{
	int64_t ids[PLAN_OPERANDS], count = placed->count;
	const void *addresses[PLAN_OPERANDS];
	for (int64_t i = 0; i < count; i++) {
		ids[i] = placed->operands[i].tensor;
		addresses[i] = placed->operands[i].address;
	}
	struct plan_build build = { 0 };
	cudnnBackendDescriptor_t pack =
		plan_build_create(&build, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
	plan_build_set(&build, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
		       count, addresses);
	plan_build_set(&build, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count,
		       ids);
	plan_build_set(&build, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
		       &placed->workspace);
	plan_build_finalize(&build, pack);
	if (build.status == CUDNN_STATUS_SUCCESS)
		build.status = cudnnBackendExecute(handle, execution, pack);
	plan_build_destroy(&build);
	return build.status;
}

/* --- choosing -------------------------------------------------------------------------------------------------------------- */

static bool
succeeds(struct search *search, cudnnStatus_t status)
{
	search->clean &= status == CUDNN_STATUS_SUCCESS ||
			 status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;
	return status == CUDNN_STATUS_SUCCESS;
}

/* May an engine with that note compute it? Results are to be the same each time, and sums as exact as FP32. */
static bool
is_welcome(cudnnBackendNumericalNote_t note, bool is_exact)
{
	switch (note) {
	case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
	case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
	case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
		return false;
	case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
	case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
		return !is_exact;
	default:
		return true;
	}
}

/* Are all notes of that configuration's engine welcome? One that cannot be asked is taken for one whose are not. */
static bool
suits(struct search *search, cudnnBackendDescriptor_t config)
{
	cudnnBackendDescriptor_t engine = NULL;
	cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	int64_t count = 0;
	bool is_exact =
		search->problem->data_type == DATA_TYPE_FLOAT && cuda_math() == DEVICE_MATH_FP32;
	if (!succeeds(search,
		      cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)))
		return false;
	bool suited =
		succeeds(search, cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
							  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
							  &engine)) &&
		succeeds(search,
			 cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
						  CUDNN_TYPE_NUMERICAL_NOTE,
						  CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes));
	for (int64_t i = 0; suited && i < count; i++)
		suited = is_welcome(notes[i], is_exact);
	cudnnBackendDestroyDescriptor(engine);
	return suited;
}

/* Operands of the problem in memory that is all zeros, begun at memory; returns how many bytes they take. */
static size_t
lay_out(const struct plan_problem *problem, char *memory, struct placed *placed)
{
	static const float one = 1;
	enum plan_tensor tensors[PLAN_OPERANDS];
	size_t bytes[PLAN_OPERANDS], at = CUDA_WORKSPACE_BYTES;
	placed->workspace = memory;
	placed->count = problem->kind->list(problem, tensors, bytes);
	for (uint32_t i = 0; i < placed->count; i++) {
		placed->operands[i].tensor = tensors[i];
		placed->operands[i].address = bytes[i] != 0 ? (const void *)(memory + at) : &one;
		at += (bytes[i] + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT * PLAN_ALIGNMENT;
	}
	return at;
}

/* One trial: planner_put_f's context. */
struct trial {
	cudnnBackendDescriptor_t plan;
	const struct placed *placed;
	/* cuDNN refused to run it. */
	bool refused;
};

static int
put_trial(void *context, cudaStream_t stream)
{
	struct trial *trial = context;
	(void)stream;
	trial->refused |=
		execute(planner_dnn(), trial->plan, trial->placed) != CUDNN_STATUS_SUCCESS;
	return trial->refused ? -1 : 0;
}

/*
 * Keep the plan when it is the first that can be had, or quicker than the one so far; true: look no further. One that cannot be
 * timed is slower than all.
 */
static bool
consider(struct search *search, cudnnBackendDescriptor_t plan, const struct placed *placed)
{
	struct trial trial = { .plan = plan, .placed = placed };
	if (placed == NULL) {
		search->plan = plan;
		return true;
	}
	double us = planner_time(put_trial, &trial);
	us = us < 0 ? INFINITY : us;
	bool better = !trial.refused && (search->plan == NULL || us < search->us);
	destroy(better ? search->plan : plan, planner_epoch());
	if (better) {
		search->plan = plan;
		search->us = us;
	}
	return false;
}

/* Configurations that the heuristic of that mode proposes, the best first; returns how many of `most` it filled in. */
static int64_t
propose(struct search *search, cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t *configs,
	int most)
{
	int64_t count = 0;
	struct plan_build *build = &search->build;
	cudnnBackendDescriptor_t heuristic =
		plan_build_create(build, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	plan_build_link(build, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, search->graph);
	plan_build_set(build, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
		       &mode);
	plan_build_finalize(build, heuristic);
	if (!succeeds(search, build->status) ||
	    !succeeds(search, cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
						       CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &count,
						       configs)))
		return 0;
	return count < most ? count : most;
}

/* Among what the heuristic of that mode proposes: the first that can be had, or with operands the quickest of some. */
static void
choose(struct search *search, cudnnBackendHeurMode_t mode, const struct placed *placed)
{
	cudnnBackendDescriptor_t configs[PROPOSALS], plan;
	int made = 0, tried = 0;
	while (made < PROPOSALS &&
	       succeeds(search, cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
							     &configs[made])))
		made++;
	int64_t count = propose(search, mode, configs, made);
	bool done = false;
	for (int64_t i = 0; i < count && tried < PLANNER_CANDIDATES && !done; i++) {
		if (!suits(search, configs[i]))
			continue;
		tried++;
		done = succeeds(search,
				realize(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
					CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configs[i], &plan)) &&
		       consider(search, plan, placed);
	}
	while (made != 0)
		cudnnBackendDestroyDescriptor(configs[--made]);
}

/* While the planner is taken. */
static void
find_plan(struct search *search)
{
	struct placed placed;
	char *memory = NULL;
	search->problem->kind->add(search->problem, &search->build);
	search->graph = plan_build_graph(&search->build, planner_dnn());
	if (planner_times() && search->build.status == CUDNN_STATUS_SUCCESS)
		memory = planner_begin_trial(lay_out(search->problem, NULL, &placed));
	if (memory != NULL)
		lay_out(search->problem, memory, &placed);
	choose(search, CUDNN_HEUR_MODE_A, memory != NULL ? &placed : NULL);
	if (search->plan == NULL)
		choose(search, CUDNN_HEUR_MODE_FALLBACK, memory != NULL ? &placed : NULL);
	if (memory != NULL)
		planner_end_trial(memory);
	plan_build_destroy(&search->build);
}

/* As it was found before, or else by searching. */
static cudnnBackendDescriptor_t
have_plan(const struct plan_problem *problem)
{
	char key[PLANNER_KEY_BYTES];
	cudnnBackendDescriptor_t plan;
	problem->kind->describe(problem, key);
	if (recall(key, &plan))
		return plan;
	struct search search = { .problem = problem, .clean = true };
	find_plan(&search);
	if (search.plan != NULL || search.clean)
		remember(key, search.plan);
	return search.plan;
}

/* --- plans ----------------------------------------------------------------------------------------------------------------- */

/* While the planner is taken. */
static void
renew(struct plan *plan)
{
	leave(atomic_load(&plan->execution));
	atomic_store(&plan->execution, planner_dnn() != NULL ? have_plan(&plan->problem) : NULL);
	atomic_store(&plan->epoch, planner_epoch());
}

static struct plan *
new_plan(const struct plan_problem *problem)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	if (plan == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a plan");
		return NULL;
	}
	plan->problem = *problem;
	if (planner_enter() != 0) {
		free(plan);
		return NULL;
	}
	renew(plan);
	planner_leave();
	if (atomic_load(&plan->execution) != NULL)
		return plan;
	free(plan);
	error_set(ERR_UNIMPLEMENTED, "cuDNN has no engine for the %s", problem->kind->name);
	return NULL;
}

struct plan *
plan_new(const struct plan_conv *conv)
{
	struct plan_problem problem = { .kind = &plan_kind_conv, .data_type = conv->data_type };
	problem.conv = *conv;
	return new_plan(&problem);
}

struct plan *
plan_new_attention(const struct attention *attention)
{
	struct plan_problem problem = { .kind = &plan_kind_attention,
					.data_type = attention->data_type };
	problem.attention = *attention;
	return new_plan(&problem);
}

void
plan_delete(struct plan *plan)
{
	if (plan == NULL)
		return;
	destroy(atomic_load(&plan->execution), atomic_load(&plan->epoch));
	free(plan);
}

/* The plan for the GPU's context as it is now; NULL with the error set when it cannot be had any more. */
static cudnnBackendDescriptor_t
current(struct plan *plan)
{
	if (atomic_load(&plan->epoch) != planner_epoch()) {
		if (planner_enter() != 0)
			return NULL;
		if (atomic_load(&plan->epoch) != planner_epoch())
			renew(plan);
		planner_leave();
	}
	cudnnBackendDescriptor_t execution = atomic_load(&plan->execution);
	if (execution == NULL)
		error_set(ERR_UNAVAILABLE, "cuDNN has no engine for the %s any more",
			  plan->problem.kind->name);
	return execution;
}

int
plan_run(struct plan *plan, struct cuda_compute *compute, const struct plan_operand *operands,
	 uint32_t count)
{
	struct placed placed = { .count = count, .workspace = compute->workspace };
	cudnnBackendDescriptor_t execution = current(plan);
	/* A plan that was made anew has left the planner's GPU the thread's. */
	if (execution == NULL || cuda_enter(compute->device) != 0)
		return -1;
	memcpy(placed.operands, operands, count * sizeof(operands[0]));
	return cuda_compute_check_dnn(compute, execute(compute->dnn, execution, &placed),
				      "cudnnBackendExecute");
}
