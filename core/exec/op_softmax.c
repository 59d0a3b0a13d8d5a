/* Softmax, LogSoftmax and Hardmax. */
#include "exec/op_softmax.h"

#include <math.h>
#include <string.h>

#include "exec/parallel.h"
#include "exec/target.h"

enum {
	GRAIN_ELEMENTS = 8192,
	/* Neighbouring columns that are done together when the axis is not the last one. */
	COLUMNS = 64,
};

struct softmax_run {
	const struct softmax *softmax;
	const struct operands *operands;
};

/*
 * One row of n: the largest element is taken off first, so that no exponential overflows. And count columns of n rows,
 * step elements apart: the same, a row of columns at a time.
 */
#define SOFTMAX_LOOPS(N, type, clones)                                                             \
	clones static type max_##N(const type *in, int64_t n)                                      \
	{                                                                                          \
		enum { LANES = 16 };                                                               \
		type lanes[LANES], max = in[0];                                                    \
		int64_t i = 0;                                                                     \
		for (int64_t k = 0; k < LANES; k++)                                                \
			lanes[k] = in[0];                                                          \
		for (; i + LANES <= n; i += LANES) {                                               \
			for (int64_t k = 0; k < LANES; k++)                                        \
				lanes[k] = in[i + k] > lanes[k] ? in[i + k] : lanes[k];            \
		}                                                                                  \
		for (; i < n; i++)                                                                 \
			max = in[i] > max ? in[i] : max;                                           \
		for (int64_t k = 0; k < LANES; k++)                                                \
			max = lanes[k] > max ? lanes[k] : max;                                     \
		return max;                                                                        \
	}                                                                                          \
	clones static type sum_##N(const type *in, int64_t n)                                      \
	{                                                                                          \
		enum { LANES = 16 };                                                               \
		type lanes[LANES] = { 0 }, sum = 0;                                                \
		int64_t i = 0;                                                                     \
		for (; i + LANES <= n; i += LANES) {                                               \
			for (int64_t k = 0; k < LANES; k++)                                        \
				lanes[k] += in[i + k];                                             \
		}                                                                                  \
		for (; i < n; i++)                                                                 \
			sum += in[i];                                                              \
		for (int64_t k = 0; k < LANES; k++)                                                \
			sum += lanes[k];                                                           \
		return sum;                                                                        \
	}                                                                                          \
	clones static void shift_##N(type *out, const type *in, int64_t n, type by)                \
	{                                                                                          \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < n; i++)                                                    \
			out[i] = in[i] - by;                                                       \
	}                                                                                          \
	clones static void scale_##N(type *out, int64_t n, type by)                                \
	{                                                                                          \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < n; i++)                                                    \
			out[i] *= by;                                                              \
	}                                                                                          \
	/* Of what is left of in when max is taken off; the float row does that too. */            \
	static void exponentials_##N(const struct softmax *softmax, type *out, const type *in,     \
				     int64_t n, type max)                                          \
	{                                                                                          \
		if (sizeof(type) == sizeof(float)) {                                               \
			softmax->exp(out, in, n, (float)max, 0);                                   \
		} else {                                                                           \
			shift_##N(out, in, n, max);                                                \
			softmax->exp(out, out, n, 0, 0);                                           \
		}                                                                                  \
	}                                                                                          \
	static void row_##N(const struct softmax *softmax, const type *in, type *out)              \
	{                                                                                          \
		int64_t n = softmax->axis.dim;                                                     \
		type max = max_##N(in, n);                                                         \
		exponentials_##N(softmax, out, in, n, max);                                        \
		type sum = sum_##N(out, n);                                                        \
		if (softmax->kind == LOG_SOFTMAX)                                                  \
			shift_##N(out, in, n, max + (type)log(sum));                               \
		else                                                                               \
			scale_##N(out, n, 1 / sum);                                                \
	}                                                                                          \
	clones static void max_columns_##N(type *max, const type *in, int64_t count)               \
	{                                                                                          \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < count; i++)                                                \
			max[i] = in[i] > max[i] ? in[i] : max[i];                                  \
	}                                                                                          \
	clones static void add_columns_##N(type *sum, const type *in, int64_t count)               \
	{                                                                                          \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < count; i++)                                                \
			sum[i] += in[i];                                                           \
	}                                                                                          \
	clones static void shift_columns_##N(type *out, const type *in, const type *by,            \
					     int64_t count)                                        \
	{                                                                                          \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < count; i++)                                                \
			out[i] = in[i] - by[i];                                                    \
	}                                                                                          \
	clones static void divide_columns_##N(type *out, const type *by, int64_t count)            \
	{                                                                                          \
		IN_PLACE_LOOP                                                                      \
		for (int64_t i = 0; i < count; i++)                                                \
			out[i] /= by[i];                                                           \
	}                                                                                          \
	static void columns_##N(const struct softmax *softmax, const type *in, type *out,          \
				int64_t count)                                                     \
	{                                                                                          \
		int64_t n = softmax->axis.dim, step = softmax->axis.inner;                         \
		type max[COLUMNS], sum[COLUMNS] = { 0 };                                           \
		memcpy(max, in, (size_t)count * sizeof(*in));                                      \
		for (int64_t i = 1; i < n; i++)                                                    \
			max_columns_##N(max, in + i * step, count);                                \
		for (int64_t i = 0; i < n; i++) {                                                  \
			shift_columns_##N(out + i * step, in + i * step, max, count);              \
			softmax->exp(out + i * step, out + i * step, count, 0, 0);                 \
			add_columns_##N(sum, out + i * step, count);                               \
		}                                                                                  \
		if (softmax->kind == LOG_SOFTMAX) {                                                \
			softmax->log(sum, sum, count, 0, 0);                                       \
			add_columns_##N(max, sum, count);                                          \
		}                                                                                  \
		for (int64_t i = 0; i < n; i++) {                                                  \
			if (softmax->kind == LOG_SOFTMAX)                                          \
				shift_columns_##N(out + i * step, in + i * step, max, count);      \
			else                                                                       \
				divide_columns_##N(out + i * step, sum, count);                    \
		}                                                                                  \
	}                                                                                          \
	static void hardmax_##N(const struct softmax *softmax, const type *in, type *out)          \
	{                                                                                          \
		int64_t n = softmax->axis.dim, step = softmax->axis.inner, best = 0;               \
		for (int64_t i = 0; i < n; i++) {                                                  \
			if (in[i * step] > in[best * step])                                        \
				best = i;                                                          \
			out[i * step] = 0;                                                         \
		}                                                                                  \
		out[best * step] = 1;                                                              \
	}                                                                                          \
	/* Items: rows when the axis is the last one, else groups of up to COLUMNS columns. */     \
	static void part_##N(void *context, int64_t begin, int64_t end)                            \
	{                                                                                          \
		const struct softmax_run *run = context;                                           \
		const struct softmax *softmax = run->softmax;                                      \
		const struct axis *axis = &softmax->axis;                                          \
		int64_t width = softmax->kind == HARDMAX ? 1 : COLUMNS;                            \
		int64_t groups = (axis->inner + width - 1) / width;                                \
		for (int64_t i = begin; i < end; i++) {                                            \
			int64_t column = i % groups * width;                                       \
			int64_t at = i / groups * axis->dim * axis->inner + column;                \
			const type *in = (const type *)run->operands->inputs[0] + at;              \
			type *out = (type *)run->operands->outputs[0] + at;                        \
			int64_t count = axis->inner - column;                                      \
			if (softmax->kind == HARDMAX)                                              \
				hardmax_##N(softmax, in, out);                                     \
			else if (axis->inner == 1)                                                 \
				row_##N(softmax, in, out);                                         \
			else                                                                       \
				columns_##N(softmax, in, out, count < width ? count : width);      \
		}                                                                                  \
	}

SOFTMAX_LOOPS(FLOAT, float, TARGET_CLONES)
SOFTMAX_LOOPS(DOUBLE, double, )

int
op_softmax_run(const void *state, const struct operands *operands)
{
	const struct softmax *softmax = state;
	const struct axis *axis = &softmax->axis;
	struct softmax_run run = { softmax, operands };
	int64_t width = softmax->kind == HARDMAX ? 1 : COLUMNS;
	int64_t groups = (axis->inner + width - 1) / width;
	int64_t item = axis->dim * (axis->inner < width ? axis->inner : width);
	parallel_for(softmax->threads, axis->outer * groups, GRAIN_ELEMENTS / item + 1,
		     softmax->data_type == DATA_TYPE_FLOAT ? part_FLOAT : part_DOUBLE, &run);
	return 0;
}

/* Before opset 13 the input counts as a matrix whose columns are all dims from the axis on. */
static int
read_axis(const struct operator_call *call, struct axis *axis)
{
	const struct tensor_type *input = &call->inputs[0];
	bool is_matrix = call->op->since < 13;
	uint32_t index;
	if (operator_axis(call, node_int(call->node, "axis", is_matrix ? 1 : -1), input->rank,
			  &index) != 0)
		return -1;
	*axis = is_matrix ? axis_from(input, index) : axis_of(input, index);
	return 0;
}

static int
infer_softmax(struct operator_call *call)
{
	struct axis axis;
	return read_axis(call, &axis) != 0 ? -1 : infer_same(call);
}

static int
prepare_softmax(struct operator_call *call)
{
	const char *type = call->node->op_type;
	enum data_type data_type = call->inputs[0].data_type;
	struct softmax *softmax = operator_state(call, sizeof(*softmax));
	if (softmax == NULL || read_axis(call, &softmax->axis) != 0)
		return -1;
	if (data_type != DATA_TYPE_FLOAT && data_type != DATA_TYPE_DOUBLE)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(data_type));
	softmax->kind = strcmp(type, "Softmax") == 0      ? SOFTMAX
			: strcmp(type, "LogSoftmax") == 0 ? LOG_SOFTMAX
							  : HARDMAX;
	softmax->data_type = data_type;
	softmax->exp = row_unary(data_type == DATA_TYPE_FLOAT ? ROW_SOFT_EXP : ROW_EXP, data_type);
	softmax->log = row_unary(ROW_LOG, data_type);
	softmax->threads = call->threads;
	call->kernel->run = op_softmax_run;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE)                                                                      \
	{ .type = NAME, .since = SINCE, .inputs = { 1, 1 }, .outputs = { 1, 1 },                   \
	  .infer = infer_softmax, .prepare = prepare_softmax }
/* clang-format on */

static const struct op softmax_operators[] = {
	OPERATOR("Softmax", 1),     OPERATOR("Softmax", 13), OPERATOR("LogSoftmax", 1),
	OPERATOR("LogSoftmax", 13), OPERATOR("Hardmax", 1),  OPERATOR("Hardmax", 13),
};

const struct operator_family operator_family_softmax = {
	softmax_operators,
	sizeof(softmax_operators) / sizeof(softmax_operators[0]),
};
