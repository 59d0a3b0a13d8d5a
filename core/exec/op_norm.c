/* Normalisations by stored statistics (BatchNormalization) and by those of the tensor's own parts. */
#include "exec/op_norm.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/parallel.h"
#include "exec/target.h"

enum { GRAIN_ELEMENTS = 8192 };

/* --- loops -------------------------------------------------------------------------------------------------------- */

/* Sums in lanes, so that they vectorise and lose less. */
enum { LANES = 16 };

TARGET_CLONES static float
sum_row(const float *in, int64_t n)
{
	float lanes[LANES] = { 0 }, sum = 0;
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		for (int k = 0; k < LANES; k++)
			lanes[k] += in[i + k];
	}
	for (; i < n; i++)
		sum += in[i];
	for (int k = 0; k < LANES; k++)
		sum += lanes[k];
	return sum;
}

/* Sum of (in[i] - mean)^2. */
TARGET_CLONES static float
squares_row(const float *in, int64_t n, float mean)
{
	float lanes[LANES] = { 0 }, sum = 0;
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		for (int k = 0; k < LANES; k++)
			lanes[k] += (in[i + k] - mean) * (in[i + k] - mean);
	}
	for (; i < n; i++)
		sum += (in[i] - mean) * (in[i] - mean);
	for (int k = 0; k < LANES; k++)
		sum += lanes[k];
	return sum;
}

/* out = in * scale + shift. */
TARGET_CLONES static void
affine_row(float *out, const float *in, int64_t n, float scale, float shift)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = in[i] * scale + shift;
}

/* out = (in - mean) * inverse * scale[i] + bias[i]; bias may be NULL. */
TARGET_CLONES static void
normal_row(float *out, const float *in, int64_t n, float mean, float inverse, const float *scale,
	   const float *bias)
{
	if (bias == NULL) {
		IN_PLACE_LOOP
		for (int64_t i = 0; i < n; i++)
			out[i] = (in[i] - mean) * inverse * scale[i];
		return;
	}
	IN_PLACE_LOOP
	for (int64_t i = 0; i < n; i++)
		out[i] = (in[i] - mean) * inverse * scale[i] + bias[i];
}

/* --- what all of them need ---------------------------------------------------------------------------------------- */

struct norm_run {
	const struct norm *norm;
	const struct operands *operands;
};

static int
check_floats(const struct operator_call *call)
{
	for (uint32_t i = 0; i < call->input_count; i++) {
		enum data_type data_type = call->inputs[i].data_type;
		if (data_type != DATA_TYPE_NONE && data_type != DATA_TYPE_FLOAT)
			return operator_unimplemented(call, "input %" PRIu32 " is %s, not FP32", i,
						      data_type_name(data_type));
	}
	return 0;
}

/* Inputs 1 … last must have that many elements each. */
static int
check_parameters(const struct operator_call *call, uint32_t last, int64_t elements)
{
	for (uint32_t i = 1; i <= last && i < call->input_count; i++) {
		if (operator_has_input(call, i) && tensor_elements(&call->inputs[i]) != elements)
			return operator_error(call,
					      "input %" PRIu32 " must have %" PRId64 " elements", i,
					      elements);
	}
	return 0;
}

/* State for an input of batch, channels and the rest; threads and epsilon filled in. */
static struct norm *
new_norm(struct operator_call *call, kernel_run_f *run)
{
	const struct tensor_type *input = &call->inputs[0];
	struct norm *norm = operator_state(call, sizeof(*norm));
	if (norm == NULL || check_floats(call) != 0)
		return NULL;
	norm->batch = input->dims[0];
	norm->channels = input->rank > 1 ? input->dims[1] : 1;
	norm->size = tensor_elements(input) / (norm->batch * norm->channels);
	norm->epsilon = node_float(call->node, "epsilon", 1e-5f);
	norm->threads = call->threads;
	norm->has_bias = operator_has_input(call, 2);
	norm->outputs = call->output_count;
	call->kernel->run = run;
	return norm;
}

/* Run part over count items of item elements each. */
static int
run_parts(const struct norm *norm, const struct operands *operands, int64_t count, int64_t item,
	  parallel_part_f *part)
{
	struct norm_run run = { norm, operands };
	parallel_for(norm->threads, count, GRAIN_ELEMENTS / (item + 1) + 1, part, &run);
	return 0;
}

/* Output 0 as input 0, which has channels with a parameter each in inputs 1 … last. */
static int
infer_channels(struct operator_call *call, uint32_t last)
{
	const struct tensor_type *input = &call->inputs[0];
	if (input->rank < 1)
		return operator_error(call, "the input must have channels");
	if (check_parameters(call, last, input->rank > 1 ? input->dims[1] : 1) != 0)
		return -1;
	return infer_same(call);
}

/* --- BatchNormalization ------------------------------------------------------------------------------------------- */

static void
batch_part(void *context, int64_t begin, int64_t end)
{
	const struct norm_run *run = context;
	const struct norm *norm = run->norm;
	const float *const *inputs = (const float *const *)run->operands->inputs;
	for (int64_t i = begin; i < end; i++) {
		int64_t channel = i % norm->channels;
		float scale = inputs[1][channel] / sqrtf(inputs[4][channel] + norm->epsilon);
		float shift = inputs[2][channel] - inputs[3][channel] * scale;
		affine_row((float *)run->operands->outputs[0] + i * norm->size,
			   inputs[0] + i * norm->size, norm->size, scale, shift);
	}
}

int
op_norm_batch(const void *state, const struct operands *operands)
{
	const struct norm *norm = state;
	return run_parts(norm, operands, norm->batch * norm->channels, norm->size, batch_part);
}

/* Training: the batch's own statistics normalise, and move the running ones. */
static void
train_channel(const struct norm *norm, const struct operands *operands, int64_t channel)
{
	const float *const *inputs = (const float *const *)operands->inputs;
	float *const *outputs = (float *const *)operands->outputs;
	float sum = 0, squares = 0, count = (float)(norm->batch * norm->size);
	int64_t step = norm->channels * norm->size;
	const float *in = inputs[0] + channel * norm->size;
	for (int64_t i = 0; i < norm->batch; i++)
		sum += sum_row(in + i * step, norm->size);
	float mean = sum / count;
	for (int64_t i = 0; i < norm->batch; i++)
		squares += squares_row(in + i * step, norm->size, mean);
	float variance = squares / count;
	float scale = inputs[1][channel] / sqrtf(variance + norm->epsilon);
	for (int64_t i = 0; i < norm->batch; i++)
		affine_row(outputs[0] + channel * norm->size + i * step, in + i * step, norm->size,
			   scale, inputs[2][channel] - mean * scale);
	float stays = norm->momentum;
	if (norm->outputs > 1 && outputs[1] != NULL)
		outputs[1][channel] = inputs[3][channel] * stays + mean * (1 - stays);
	if (norm->outputs > 2 && outputs[2] != NULL)
		outputs[2][channel] = inputs[4][channel] * stays + variance * (1 - stays);
}

static void
train_part(void *context, int64_t begin, int64_t end)
{
	const struct norm_run *run = context;
	for (int64_t channel = begin; channel < end; channel++)
		train_channel(run->norm, run->operands, channel);
}

int
op_norm_train(const void *state, const struct operands *operands)
{
	const struct norm *norm = state;
	return run_parts(norm, operands, norm->channels, norm->batch * norm->size, train_part);
}

static bool
is_training(const struct operator_call *call)
{
	return call->node->opset >= 14 && node_int(call->node, "training_mode", 0) != 0;
}

static int
infer_batch(struct operator_call *call)
{
	if (infer_channels(call, 4) != 0)
		return -1;
	if (node_int(call->node, "spatial", 1) == 0)
		return operator_unimplemented(call, "spatial 0 is not supported");
	if (call->node->opset < 7 && node_int(call->node, "is_test", 0) == 0)
		return operator_unimplemented(call, "training (is_test 0) is not supported");
	for (uint32_t i = 1; i < call->output_count; i++) {
		if (operator_has_output(call, i) && (!is_training(call) || i > 2))
			return operator_unimplemented(
				call, "output %" PRIu32 " of this opset is not supported", i);
		operator_output(call, i, call->inputs[2 + i].data_type, 1,
				call->inputs[2 + i].dims);
	}
	return 0;
}

static int
prepare_batch(struct operator_call *call)
{
	struct norm *norm = new_norm(call, is_training(call) ? op_norm_train : op_norm_batch);
	if (norm == NULL)
		return -1;
	norm->momentum = node_float(call->node, "momentum", 0.9f);
	return 0;
}

/* --- InstanceNormalization, GroupNormalization -------------------------------------------------------------------- */

static void
group_part(void *context, int64_t begin, int64_t end)
{
	const struct norm_run *run = context;
	const struct norm *norm = run->norm;
	const float *const *inputs = (const float *const *)run->operands->inputs;
	int64_t channels = norm->channels / norm->groups, size = channels * norm->size;
	for (int64_t i = begin; i < end; i++) {
		const float *in = inputs[0] + i * size;
		float *out = (float *)run->operands->outputs[0] + i * size;
		float mean = sum_row(in, size) / (float)size;
		float variance = squares_row(in, size, mean) / (float)size;
		float inverse = 1 / sqrtf(variance + norm->epsilon);
		int64_t group = i % norm->groups;
		for (int64_t k = 0; k < channels; k++) {
			int64_t at = norm->scale_of_group ? group : group * channels + k;
			float scale = inputs[1][at] * inverse;
			affine_row(out + k * norm->size, in + k * norm->size, norm->size, scale,
				   inputs[2][at] - mean * scale);
		}
	}
}

int
op_norm_group(const void *state, const struct operands *operands)
{
	const struct norm *norm = state;
	return run_parts(norm, operands, norm->batch * norm->groups,
			 norm->channels / norm->groups * norm->size, group_part);
}

static int
infer_instance(struct operator_call *call)
{
	return infer_channels(call, 2);
}

static int
prepare_instance(struct operator_call *call)
{
	struct norm *norm = new_norm(call, op_norm_group);
	if (norm == NULL)
		return -1;
	norm->groups = norm->channels;
	return 0;
}

static int
infer_group(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t groups = node_int(call->node, "num_groups", 0);
	if (input->rank < 2 || groups < 1 || input->dims[1] % groups != 0)
		return operator_error(call, "the channels do not make %" PRId64 " groups", groups);
	if (check_parameters(call, 2, call->node->opset < 21 ? groups : input->dims[1]) != 0)
		return -1;
	return infer_same(call);
}

static int
prepare_group(struct operator_call *call)
{
	struct norm *norm = new_norm(call, op_norm_group);
	if (norm == NULL)
		return -1;
	norm->groups = node_int(call->node, "num_groups", 1);
	norm->scale_of_group = call->node->opset < 21;
	return 0;
}

/* --- LayerNormalization, RMSNormalization ------------------------------------------------------------------------- */

static void
layer_row(const struct norm *norm, const struct operands *operands, int64_t row)
{
	const float *in = (const float *)operands->inputs[0] + row * norm->size;
	float mean = norm->keeps_mean ? 0 : sum_row(in, norm->size) / (float)norm->size;
	float variance = squares_row(in, norm->size, mean) / (float)norm->size;
	float inverse = 1 / sqrtf(variance + norm->epsilon);
	normal_row((float *)operands->outputs[0] + row * norm->size, in, norm->size, mean, inverse,
		   operands->inputs[1], norm->has_bias ? operands->inputs[2] : NULL);
	if (norm->outputs > 1 && operands->outputs[1] != NULL)
		((float *)operands->outputs[1])[row] = mean;
	if (norm->outputs > 2 && operands->outputs[2] != NULL)
		((float *)operands->outputs[2])[row] = inverse;
}

static void
layer_part(void *context, int64_t begin, int64_t end)
{
	const struct norm_run *run = context;
	for (int64_t row = begin; row < end; row++)
		layer_row(run->norm, run->operands, row);
}

int
op_norm_layer(const void *state, const struct operands *operands)
{
	const struct norm *norm = state;
	return run_parts(norm, operands, norm->batch, norm->size, layer_part);
}

static int
infer_layer(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	uint32_t axis;
	if (operator_axis(call, node_int(call->node, "axis", -1), type.rank, &axis) != 0 ||
	    check_parameters(call, 2, axis_from(&type, axis).dim) != 0)
		return -1;
	infer_same(call);
	for (uint32_t i = axis; i < type.rank; i++)
		type.dims[i] = 1;
	for (uint32_t i = 1; i < call->output_count; i++)
		operator_output(call, i, DATA_TYPE_FLOAT, type.rank, type.dims);
	return 0;
}

static int
prepare_layer(struct operator_call *call)
{
	struct norm *norm = new_norm(call, op_norm_layer);
	uint32_t axis;
	if (norm == NULL ||
	    operator_axis(call, node_int(call->node, "axis", -1), call->inputs[0].rank, &axis) != 0)
		return -1;
	struct axis split = axis_from(&call->inputs[0], axis);
	norm->batch = split.outer;
	norm->size = split.dim;
	norm->keeps_mean = strcmp(call->node->op_type, "RMSNormalization") == 0;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, LEAST, MOST, OUTPUTS, RULE)                                          \
	{ .type = NAME, .since = SINCE, .inputs = { LEAST, MOST }, .outputs = { 1, OUTPUTS },      \
	  .infer = infer_##RULE, .prepare = prepare_##RULE }
/* clang-format on */

static const struct op norm_operators[] = {
	OPERATOR("BatchNormalization", 6, 5, 5, 5, batch),
	OPERATOR("InstanceNormalization", 6, 3, 3, 1, instance),
	OPERATOR("GroupNormalization", 18, 3, 3, 1, group),
	OPERATOR("LayerNormalization", 17, 2, 3, 3, layer),
	OPERATOR("RMSNormalization", 23, 2, 2, 1, layer),
};

const struct operator_family operator_family_norm = {
	norm_operators,
	sizeof(norm_operators) / sizeof(norm_operators[0]),
};
