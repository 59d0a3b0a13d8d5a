#include "exec/cuda/algorithm.h"

#include <string.h>

#include "base/error.h"
#include "device/cuda_compute.h"

enum {
	/* What memory for trials is aligned to. */
	ALIGNMENT = 256,
};

/* Workspace and alignments that an algorithm can count on. */
static cublasStatus_t
set_preference(cublasLtMatmulPreference_t preference, const struct algorithm_problem *problem)
{
	uint64_t workspace = CUDA_WORKSPACE_BYTES;
	const struct {
		cublasLtMatmulPreferenceAttributes_t name;
		const void *value;
		size_t bytes;
	} settings[] = {
		{ CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof(workspace) },
		{ CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &problem->a.alignment,
		  sizeof(uint32_t) },
		{ CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &problem->b.alignment,
		  sizeof(uint32_t) },
		{ CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &problem->c.alignment,
		  sizeof(uint32_t) },
		{ CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &problem->c.alignment,
		  sizeof(uint32_t) },
	};
	cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]) && status == 0; i++)
		status = cublasLtMatmulPreferenceSetAttribute(preference, settings[i].name,
							      settings[i].value, settings[i].bytes);
	return status;
}

/* --- timing -------------------------------------------------------------------------------------------------------------- */

/* One way, on memory for trials: planner_put_f's context. */
struct trial {
	const struct algorithm_problem *problem;
	const cublasLtMatmulAlgo_t *algorithm;
	char *memory;
};

static size_t
rounded(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int
put_trial(void *context, cudaStream_t stream)
{
	const struct trial *trial = context;
	const struct algorithm_problem *problem = trial->problem;
	char *a = trial->memory + CUDA_WORKSPACE_BYTES, *b = a + rounded(problem->a.bytes);
	char *c = b + rounded(problem->b.bytes);
	return cublasLtMatmul(planner_blas(), problem->desc, problem->one, a, problem->a.layout, b,
			      problem->b.layout, problem->zero, c, problem->c.layout, c,
			      problem->c.layout, trial->algorithm, trial->memory,
			      CUDA_WORKSPACE_BYTES, stream) == CUBLAS_STATUS_SUCCESS
		       ? 0
		       : -1;
}

/* A bias lies where C does: there are no more elements in it. */
static bool
set_bias(const struct trial *trial)
{
	const struct algorithm_problem *problem = trial->problem;
	const void *bias = trial->memory + CUDA_WORKSPACE_BYTES + rounded(problem->a.bytes) +
			   rounded(problem->b.bytes);
	return !problem->biased ||
	       cublasLtMatmulDescSetAttribute(problem->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
					      &bias, sizeof(bias)) == CUBLAS_STATUS_SUCCESS;
}

/* The place of the quickest; 0, the heuristic's first, where none can be timed. */
static int
find_quickest(const struct algorithm_problem *problem,
	      const cublasLtMatmulHeuristicResult_t *results, int count)
{
	struct trial trial = { .problem = problem };
	int quickest = 0;
	double least = -1;
	trial.memory = planner_begin_trial(CUDA_WORKSPACE_BYTES + rounded(problem->a.bytes) +
					   rounded(problem->b.bytes) + problem->c.bytes);
	if (trial.memory == NULL)
		return 0;
	for (int i = 0; i < count && set_bias(&trial); i++) {
		trial.algorithm = &results[i].algo;
		double us = planner_time(put_trial, &trial);
		if (us >= 0 && (least < 0 || us < least)) {
			least = us;
			quickest = i;
		}
	}
	planner_end_trial(trial.memory);
	return quickest;
}

/* --- choosing ------------------------------------------------------------------------------------------------------------ */

/* While the planner is taken: what the library proposes, the best first. Returns how many. */
static int
ask(const struct algorithm_problem *problem, cublasLtMatmulHeuristicResult_t *results, int most)
{
	cublasLtMatmulPreference_t preference = NULL;
	int found = 0;
	cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
	if (status == CUBLAS_STATUS_SUCCESS)
		status = set_preference(preference, problem);
	if (status == CUBLAS_STATUS_SUCCESS)
		status = cublasLtMatmulAlgoGetHeuristic(
			planner_blas(), problem->desc, problem->a.layout, problem->b.layout,
			problem->c.layout, problem->c.layout, preference, most, results, &found);
	if (preference != NULL)
		cublasLtMatmulPreferenceDestroy(preference);
	int good = 0;
	for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < found; i++)
		if (results[i].state == CUBLAS_STATUS_SUCCESS)
			results[good++] = results[i];
	return good;
}

/* Is there one that was found before, and does the library still take it? */
static bool
recall(const struct algorithm_problem *problem, cublasLtMatmulAlgo_t *algorithm)
{
	cublasLtMatmulHeuristicResult_t result;
	const struct finding *finding = findings_find(planner_findings(), problem->key);
	if (finding == NULL || finding->bytes != sizeof(*algorithm))
		return false;
	memcpy(algorithm, finding->value, sizeof(*algorithm));
	if (cublasLtMatmulAlgoCheck(planner_blas(), problem->desc, problem->a.layout,
				    problem->b.layout, problem->c.layout, problem->c.layout,
				    algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
	    result.workspaceSize <= CUDA_WORKSPACE_BYTES)
		return true;
	findings_remove(planner_findings(), problem->key);
	return false;
}

int
algorithm_choose(const struct algorithm_problem *problem, cublasLtMatmulAlgo_t *algorithm)
{
	cublasLtMatmulHeuristicResult_t results[PLANNER_CANDIDATES];
	if (planner_enter() != 0)
		return -1;
	bool known = recall(problem, algorithm);
	int found = known ? 1 : ask(problem, results, planner_times() ? PLANNER_CANDIDATES : 1);
	if (!known && found != 0) {
		int best = planner_times() ? find_quickest(problem, results, found) : 0;
		*algorithm = results[best].algo;
		findings_add(planner_findings(), problem->key, algorithm, sizeof(*algorithm));
	}
	planner_leave();
	if (found != 0)
		return 0;
	return error_set(ERR_UNIMPLEMENTED, "cuBLASLt has no algorithm for %s", problem->key);
}
