/*
 * Asks the real cuDNN, which needs no GPU for it, what engines it has for our graphs on a GPU of a given compute capability: cuDNN
 * takes a device's properties as text ("deviceless ahead-of-time compilation", NVIDIA's cudnn-frontend, since cuDNN 9.11).
 * engines_spec.lua compiles and runs it. A problem a line on standard input:
 *
 *     conv CAPABILITY TYPE BATCH GROUPS IN_CHANNELS OUT_CHANNELS SIZE KERNEL STRIDE BEGIN END FUSED TRANSPOSED
 *     attention CAPABILITY TYPE BATCH HEADS ROWS COLUMNS INNER MASK
 *
 * FUSED: letters of b(ias), r(esidual), a(ctivation), l(ast: channels lie last), or -; MASK: dims of the mask, letters of b, h, q, k where it has them all, or -.
 * For each a line: how many engines are proposed, how many of those compute FP32 exactly, and where the first of these stands.
 */
#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cuda.h"
#include "exec/cuda/plan_problem.h"
#include "exec/cuda/planner.h"

enum {
	MOST = 64,
	TEXT = 64,
};

/* What the sources of plans call elsewhere; nothing here depends on it. */
bool
planner_times(void)
{
	return false;
}

enum device_math
cuda_math(void)
{
	return DEVICE_MATH_FP32;
}

const char *
device_math_name(enum device_math math)
{
	return math == DEVICE_MATH_FP32 ? "fp32" : "";
}

const char *
data_type_name(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT ? "FP32" : "";
}

size_t
data_type_bytes(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT ? 4 : data_type == DATA_TYPE_DOUBLE ? 8 : 2;
}

/* --- devices --------------------------------------------------------------------------------------------------------- */

/* Those of an H100, or an A100 below 9.0: what engines ask for is the capability and the shared memory. */
static cudnnBackendDescriptor_t
describe_device(int capability)
{
	char text[1024];
	cudnnBackendDescriptor_t device = NULL;
	snprintf(text, sizeof(text),
		 "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
		 "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,"
		 "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
		 "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"
		 "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,"
		 "\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,"
		 "\"totalGlobalMem\":85029158912,\"smClockRateKHz\":1980000,"
		 "\"memClockRateKHz\":2619000,\"l2CacheSize\":52428800,\"cudaDeviceId\":0,"
		 "\"deviceVer\":%d,\"driverVer\":13000,\"deviceName\":\"\"}",
		 capability >= 90 ? 132 : 108, capability >= 90 ? 232448 : 166912, capability * 10);
	if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device) !=
		    CUDNN_STATUS_SUCCESS ||
	    cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
				     CUDNN_TYPE_CHAR, (int64_t)strlen(text),
				     text) != CUDNN_STATUS_SUCCESS ||
	    cudnnBackendFinalize(device) != CUDNN_STATUS_SUCCESS) {
		puts("no properties");
		exit(0);
	}
	return device;
}

/* --- asking ---------------------------------------------------------------------------------------------------------- */

static bool
is_exact(cudnnBackendDescriptor_t config)
{
	cudnnBackendDescriptor_t engine = NULL;
	cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	int64_t count = 0;
	bool exact =
		cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) ==
			CUDNN_STATUS_SUCCESS &&
		cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
					 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
					 &engine) == CUDNN_STATUS_SUCCESS &&
		cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
					 CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
					 &count, notes) == CUDNN_STATUS_SUCCESS;
	for (int64_t i = 0; exact && i < count; i++)
		exact = notes[i] != CUDNN_NUMERICAL_NOTE_TENSOR_CORE &&
			notes[i] != CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
	cudnnBackendDestroyDescriptor(engine);
	return exact;
}

static void
answer(cudnnBackendDescriptor_t heuristic)
{
	cudnnBackendDescriptor_t configs[MOST];
	int64_t count = 0, first = -1;
	int exact = 0;
	for (int i = 0; i < MOST; i++)
		cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]);
	cudnnStatus_t status =
		cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
					 CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &count, configs);
	for (int64_t i = 0; status == CUDNN_STATUS_SUCCESS && i < count; i++) {
		if (!is_exact(configs[i]))
			continue;
		first = first < 0 ? i : first;
		exact++;
	}
	for (int i = 0; i < MOST; i++)
		cudnnBackendDestroyDescriptor(configs[i]);
	printf("%lld %d %lld\n", (long long)count, exact, (long long)first);
}

static void
ask(const struct plan_problem *problem, int capability)
{
	struct plan_build build = { 0 };
	cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
	problem->kind->add(problem, &build);
	cudnnBackendDescriptor_t graph =
		plan_build_create(&build, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	plan_build_set(&build, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
		       build.operation_count, build.operations);
	plan_build_finalize(&build, graph);
	cudnnBackendDescriptor_t device = describe_device(capability);
	cudnnBackendDescriptor_t heuristic =
		plan_build_create(&build, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	plan_build_link(&build, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
	plan_build_set(&build, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
		       &mode);
	plan_build_link(&build, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
	plan_build_finalize(&build, heuristic);
	if (build.status == CUDNN_STATUS_SUCCESS)
		answer(heuristic);
	else
		printf("refused: %s\n", cudnnGetErrorString(build.status));
	plan_build_destroy(&build);
	cudnnBackendDestroyDescriptor(device);
}

/* --- problems -------------------------------------------------------------------------------------------------------- */

static enum data_type
type_of(const char *name)
{
	return strcmp(name, "fp16") == 0   ? DATA_TYPE_FLOAT16
	       : strcmp(name, "bf16") == 0 ? DATA_TYPE_BFLOAT16
	       : strcmp(name, "fp64") == 0 ? DATA_TYPE_DOUBLE
					   : DATA_TYPE_FLOAT;
}

static bool
read_conv(const char *line, struct plan_problem *problem, int *capability)
{
	struct plan_conv *conv = &problem->conv;
	char type[TEXT], fused[TEXT];
	long long batch, groups, in, out, size, kernel, stride, begin, end;
	int transposed;
	if (sscanf(line, "conv %d %63s %lld %lld %lld %lld %lld %lld %lld %lld %lld %63s %d",
		   capability, type, &batch, &groups, &in, &out, &size, &kernel, &stride, &begin,
		   &end, fused, &transposed) != 13)
		return false;
	*problem = (struct plan_problem){ .kind = &plan_kind_conv, .data_type = type_of(type) };
	*conv = (struct plan_conv){ .data_type = problem->data_type,
				    .transposed = transposed != 0,
				    .spatial = 2,
				    .batch = batch,
				    .groups = groups,
				    .in_channels = in,
				    .out_channels = out,
				    .bias = strchr(fused, 'b') != NULL,
				    .residual = strchr(fused, 'r') != NULL,
				    .relu = strchr(fused, 'a') != NULL,
				    .last = strchr(fused, 'l') != NULL };
	for (int i = 0; i < 2; i++) {
		conv->in[i] = size;
		conv->kernel[i] = kernel;
		conv->strides[i] = stride;
		conv->dilations[i] = 1;
		conv->begin[i] = begin;
		conv->end[i] = end;
		conv->out[i] = transposed ? (size - 1) * stride + kernel - begin - end
					  : (size + begin + end - kernel) / stride + 1;
	}
	return true;
}

/* Heads side by side in a row, as models' products give them. */
static bool
read_attention(const char *line, struct plan_problem *problem, int *capability)
{
	struct attention *attention = &problem->attention;
	char type[TEXT], mask[TEXT];
	long long batch, heads, rows, columns, inner;
	if (sscanf(line, "attention %d %63s %lld %lld %lld %lld %lld %63s", capability, type,
		   &batch, &heads, &rows, &columns, &inner, mask) != 8)
		return false;
	*problem =
		(struct plan_problem){ .kind = &plan_kind_attention, .data_type = type_of(type) };
	int64_t across = heads * inner;
	struct attention_steps q = { { rows * across, inner, across, 1 } };
	struct attention_steps k = { { columns * across, inner, across, 1 } };
	int64_t step = 1;
	*attention = (struct attention){ .data_type = problem->data_type,
					 .batch = { batch, heads },
					 .rows = rows,
					 .columns = columns,
					 .inner = inner,
					 .width = inner,
					 .scale = 0.125F,
					 .masked = mask[0] != '-',
					 .q = q,
					 .k = k,
					 .v = k,
					 .out = q };
	const int64_t dims[] = { batch, heads, rows, columns };
	for (int i = ATTENTION_RANK - 1; i >= 0; i--) {
		if (strchr(mask, "bhqk"[i]) == NULL)
			continue;
		attention->mask.steps[i] = step;
		step *= dims[i];
	}
	return true;
}

int
main(void)
{
	char line[256];
	struct plan_problem problem;
	int capability;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (!read_conv(line, &problem, &capability) &&
		    !read_attention(line, &problem, &capability)) {
			printf("not understood: %s", line);
			return 1;
		}
		ask(&problem, capability);
	}
	return 0;
}
