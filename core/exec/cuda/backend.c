/* The module's struct backend: operators prepared for CUDA. */
#include "exec/backend.h"

#include <cublasLt.h>
#include <cudnn.h>

#include "base/error.h"
#include "device/cuda.h"
#include "exec/cuda/op.h"
#include "exec/cuda/op_elements.h"
#include "exec/cuda/planner.h"
#include "exec/cuda/runs.h"
#include "exec/cuda/staged.h"
#include "exec/last.h"
#include "exec/operator.h"
#include "exec/widen.h"

/* Try one way to prepare; leaves a zeroed kernel behind when it fails. */
static int
try_prepare(struct operator_call *call, int (*prepare)(struct operator_call *call))
{
	if (prepare(call) == 0)
		return 0;
	if (call->kernel->destroy != NULL)
		call->kernel->destroy(call->kernel->state);
	*call->kernel = (struct kernel){ 0 };
	return -1;
}

/* By an entry of our own table, else with the host's state. */
static int
prepare_on_device(struct operator_call *call)
{
	const struct cuda_op *entry = cuda_op_find(call->op);
	return entry != NULL ? entry->prepare(call) : runs_prepare(call);
}

static int
prepare(struct operator_call *call);

/* With channels last: as an operator on plain tensors, else by kernels that know the layout, of which one takes every such call. */
static int
prepare_last(struct operator_call *call)
{
	struct operator_call view;
	bool is_other;
	if (last_view(call, &view, &is_other) != 0)
		return -1;
	return is_other ? prepare(&view) : try_prepare(call, prepare_on_device);
}

/*
 * By a kernel of ours for these types, else for FP32, else on the host, where a graph that is interpreted runs as it is. An
 * adapter's own prepare comes back here with the operator that it stands for.
 */
static int
prepare(struct operator_call *call)
{
	if (last_is_used(call))
		return prepare_last(call);
	if (cuda_op_find(call->op) == NULL && (call->op->flags & OPERATOR_ADAPTER) != 0)
		return call->op->prepare(call);
	if ((call->op->flags & OPERATOR_TELLS_TYPES) != 0)
		return staged_prepare(call);
	if (try_prepare(call, prepare_on_device) == 0 || try_prepare(call, widen_prepare) == 0)
		return 0;
	if (error_last()->code != ERR_UNIMPLEMENTED)
		return -1;
	return staged_prepare(call);
}

/* Of 16-bit floats attention is one step; of others products and a softmax are quick enough (docs/gpu.md). */
static bool
fuses(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
}

/*
 * Tensor cores' engines read channels last, and convert what does not lie so, at every convolution; those that keep FP32 as it
 * is do not care.
 */
static enum layout
layout(enum data_type data_type)
{
	bool is_half = data_type == DATA_TYPE_FLOAT16 || data_type == DATA_TYPE_BFLOAT16;
	bool is_float = data_type == DATA_TYPE_FLOAT;
	enum device_layout wanted = cuda_layout();
	if (wanted == DEVICE_LAYOUT_AUTO)
		is_float &= cuda_math() != DEVICE_MATH_FP32;
	return wanted != DEVICE_LAYOUT_NCHW && (is_half || is_float) ? LAYOUT_LAST : LAYOUT_PLAIN;
}

static bool
narrow_posts(void)
{
	return true;
}

/* The libraries' versions, and for which types weights are packed for channels last. */
static uint64_t
platform(void)
{
	uint64_t last = (uint64_t)(layout(DATA_TYPE_FLOAT) == LAYOUT_LAST) |
			(uint64_t)(layout(DATA_TYPE_FLOAT16) == LAYOUT_LAST) << 1;
	return last << 62 | (uint64_t)cublasLtGetVersion() << 32 | (uint64_t)cudnnGetVersion();
}

static int
copy_in(void *queue, void *to, const void *from, size_t bytes)
{
	struct cuda_compute *compute = queue;
	return cuda_compute_check(
		compute, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, compute->stream),
		"cudaMemcpyAsync");
}

static int
cast(void *queue, enum data_type to, void *out, enum data_type from, const void *in,
     int64_t elements)
{
	struct cuda_compute *compute = queue;
	return cuda_compute_check(
		compute, kernel_cast(compute->stream, to, out, from, in, elements), "kernel_cast");
}

static int
widen(void *queue, enum narrow_form form, void *to, const void *from, size_t bytes)
{
	struct cuda_compute *compute = queue;
	int64_t count = (int64_t)(bytes / sizeof(float));
	if (form == NARROW_FP16)
		return cast(queue, DATA_TYPE_FLOAT, to, DATA_TYPE_FLOAT16, from, count);
	if (form == NARROW_INT8)
		return cuda_compute_check(compute,
					  kernel_widen_blocks(compute->stream, to, from, count),
					  "kernel_widen_blocks");
	return cuda_compute_check(
		compute,
		cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, compute->stream),
		"cudaMemcpyAsync");
}

static bool
watch(void *queue, uint32_t parts, backend_times_f *done, void *context)
{
	struct cuda_compute *compute = queue;
	return cuda_watch_begin(&compute->watch, parts, done, context);
}

static void
mark(void *queue, uint32_t part)
{
	struct cuda_compute *compute = queue;
	cuda_watch_mark(&compute->watch, part);
}

/* What the module exports. */
extern const struct backend tidepool_module_backend;

const struct backend tidepool_module_backend = {
	.layout = layout,
	.narrow_posts = narrow_posts,
	.fuses = fuses,
	.gathers = cuda_op_gathers,
	.prepare = prepare,
	.platform = platform,
	.settle = planner_settle,
	.copy_in = copy_in,
	.cast = cast,
	.widen = widen,
	.watch = watch,
	.mark = mark,
};
