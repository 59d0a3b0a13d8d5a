/* Normalisations without parameters: LRN, MeanVarianceNormalization, LpNormalization. */
#include "exec/op_normalize.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/parallel.h"
#include "exec/target.h"

enum {
	GRAIN_ELEMENTS = 8192,
	/* Neighbouring elements that LRN does together. */
	CHUNK = 256,
};

static int
infer_float(struct operator_call *call)
{
	if (call->inputs[0].data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(call->inputs[0].data_type));
	return infer_same(call);
}

/* --- LRN ---------------------------------------------------------------------------------------------------------- */

struct lrn_run {
	const struct lrn *lrn;
	const struct operands *operands;
};

TARGET_CLONES static void
add_squares(float *sum, const float *in, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		sum[i] += in[i] * in[i];
}

/* out = in / (bias + alpha * sum) ^ beta; 0.75 is what networks use. */
TARGET_CLONES static void
scale_by_sums(const struct lrn *lrn, float *out, const float *in, const float *sum, int64_t n)
{
	if (lrn->beta == 0.75f) {
		for (int64_t i = 0; i < n; i++) {
			float root = sqrtf(lrn->bias + lrn->alpha * sum[i]);
			out[i] = in[i] / (root * sqrtf(root));
		}
		return;
	}
	for (int64_t i = 0; i < n; i++)
		out[i] = in[i] * powf(lrn->bias + lrn->alpha * sum[i], -lrn->beta);
}

/* Items: planes, a plane a channel of a batch element. */
static void
lrn_part(void *context, int64_t begin, int64_t end)
{
	const struct lrn_run *run = context;
	const struct lrn *lrn = run->lrn;
	for (int64_t plane = begin; plane < end; plane++) {
		int64_t channel = plane % lrn->channels;
		int64_t first = channel < lrn->before ? -channel : -lrn->before;
		int64_t left = lrn->channels - 1 - channel;
		int64_t last = left < lrn->after ? left : lrn->after;
		const float *in = (const float *)run->operands->inputs[0] + plane * lrn->size;
		float *out = (float *)run->operands->outputs[0] + plane * lrn->size;
		for (int64_t i = 0; i < lrn->size; i += CHUNK) {
			int64_t n = lrn->size - i < CHUNK ? lrn->size - i : CHUNK;
			float sum[CHUNK] = { 0 };
			for (int64_t k = first; k <= last; k++)
				add_squares(sum, in + k * lrn->size + i, n);
			scale_by_sums(lrn, out + i, in + i, sum, n);
		}
	}
}

int
op_normalize_lrn(const void *state, const struct operands *operands)
{
	const struct lrn *lrn = state;
	struct lrn_run run = { lrn, operands };
	parallel_for(lrn->threads, lrn->planes, GRAIN_ELEMENTS / (lrn->size + 1) + 1, lrn_part,
		     &run);
	return 0;
}

static int
infer_lrn(struct operator_call *call)
{
	if (call->inputs[0].rank < 2 || node_int(call->node, "size", 0) < 1)
		return operator_error(call, "the input must have channels and size be positive");
	return infer_float(call);
}

static int
prepare_lrn(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	int64_t size = node_int(call->node, "size", 1);
	struct lrn *lrn = operator_state(call, sizeof(*lrn));
	if (lrn == NULL)
		return -1;
	*lrn = (struct lrn){
		.channels = input->dims[1],
		.size = axis_of(input, 1).inner,
		.planes = input->dims[0] * input->dims[1],
		.before = (size - 1) / 2,
		.after = size - 1 - (size - 1) / 2,
		.alpha = node_float(call->node, "alpha", 1e-4f) / (float)size,
		.beta = node_float(call->node, "beta", 0.75f),
		.bias = node_float(call->node, "bias", 1),
		.threads = call->threads,
	};
	call->kernel->run = op_normalize_lrn;
	return 0;
}

/* --- MeanVarianceNormalization ------------------------------------------------------------------------------------ */

/* Index of the element's mean and variance. */
static int64_t
cell_of(const struct moments *moments, int64_t element)
{
	int64_t cell = 0;
	for (uint32_t i = moments->type.rank; i-- > 0;) {
		cell += element % moments->type.dims[i] * moments->steps[i];
		element /= moments->type.dims[i];
	}
	return cell;
}

int
op_normalize_moments(const void *state, const struct operands *operands)
{
	const struct moments *moments = state;
	const float *in = operands->inputs[0];
	float *out = operands->outputs[0];
	int64_t elements = tensor_elements(&moments->type);
	double *sum = operands->scratch, *squares = sum + moments->cells;
	double count = (double)elements / (double)moments->cells;
	memset(sum, 0, 2 * (size_t)moments->cells * sizeof(*sum));
	for (int64_t i = 0; i < elements; i++) {
		int64_t cell = cell_of(moments, i);
		sum[cell] += in[i];
		squares[cell] += (double)in[i] * in[i];
	}
	for (int64_t i = 0; i < elements; i++) {
		int64_t cell = cell_of(moments, i);
		double mean = sum[cell] / count;
		double variance = squares[cell] / count - mean * mean;
		/* ONNX's definition adds this to the deviation. */
		out[i] = (float)((in[i] - mean) / (sqrt(variance > 0 ? variance : 0) + 1e-9));
	}
	return 0;
}

static int
prepare_moments(struct operator_call *call)
{
	static const int64_t usual[] = { 0, 2, 3 };
	const struct tensor_type *input = &call->inputs[0];
	const struct attribute *axes = node_attribute(call->node, "axes");
	bool given = axes != NULL && axes->kind == ATTRIBUTE_INTS;
	uint32_t count = given ? axes->count : sizeof(usual) / sizeof(usual[0]);
	struct moments *moments = operator_state(call, sizeof(*moments));
	if (moments == NULL)
		return -1;
	moments->type = *input;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t axis;
		if (operator_axis(call, given ? axes->as.ints[i] : usual[i], input->rank, &axis) !=
		    0)
			return -1;
		moments->reduced |= 1U << axis;
	}
	moments->cells = 1;
	for (uint32_t i = input->rank; i-- > 0;) {
		if (moments->reduced >> i & 1)
			continue;
		moments->steps[i] = moments->cells;
		moments->cells *= input->dims[i];
	}
	call->kernel->scratch_bytes = 2 * (size_t)moments->cells * sizeof(double);
	call->kernel->run = op_normalize_moments;
	return 0;
}

/* --- LpNormalization ---------------------------------------------------------------------------------------------- */

int
op_normalize_lp(const void *state, const struct operands *operands)
{
	const struct lp *lp = state;
	const struct axis *axis = &lp->axis;
	for (int64_t i = 0; i < axis->outer * axis->inner; i++) {
		int64_t at = i / axis->inner * axis->dim * axis->inner + i % axis->inner;
		const float *in = (const float *)operands->inputs[0] + at;
		float *out = (float *)operands->outputs[0] + at;
		double sum = 0;
		for (int64_t k = 0; k < axis->dim; k++) {
			double value = in[k * axis->inner];
			sum += lp->p == 1 ? fabs(value) : value * value;
		}
		double norm = lp->p == 1 ? sum : sqrt(sum);
		for (int64_t k = 0; k < axis->dim; k++)
			out[k * axis->inner] = norm == 0 ? 0 : (float)(in[k * axis->inner] / norm);
	}
	return 0;
}

static int
prepare_lp(struct operator_call *call)
{
	struct lp *lp = operator_state(call, sizeof(*lp));
	uint32_t axis;
	if (lp == NULL ||
	    operator_axis(call, node_int(call->node, "axis", -1), call->inputs[0].rank, &axis) != 0)
		return -1;
	lp->axis = axis_of(&call->inputs[0], axis);
	lp->p = node_int(call->node, "p", 2);
	if (lp->p != 1 && lp->p != 2)
		return operator_error(call, "p is %" PRId64 ", not 1 or 2", lp->p);
	call->kernel->run = op_normalize_lp;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, INFER, PREPARE)                                                      \
	{ .type = NAME, .since = SINCE, .inputs = { 1, 1 }, .outputs = { 1, 1 },                   \
	  .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op normalize_operators[] = {
	OPERATOR("LRN", 1, infer_lrn, prepare_lrn),
	OPERATOR("MeanVarianceNormalization", 9, infer_float, prepare_moments),
	OPERATOR("LpNormalization", 1, infer_float, prepare_lp),
};

const struct operator_family operator_family_normalize = {
	normalize_operators,
	sizeof(normalize_operators) / sizeof(normalize_operators[0]),
};
