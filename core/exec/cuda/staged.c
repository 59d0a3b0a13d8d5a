#include "exec/cuda/staged.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "exec/cuda/op.h"

enum { ALIGNMENT = 64 };

/* One input or output of the host's kernel. */
struct staged_operand {
	/* Where it is in the staging memory. */
	size_t offset;
	/* 0: there is none. */
	size_t bytes;
	/* A packed constant, which stays on the host; NULL: it is copied. */
	const void *literal;
};

struct staged {
	struct kernel kernel;
	int threads;
	uint32_t input_count;
	uint32_t output_count;
	struct staged_operand *inputs;
	struct staged_operand *outputs;
	/* In the staging memory. */
	size_t scratch;
	size_t bytes;
};

/* One run on its way through the stream. */
struct staged_run {
	const struct staged *staged;
	struct cuda_compute *compute;
	const char *label;
	char *memory;
	/* Bits of the operands that this run has. */
	bool *present;
	struct tensor_type *output_types;
};

/* What packs go to while the host's kernel is prepared: memory of the program's own. */
struct staged_parameters {
	struct parameters base;
	struct staged *staged;
	struct arena *arena;
};

/* --- running -------------------------------------------------------------------------------------------------------- */

/* The host's kernel on the staging memory. */
static int
run_host(const struct staged_run *run)
{
	const struct staged *staged = run->staged;
	const void *inputs[staged->input_count + 1];
	void *outputs[staged->output_count + 1];
	for (uint32_t i = 0; i < staged->input_count; i++) {
		const struct staged_operand *operand = &staged->inputs[i];
		inputs[i] = run->present[i] ? run->memory + operand->offset : operand->literal;
	}
	for (uint32_t i = 0; i < staged->output_count; i++)
		outputs[i] = run->present[staged->input_count + i]
				     ? run->memory + staged->outputs[i].offset
				     : NULL;
	struct operands operands = { .inputs = inputs,
				     .outputs = outputs,
				     .scratch = run->memory + staged->scratch,
				     .output_types = run->output_types };
	if (omp_get_max_threads() != staged->threads)
		omp_set_num_threads(staged->threads);
	if (staged->kernel.run(staged->kernel.state, &operands) != 0)
		return error_wrap("%s", run->label);
	return 0;
}

/* cudaHostFn_t: on a thread of the CUDA runtime. */
static void
run_in_stream(void *context)
{
	struct staged_run *run = context;
	if (run_host(run) != 0)
		cuda_compute_fail(run->compute, error_last());
	free(run);
}

static struct staged_run *
new_run(const struct staged *staged, const struct operands *operands)
{
	uint32_t count = staged->input_count + staged->output_count;
	struct staged_run *run = calloc(1, sizeof(*run) + count * sizeof(bool));
	if (run == NULL) {
		error_set(ERR_RESOURCE_EXHAUSTED, "no memory for a staged run");
		return NULL;
	}
	run->staged = staged;
	run->compute = cuda_op_compute(operands);
	run->present = (bool *)(run + 1);
	run->label = operands->label;
	run->output_types = operands->output_types;
	for (uint32_t i = 0; i < staged->input_count; i++)
		run->present[i] = staged->inputs[i].literal == NULL &&
				  operands->inputs[i] != NULL && staged->inputs[i].bytes != 0;
	for (uint32_t i = 0; i < staged->output_count; i++)
		run->present[staged->input_count + i] =
			operands->outputs[i] != NULL && staged->outputs[i].bytes != 0;
	run->memory = cuda_compute_staging(run->compute, staged->bytes);
	if (run->memory != NULL)
		return run;
	free(run);
	return NULL;
}

static int
copy_inputs(const struct staged_run *run, const struct operands *operands)
{
	for (uint32_t i = 0; i < run->staged->input_count; i++) {
		const struct staged_operand *operand = &run->staged->inputs[i];
		if (run->present[i] &&
		    cuda_compute_check(run->compute,
				       cudaMemcpyAsync(run->memory + operand->offset,
						       operands->inputs[i], operand->bytes,
						       cudaMemcpyDeviceToHost,
						       run->compute->stream),
				       "cudaMemcpyAsync") != 0)
			return -1;
	}
	return 0;
}

static int
copy_outputs(const struct staged *staged, const char *memory, const struct operands *operands)
{
	struct cuda_compute *compute = cuda_op_compute(operands);
	for (uint32_t i = 0; i < staged->output_count; i++) {
		const struct staged_operand *operand = &staged->outputs[i];
		if (operands->outputs[i] != NULL && operand->bytes != 0 &&
		    cuda_compute_check(compute,
				       cudaMemcpyAsync(operands->outputs[i],
						       memory + operand->offset, operand->bytes,
						       cudaMemcpyHostToDevice, compute->stream),
				       "cudaMemcpyAsync") != 0)
			return -1;
	}
	return 0;
}

/* Now, on this thread, which waits for what was put before: the caller wants the types. */
static int
run_and_wait(struct staged_run *run)
{
	struct cuda_compute *compute = run->compute;
	int result = cuda_compute_check(compute, cudaStreamSynchronize(compute->stream),
					"cudaStreamSynchronize");
	if (result == 0)
		result = run_host(run);
	free(run);
	return result;
}

static int
run_staged(const void *state, const struct operands *operands)
{
	const struct staged *staged = state;
	struct staged_run *run = new_run(staged, operands);
	if (run == NULL)
		return -1;
	/* The run is its own from here on: it may be over, and freed, before a call returns. */
	struct cuda_compute *compute = run->compute;
	char *memory = run->memory;
	if (copy_inputs(run, operands) != 0) {
		free(run);
		return -1;
	}
	if (run->output_types != NULL) {
		if (run_and_wait(run) != 0)
			return -1;
	} else if (cuda_compute_check(compute,
				      cudaLaunchHostFunc(compute->stream, run_in_stream, run),
				      "cudaLaunchHostFunc") != 0) {
		free(run);
		return -1;
	}
	return copy_outputs(staged, memory, operands);
}

/* --- preparing -------------------------------------------------------------------------------------------------------- */

static void
destroy_staged(const void *state)
{
	const struct staged *staged = state;
	if (staged->kernel.destroy != NULL)
		staged->kernel.destroy(staged->kernel.state);
}

static int
find_nothing(struct parameters *parameters, const struct constant *constant, const char *key,
	     void *descriptor, size_t size)
{
	return 0;
}

static int
add_literal(struct parameters *parameters, const struct operator_call *call, uint32_t input,
	    const char *key, const void *descriptor, size_t size, size_t bytes,
	    operator_pack_f *pack, void *context)
{
	struct staged_parameters *own = (struct staged_parameters *)parameters;
	char *memory = arena_alloc(own->arena, bytes + ALIGNMENT);
	if (memory == NULL)
		return -1;
	memory += -(uintptr_t)memory % ALIGNMENT;
	own->staged->inputs[input].literal = memory;
	return pack(context, call->constants[input], memory);
}

/* Places in the staging memory; returns their end. */
static size_t
place(struct staged_operand *operands, const struct tensor_type *types, uint32_t count, size_t at)
{
	for (uint32_t i = 0; i < count; i++) {
		if (types[i].data_type == DATA_TYPE_NONE || operands[i].literal != NULL)
			continue;
		operands[i].bytes = tensor_bytes(&types[i]);
		operands[i].offset = at;
		at += (operands[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	}
	return at;
}

int
staged_prepare(struct operator_call *call)
{
	struct staged *staged = operator_state(call, sizeof(*staged));
	if (staged == NULL)
		return -1;
	struct staged_parameters parameters = { { find_nothing, add_literal },
						staged,
						call->arena };
	struct operator_call host = *call;
	staged->threads = (int)call->threads;
	staged->input_count = call->input_count;
	staged->output_count = call->output_count;
	staged->inputs = arena_calloc(call->arena, call->input_count, sizeof(staged->inputs[0]));
	staged->outputs = arena_calloc(call->arena, call->output_count, sizeof(staged->outputs[0]));
	if (staged->inputs == NULL || staged->outputs == NULL)
		return -1;
	host.backend = NULL;
	host.kernel = &staged->kernel;
	host.parameters = &parameters.base;
	call->kernel->destroy = destroy_staged;
	if (operator_prepare_host(&host) != 0)
		return -1;
	size_t end = place(staged->inputs, call->inputs, call->input_count, 0);
	staged->scratch = place(staged->outputs, call->outputs, call->output_count, end);
	staged->bytes = staged->scratch + staged->kernel.scratch_bytes;
	call->kernel->run = run_staged;
	call->kernel->flops = staged->kernel.flops;
	call->kernel->staged = true;
	return 0;
}
