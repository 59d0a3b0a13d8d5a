/* Losses: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. */
#include "exec/op_loss.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "exec/axis.h"

/* What one run adds up. */
struct sums {
	double loss;
	double weight;
};

/* log(sum(exp(scores))) over the classes, step elements apart. */
static float
log_sum(const float *scores, int64_t classes, int64_t step)
{
	float max = scores[0];
	double sum = 0;
	for (int64_t i = 1; i < classes; i++)
		max = fmaxf(max, scores[i * step]);
	for (int64_t i = 0; i < classes; i++)
		sum += exp((double)scores[i * step] - max);
	return max + (float)log(sum);
}

/* The loss of one target, and what it weighs. */
static int
target_loss(const struct loss *loss, const struct operands *operands, int64_t at, float shift,
	    float *value, float *weight)
{
	int64_t target = axis_integer(loss->target_type, operands->inputs[1], at);
	*value = *weight = 0;
	if (loss->has_ignored && target == loss->ignored)
		return 0;
	if (target < 0 || target >= loss->classes)
		return error_set(ERR_OUT_OF_RANGE,
				 "target %" PRId64 " is not one of %" PRId64 " classes", target,
				 loss->classes);
	const float *scores = operands->inputs[0];
	int64_t row = at / loss->size * loss->classes + target;
	*weight = loss->has_weights ? ((const float *)operands->inputs[2])[target] : 1;
	*value = -(scores[row * loss->size + at % loss->size] - shift) * *weight;
	return 0;
}

static void
write_log_probabilities(const struct loss *loss, const struct operands *operands, int64_t at,
			float shift)
{
	int64_t first = at / loss->size * loss->classes * loss->size + at % loss->size;
	const float *scores = (const float *)operands->inputs[0] + first;
	float *out = (float *)operands->outputs[1] + first;
	for (int64_t i = 0; i < loss->classes; i++)
		out[i * loss->size] = scores[i * loss->size] - shift;
}

int
op_loss_run(const void *state, const struct operands *operands)
{
	const struct loss *loss = state;
	float *out = operands->outputs[0];
	struct sums sums = { 0 };
	for (int64_t at = 0; at < loss->batch * loss->size; at++) {
		int64_t first = at / loss->size * loss->classes * loss->size + at % loss->size;
		float shift = 0, value, weight;
		if (loss->takes_softmax)
			shift = log_sum((const float *)operands->inputs[0] + first, loss->classes,
					loss->size);
		if (target_loss(loss, operands, at, shift, &value, &weight) != 0)
			return -1;
		if (loss->wants_log_probabilities)
			write_log_probabilities(loss, operands, at, shift);
		if (loss->reduction == REDUCTION_NONE)
			out[at] = value;
		sums.loss += value;
		sums.weight += weight;
	}
	if (loss->reduction == REDUCTION_SUM)
		out[0] = (float)sums.loss;
	if (loss->reduction == REDUCTION_MEAN)
		out[0] = (float)(sums.loss / sums.weight);
	return 0;
}

static int
read_reduction(const struct operator_call *call)
{
	static const char *const names[REDUCTIONS] = { "none", "sum", "mean" };
	const char *name = node_string(call->node, "reduction", "mean");
	for (int i = 0; i < REDUCTIONS; i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return operator_error(call, "reduction '%s' does not exist", name);
}

/* Targets must be scores' shape without the classes. */
static int
check_targets(const struct operator_call *call)
{
	const struct tensor_type *scores = &call->inputs[0], *targets = &call->inputs[1];
	if (scores->rank < 2 || targets->rank != scores->rank - 1 || scores->dims[1] < 1)
		return operator_error(call, "scores of rank %" PRIu32 ", targets of rank %" PRIu32,
				      scores->rank, targets->rank);
	for (uint32_t i = 0; i < targets->rank; i++) {
		if (targets->dims[i] != scores->dims[i == 0 ? 0 : i + 1])
			return operator_error(call,
					      "targets and scores differ in dimension "
					      "%" PRIu32,
					      i);
	}
	if (targets->data_type != DATA_TYPE_INT32 && targets->data_type != DATA_TYPE_INT64)
		return operator_error(call, "the targets are %s",
				      data_type_name(targets->data_type));
	if (scores->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "scores of %s are not supported",
					      data_type_name(scores->data_type));
	if (operator_has_input(call, 2) && (call->inputs[2].data_type != DATA_TYPE_FLOAT ||
					    tensor_elements(&call->inputs[2]) != scores->dims[1]))
		return operator_error(call, "the weights must be one FP32 a class");
	return 0;
}

static int
infer_loss(struct operator_call *call)
{
	const struct tensor_type *scores = &call->inputs[0], *targets = &call->inputs[1];
	int reduction = read_reduction(call);
	if (reduction < 0 || check_targets(call) != 0)
		return -1;
	operator_output(call, 1, scores->data_type, scores->rank, scores->dims);
	return operator_output(call, 0, scores->data_type,
			       reduction == REDUCTION_NONE ? targets->rank : 0, targets->dims);
}

static int
prepare_loss(struct operator_call *call)
{
	const struct tensor_type *scores = &call->inputs[0];
	struct loss *loss = operator_state(call, sizeof(*loss));
	if (loss == NULL)
		return -1;
	*loss = (struct loss){
		.reduction = (enum reduction)read_reduction(call),
		.target_type = call->inputs[1].data_type,
		.batch = scores->dims[0],
		.classes = scores->dims[1],
		.size = axis_of(scores, 1).inner,
		.has_weights = operator_has_input(call, 2),
		.has_ignored = node_attribute(call->node, "ignore_index") != NULL,
		.ignored = node_int(call->node, "ignore_index", 0),
		.takes_softmax = call->node->op_type[0] == 'S',
		.wants_log_probabilities = operator_has_output(call, 1),
	};
	call->kernel->run = op_loss_run;
	return 0;
}

static const struct op loss_operators[] = {
	{ .type = "NegativeLogLikelihoodLoss",
	  .since = 12,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_loss,
	  .prepare = prepare_loss },
	{ .type = "SoftmaxCrossEntropyLoss",
	  .since = 12,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 2 },
	  .infer = infer_loss,
	  .prepare = prepare_loss },
};

const struct operator_family operator_family_loss = {
	loss_operators,
	sizeof(loss_operators) / sizeof(loss_operators[0]),
};
