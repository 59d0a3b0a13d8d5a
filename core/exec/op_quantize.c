/* Conversions between real numbers and integers with scale and zero point: QuantizeLinear, DequantizeLinear, … */
#include "exec/op_quantize.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/cast.h"
#include "exec/parallel.h"
#include "exec/quantize.h"

enum { GRAIN_ELEMENTS = 8192 };

struct quantize_run {
	const struct quantize *quantize;
	const struct operands *operands;
};

void
quantize_range(enum data_type data_type, double *low, double *high)
{
	bool is_signed = data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_INT16 ||
			 data_type == DATA_TYPE_INT32;
	double values = ldexp(1, 8 * (int)data_type_bytes(data_type));
	*low = is_signed ? -values / 2 : 0;
	*high = *low + values - 1;
}

double
quantize_number(double value, double zero_point, double low, double high)
{
	double rounded = rint(value) + zero_point;
	return rounded < low ? low : rounded > high ? high : rounded;
}

/* Which scale belongs to row `row` of inner elements. */
static int64_t
scale_index(const struct quantize *quantize, int64_t row)
{
	const struct axis *axis = &quantize->axis;
	return row % axis->dim / quantize->block;
}

/* Blocked: scales have the inner dimensions too. Items: single elements. */
static int64_t
blocked_index(const struct quantize *quantize, int64_t element)
{
	const struct axis *axis = &quantize->axis;
	int64_t blocks = (axis->dim + quantize->block - 1) / quantize->block;
	int64_t row = element / axis->inner;
	int64_t block = row / axis->dim * blocks + row % axis->dim / quantize->block;
	return block * axis->inner + element % axis->inner;
}

/* The hot case: floats to 8 bits, one scale for a row. */
static void
quantize_bytes(uint8_t *out, const float *in, int64_t n, float scale, float zero_point, float low,
	       float high)
{
	for (int64_t i = 0; i < n; i++) {
		float value = rintf(in[i] / scale) + zero_point;
		value = value < low ? low : value;
		value = value > high ? high : value;
		out[i] = (uint8_t)(int32_t)value;
	}
}

/* Elements begin … end-1, which share scale number `scale`. */
static void
convert_span(const struct quantize_run *run, int64_t begin, int64_t end, int64_t scale_at)
{
	const struct quantize *quantize = run->quantize;
	const void *in = run->operands->inputs[0];
	void *out = run->operands->outputs[0];
	double scale = cast_get(quantize->scale_type, run->operands->inputs[1], scale_at);
	double zero_point = 0, low, high;
	bool forward = quantize->saturates;
	if (quantize->has_zero_point)
		zero_point = cast_get(forward ? quantize->to : quantize->from,
				      run->operands->inputs[2], scale_at);
	quantize_range(quantize->to, &low, &high);
	if (forward && quantize->from == DATA_TYPE_FLOAT && data_type_bytes(quantize->to) == 1) {
		quantize_bytes((uint8_t *)out + begin, (const float *)in + begin, end - begin,
			       (float)scale, (float)zero_point, (float)low, (float)high);
		return;
	}
	for (int64_t i = begin; i < end; i++) {
		double value = cast_get(quantize->from, in, i);
		double converted = forward ? quantize_number(value / scale, zero_point, low, high)
					   : (value - zero_point) * scale;
		cast_set(quantize->to, out, i, converted);
	}
}

/* Items: rows of inner elements along the axis; single elements when blocked. */
static void
quantize_part(void *context, int64_t begin, int64_t end)
{
	const struct quantize_run *run = context;
	const struct quantize *quantize = run->quantize;
	int64_t inner = quantize->axis.inner;
	for (int64_t i = begin; i < end; i++) {
		if (quantize->block > 1)
			convert_span(run, i, i + 1, blocked_index(quantize, i));
		else
			convert_span(run, i * inner, (i + 1) * inner, scale_index(quantize, i));
	}
}

int
op_quantize_run(const void *state, const struct operands *operands)
{
	const struct quantize *quantize = state;
	const struct axis *axis = &quantize->axis;
	struct quantize_run run = { quantize, operands };
	int64_t item = quantize->block > 1 ? 1 : axis->inner;
	parallel_for(quantize->threads, axis->outer * axis->dim * axis->inner / item,
		     GRAIN_ELEMENTS / item + 1, quantize_part, &run);
	return 0;
}

static bool
is_quantized(enum data_type data_type)
{
	return data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_UINT8 ||
	       data_type == DATA_TYPE_INT16 || data_type == DATA_TYPE_UINT16;
}

static bool
is_real(enum data_type data_type)
{
	return data_type == DATA_TYPE_FLOAT || data_type == DATA_TYPE_FLOAT16 ||
	       data_type == DATA_TYPE_BFLOAT16;
}

/* Check scale and zero point against the data, and find the axis. */
static int
read_scales(const struct operator_call *call, struct axis *axis, int64_t *block)
{
	const struct tensor_type *input = &call->inputs[0];
	const struct tensor_type *scale = &call->inputs[1];
	int64_t scales = tensor_elements(scale);
	uint32_t index;
	*axis = axis_from(input, 0);
	*axis = (struct axis){ 1, 1, axis->dim };
	*block = 1;
	if (operator_has_input(call, 2) && tensor_elements(&call->inputs[2]) != scales)
		return operator_error(call, "scale and zero point differ in shape");
	if (scale->rank == 0 || (scale->rank == 1 && scales == 1 && input->rank != 1))
		return 0;
	if (operator_axis(call, node_int(call->node, "axis", 1), input->rank, &index) != 0)
		return -1;
	*axis = axis_of(input, index);
	int64_t size = node_int(call->node, "block_size", 0);
	if (scale->rank == 1 && size == 0)
		return scales == axis->dim ? 0
					   : operator_error(call, "%" PRId64 " scales for %" PRId64,
							    scales, axis->dim);
	if (size < 1 || size > INT32_MAX ||
	    scales != axis->outer * ((axis->dim + size - 1) / size) * axis->inner)
		return operator_error(call, "the scales are not those of blocks of %" PRId64, size);
	*block = size;
	return 0;
}

static int
infer_quantize(struct operator_call *call)
{
	int64_t data_type = node_int(call->node, "output_dtype", 0);
	struct axis axis;
	int64_t block;
	if (operator_has_input(call, 2))
		data_type = call->inputs[2].data_type;
	else if (data_type == 0)
		data_type = DATA_TYPE_UINT8;
	if (!is_quantized((enum data_type)data_type) ||
	    (!is_real(call->inputs[0].data_type) && call->inputs[0].data_type != DATA_TYPE_INT32))
		return operator_unimplemented(call, "from %s to element type %" PRId64,
					      data_type_name(call->inputs[0].data_type), data_type);
	if (read_scales(call, &axis, &block) != 0)
		return -1;
	return operator_output(call, 0, (enum data_type)data_type, call->inputs[0].rank,
			       call->inputs[0].dims);
}

static int
infer_dequantize(struct operator_call *call)
{
	enum data_type from = call->inputs[0].data_type, to = call->inputs[1].data_type;
	struct axis axis;
	int64_t block;
	if ((!is_quantized(from) && from != DATA_TYPE_INT32) || !is_real(to))
		return operator_unimplemented(call, "from %s to %s", data_type_name(from),
					      data_type_name(to));
	if (operator_has_input(call, 2) && call->inputs[2].data_type != from)
		return operator_error(call, "the zero point is %s, the input %s",
				      data_type_name(call->inputs[2].data_type),
				      data_type_name(from));
	if (read_scales(call, &axis, &block) != 0)
		return -1;
	return operator_output(call, 0, to, call->inputs[0].rank, call->inputs[0].dims);
}

static int
prepare_quantize(struct operator_call *call)
{
	struct quantize *quantize = operator_state(call, sizeof(*quantize));
	if (quantize == NULL || read_scales(call, &quantize->axis, &quantize->block) != 0)
		return -1;
	quantize->from = call->inputs[0].data_type;
	quantize->to = call->outputs[0].data_type;
	quantize->scale_type = call->inputs[1].data_type;
	quantize->has_zero_point = operator_has_input(call, 2);
	quantize->saturates = strcmp(call->node->op_type, "QuantizeLinear") == 0;
	quantize->threads = call->threads;
	call->kernel->run = op_quantize_run;
	return 0;
}

/* --- DynamicQuantizeLinear ---------------------------------------------------------------------------------------- */

int
op_quantize_dynamic(const void *state, const struct operands *operands)
{
	const struct dynamic *dynamic = state;
	const float *in = operands->inputs[0];
	float low = 0, high = 0;
	for (int64_t i = 0; i < dynamic->elements; i++) {
		low = in[i] < low ? in[i] : low;
		high = in[i] > high ? in[i] : high;
	}
	float scale = (high - low) / 255;
	float divisor = scale == 0 ? 1 : scale;
	float zero_point = (float)quantize_number(-low / divisor, 0, 0, 255);
	if (dynamic->wants[0])
		quantize_bytes(operands->outputs[0], in, dynamic->elements, divisor, zero_point, 0,
			       255);
	if (dynamic->wants[1])
		*(float *)operands->outputs[1] = scale;
	if (dynamic->wants[2])
		*(uint8_t *)operands->outputs[2] = (uint8_t)zero_point;
	return 0;
}

static int
infer_dynamic(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	if (input->data_type != DATA_TYPE_FLOAT)
		return operator_error(call, "the input is %s, not FP32",
				      data_type_name(input->data_type));
	operator_output(call, 1, DATA_TYPE_FLOAT, 0, NULL);
	operator_output(call, 2, DATA_TYPE_UINT8, 0, NULL);
	return operator_output(call, 0, DATA_TYPE_UINT8, input->rank, input->dims);
}

static int
prepare_dynamic(struct operator_call *call)
{
	struct dynamic *dynamic = operator_state(call, sizeof(*dynamic));
	if (dynamic == NULL)
		return -1;
	dynamic->elements = tensor_elements(&call->inputs[0]);
	for (uint32_t i = 0; i < 3; i++)
		dynamic->wants[i] = operator_has_output(call, i);
	call->kernel->run = op_quantize_dynamic;
	return 0;
}

static const struct op quantize_operators[] = {
	{ .type = "QuantizeLinear",
	  .since = 10,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_quantize,
	  .prepare = prepare_quantize },
	{ .type = "DequantizeLinear",
	  .since = 10,
	  .inputs = { 2, 3 },
	  .outputs = { 1, 1 },
	  .infer = infer_dequantize,
	  .prepare = prepare_quantize },
	{ .type = "DynamicQuantizeLinear",
	  .since = 11,
	  .inputs = { 1, 1 },
	  .outputs = { 3, 3 },
	  .infer = infer_dynamic,
	  .prepare = prepare_dynamic },
};

const struct operator_family operator_family_quantize = {
	quantize_operators,
	sizeof(quantize_operators) / sizeof(quantize_operators[0]),
};
