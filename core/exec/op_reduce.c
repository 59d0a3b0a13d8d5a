/* Reductions over some axes. */
#include "exec/op_reduce.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/parallel.h"
#include "exec/target.h"

enum {
	/* Elements worth a thread of their own. */
	GRAIN_ELEMENTS = 16384,
	/* Partial results that a fold keeps, so that it vectorises and long sums lose fewer digits. */
	LANES = 16,
};

static const struct reduce_entry {
	const char *type;
	enum combination combination;
	enum finish finish;
} reduce_entries[] = {
	{ "ReduceSum", COMBINE_SUM, FINISH_NONE },
	{ "ReduceMean", COMBINE_SUM, FINISH_MEAN },
	{ "ReduceMax", COMBINE_MAX, FINISH_NONE },
	{ "ReduceMin", COMBINE_MIN, FINISH_NONE },
	{ "ReduceProd", COMBINE_PROD, FINISH_NONE },
	{ "ReduceSumSquare", COMBINE_SQUARE, FINISH_NONE },
	{ "ReduceL1", COMBINE_ABSOLUTE, FINISH_NONE },
	{ "ReduceL2", COMBINE_SQUARE, FINISH_ROOT },
	{ "ReduceLogSum", COMBINE_SUM, FINISH_LOG },
	{ "ReduceLogSumExp", COMBINE_MAX, FINISH_LOG_SUM_EXP },
};

/* The loops of one combination and element type. */
struct reduce_loops {
	/* total[0] = f(total[0], in[0 … n-1]) */
	void (*fold)(void *total, const void *in, int64_t n);
	/* totals[i] = f(totals[i], in[i]) */
	void (*merge)(void *totals, const void *in, int64_t n);
	/* totals[i] = what f begins with */
	void (*fill)(void *totals, int64_t n);
};

/* X(number of the element type, C type, smallest, largest) */
#define REDUCE_TYPES(X)                                                                            \
	X(FLOAT, float, -INFINITY, INFINITY)                                                       \
	X(DOUBLE, double, -INFINITY, INFINITY)                                                     \
	X(INT32, int32_t, INT32_MIN, INT32_MAX)                                                    \
	X(INT64, int64_t, INT64_MIN, INT64_MAX)                                                    \
	X(INT8, int8_t, INT8_MIN, INT8_MAX)                                                        \
	X(UINT8, uint8_t, 0, UINT8_MAX)                                                            \
	X(UINT32, uint32_t, 0, UINT32_MAX)                                                         \
	X(UINT64, uint64_t, 0, UINT64_MAX)

#define CLONES_FLOAT TARGET_CLONES
#define CLONES_DOUBLE
#define CLONES_INT32
#define CLONES_INT64
#define CLONES_INT8
#define CLONES_UINT8
#define CLONES_UINT32
#define CLONES_UINT64

/* `step` combines total and element x, `join` two totals. */
#define LOOPS(name, N, type, start, step, join)                                                    \
	CLONES_##N static void fold_##name##_##N(void *out, const void *in, int64_t n)             \
	{                                                                                          \
		const type *from = in;                                                             \
		type totals[LANES];                                                                \
		int64_t i = 0;                                                                     \
		for (int k = 0; k < LANES; k++)                                                    \
			totals[k] = start;                                                         \
		for (; i + LANES <= n; i += LANES)                                                 \
			for (int k = 0; k < LANES; k++) {                                          \
				type total = totals[k], x = from[i + k];                           \
				totals[k] = (type)(step);                                          \
			}                                                                          \
		for (; i < n; i++) {                                                               \
			type total = totals[i % LANES], x = from[i];                               \
			totals[i % LANES] = (type)(step);                                          \
		}                                                                                  \
		for (int k = 0; k < LANES; k++) {                                                  \
			type total = *(type *)out, x = totals[k];                                  \
			*(type *)out = (type)(join);                                               \
		}                                                                                  \
	}                                                                                          \
	CLONES_##N static void merge_##name##_##N(void *out, const void *in, int64_t n)            \
	{                                                                                          \
		type *to = out;                                                                    \
		const type *from = in;                                                             \
		for (int64_t i = 0; i < n; i++) {                                                  \
			type total = to[i], x = from[i];                                           \
			to[i] = (type)(step);                                                      \
		}                                                                                  \
	}                                                                                          \
	static void fill_##name##_##N(void *out, int64_t n)                                        \
	{                                                                                          \
		for (int64_t i = 0; i < n; i++)                                                    \
			((type *)out)[i] = start;                                                  \
	}

/* Max and Min pass NaN on. */
#define ALL_LOOPS(N, type, smallest, largest)                                                      \
	LOOPS(sum, N, type, 0, total + x, total + x)                                               \
	LOOPS(prod, N, type, 1, total *x, total *x)                                                \
	LOOPS(max, N, type, smallest, x > total || x != x ? x : total,                             \
	      x > total || x != x ? x : total)                                                     \
	LOOPS(min, N, type, largest, x < total || x != x ? x : total,                              \
	      x < total || x != x ? x : total)                                                     \
	LOOPS(square, N, type, 0, total + x * x, total + x)                                        \
	LOOPS(absolute, N, type, 0, total + (x > 0 ? x : -x), total + x)
REDUCE_TYPES(ALL_LOOPS)

enum { TYPES = DATA_TYPE_BFLOAT16 + 1 };

#define LOOPS_ENTRY(name, N)                                                                       \
	{                                                                                          \
		fold_##name##_##N, merge_##name##_##N, fill_##name##_##N                           \
	}
#define TYPE_ENTRY(N, type, smallest, largest)                                                     \
	[DATA_TYPE_##N] = {                                                                        \
		[COMBINE_SUM] = LOOPS_ENTRY(sum, N),                                               \
		[COMBINE_PROD] = LOOPS_ENTRY(prod, N),                                             \
		[COMBINE_MAX] = LOOPS_ENTRY(max, N),                                               \
		[COMBINE_MIN] = LOOPS_ENTRY(min, N),                                               \
		[COMBINE_SQUARE] = LOOPS_ENTRY(square, N),                                         \
		[COMBINE_ABSOLUTE] = LOOPS_ENTRY(absolute, N),                                     \
	},
static const struct reduce_loops all_loops[TYPES][COMBINATION_COUNT] = { REDUCE_TYPES(TYPE_ENTRY) };

struct reduce_run {
	const struct reduce *reduce;
	const char *in;
	char *out;
	/* LOG_SUM_EXP: the largest element of each output, and what adds exp(x - largest) of rows. */
	const void *largest;
	void (*sum_exp)(const struct reduce_run *run, int64_t begin, int64_t end);
};

/* Output element that input row `row` begins at. */
static int64_t
output_of_row(const struct reduce *reduce, int64_t row)
{
	int64_t offset = 0;
	for (uint32_t i = reduce->rank - 1; i-- > 0;) {
		offset += row % reduce->dims[i] * reduce->steps[i];
		row /= reduce->dims[i];
	}
	return offset;
}

/* Rows begin … end-1 of the input. */
static void
reduce_rows(const struct reduce_run *run, int64_t begin, int64_t end)
{
	const struct reduce *reduce = run->reduce;
	int64_t length = reduce->dims[reduce->rank - 1];
	bool kept = reduce->steps[reduce->rank - 1] != 0;
	for (int64_t row = begin; row < end; row++) {
		int64_t to = output_of_row(reduce, row) * (int64_t)reduce->element_bytes;
		int64_t from = row * length * (int64_t)reduce->element_bytes;
		(kept ? reduce->loops->merge : reduce->loops->fold)(run->out + to, run->in + from,
								    length);
	}
}

/* As reduce_rows: adds exp(x - largest). */
#define SUM_EXP_ROWS(N, type, exponential)                                                         \
	static void sum_exp_rows_##N(const struct reduce_run *run, int64_t begin, int64_t end)     \
	{                                                                                          \
		const struct reduce *reduce = run->reduce;                                         \
		int64_t length = reduce->dims[reduce->rank - 1];                                   \
		int64_t step = reduce->steps[reduce->rank - 1];                                    \
		for (int64_t row = begin; row < end; row++) {                                      \
			int64_t to = output_of_row(reduce, row);                                   \
			const type *in = (const type *)run->in + row * length;                     \
			const type *largest = (const type *)run->largest + to;                     \
			for (int64_t i = 0; i < length; i++)                                       \
				((type *)run->out)[to + i * step] +=                               \
					exponential(in[i] - largest[i * step]);                    \
		}                                                                                  \
	}
SUM_EXP_ROWS(FLOAT, float, expf)
SUM_EXP_ROWS(DOUBLE, double, exp)

/* Indices begin … end-1 of the outermost dimension, which is kept: threads write different outputs. */
static void
reduce_part(void *context, int64_t begin, int64_t end)
{
	const struct reduce_run *run = context;
	int64_t each = run->reduce->rows / run->reduce->dims[0];
	(run->largest != NULL ? run->sum_exp : reduce_rows)(run, begin * each, end * each);
}

/* All rows, split among threads when that can be. */
static void
reduce_all(const struct reduce_run *run)
{
	const struct reduce *reduce = run->reduce;
	bool splits = reduce->rank > 1 && reduce->steps[0] != 0 && reduce->rows != 0;
	if (!splits) {
		(run->largest != NULL ? run->sum_exp : reduce_rows)(run, 0, reduce->rows);
		return;
	}
	int64_t each = reduce->rows / reduce->dims[0] * reduce->dims[reduce->rank - 1];
	struct reduce_run shared = *run;
	parallel_for(reduce->threads, reduce->dims[0], GRAIN_ELEMENTS / (each + 1) + 1, reduce_part,
		     &shared);
}

static double
finish_one(const struct reduce *reduce, double total)
{
	switch (reduce->finish) {
	case FINISH_MEAN:
		return total / (double)reduce->count;
	case FINISH_ROOT:
		return sqrt(total);
	case FINISH_LOG:
		return log(total);
	default:
		return total;
	}
}

static void
finish_all(const struct reduce *reduce, void *out)
{
	switch (reduce->finish == FINISH_NONE ? DATA_TYPE_NONE : reduce->data_type) {
#define X(N, type, smallest, largest)                                                              \
	case DATA_TYPE_##N:                                                                        \
		for (int64_t i = 0; i < reduce->outputs; i++)                                      \
			((type *)out)[i] = (type)finish_one(reduce, (double)((type *)out)[i]);     \
		break;
		REDUCE_TYPES(X)
#undef X
	default:
		break;
	}
}

int
op_reduce_run(const void *state, const struct operands *operands)
{
	const struct reduce *reduce = state;
	struct reduce_run run = { reduce, operands->inputs[0], operands->outputs[0], NULL, NULL };
	reduce->loops->fill(run.out, reduce->outputs);
	reduce_all(&run);
	finish_all(reduce, run.out);
	return 0;
}

/* An infinite maximum would give NaN differences. */
#define RUN_LOG_SUM_EXP(N, type, logarithm)                                                        \
	int op_reduce_log_sum_exp_##N(const void *state, const struct operands *operands)          \
	{                                                                                          \
		const struct reduce *reduce = state;                                               \
		type *largest = operands->scratch, *out = operands->outputs[0];                    \
		struct reduce_run run = { reduce, operands->inputs[0], (char *)largest, NULL,      \
					  sum_exp_rows_##N };                                      \
		reduce->loops->fill(largest, reduce->outputs);                                     \
		reduce_all(&run);                                                                  \
		for (int64_t i = 0; i < reduce->outputs; i++)                                      \
			largest[i] = isinf(largest[i]) ? 0 : largest[i];                           \
		memset(out, 0, (size_t)reduce->outputs * sizeof(*out));                            \
		run.out = (char *)out;                                                             \
		run.largest = largest;                                                             \
		reduce_all(&run);                                                                  \
		for (int64_t i = 0; i < reduce->outputs; i++)                                      \
			out[i] = logarithm(out[i]) + largest[i];                                   \
		return 0;                                                                          \
	}
RUN_LOG_SUM_EXP(FLOAT, float, logf)
RUN_LOG_SUM_EXP(DOUBLE, double, log)

/* The loops for that type; those without are NULL. Booleans are bytes of 0 and 1: only the larger and smaller make sense. */
static const struct reduce_loops *
loops_of(enum data_type data_type, enum combination combination)
{
	bool is_order = combination == COMBINE_MAX || combination == COMBINE_MIN;
	bool is_byte = data_type == DATA_TYPE_BOOL && is_order;
	return &all_loops[is_byte ? DATA_TYPE_UINT8 : data_type][combination];
}

/* What runs an entry for that type; NULL: nothing does. */
static kernel_run_f *
run_of(const struct reduce_entry *entry, enum data_type data_type)
{
	if (loops_of(data_type, entry->combination)->fold == NULL)
		return NULL;
	if (entry->finish != FINISH_LOG_SUM_EXP)
		return op_reduce_run;
	return data_type == DATA_TYPE_FLOAT    ? op_reduce_log_sum_exp_FLOAT
	       : data_type == DATA_TYPE_DOUBLE ? op_reduce_log_sum_exp_DOUBLE
					       : NULL;
}

/* Bits of the reduced axes; all when none is named, unless the operator says that then nothing is reduced. */
static int
read_axes(const struct operator_call *call, uint32_t *bits)
{
	int64_t axes[TENSOR_MAX_RANK];
	uint32_t rank = call->inputs[0].rank;
	bool found;
	int count = operator_ints(call, 1, "axes", axes, TENSOR_MAX_RANK, &found);
	if (count < 0)
		return -1;
	*bits = 0;
	if (count == 0 && node_int(call->node, "noop_with_empty_axes", 0) == 0)
		*bits = (1U << rank) - 1;
	for (int i = 0; i < count; i++) {
		uint32_t axis;
		if (operator_axis(call, axes[i], rank, &axis) != 0)
			return -1;
		*bits |= 1U << axis;
	}
	return 0;
}

/* Output 0: input 0 with those axes 1 or gone. */
static int
output_reduced(struct operator_call *call, uint32_t bits, enum data_type data_type)
{
	const struct tensor_type *in = &call->inputs[0];
	bool keep = node_int(call->node, "keepdims", 1) != 0;
	int64_t dims[TENSOR_MAX_RANK];
	uint32_t rank = 0;
	for (uint32_t i = 0; i < in->rank; i++) {
		if ((bits >> i & 1) == 0)
			dims[rank++] = in->dims[i];
		else if (keep)
			dims[rank++] = 1;
	}
	return operator_output(call, 0, data_type, rank, dims);
}

static int
infer_reduce(struct operator_call *call)
{
	uint32_t bits;
	if (read_axes(call, &bits) != 0)
		return -1;
	return output_reduced(call, bits, call->inputs[0].data_type);
}

/* Fill in dims and steps: neighbours that are both kept or both reduced become one. */
static void
merge_dims(struct reduce *reduce, const struct tensor_type *in, uint32_t bits)
{
	uint32_t previous = 2;
	for (uint32_t i = 0; i < in->rank; i++) {
		uint32_t reduced = bits >> i & 1;
		if (in->dims[i] == 1)
			continue;
		if (reduced != previous)
			reduce->dims[reduce->rank++] = 1;
		reduce->dims[reduce->rank - 1] *= in->dims[i];
		reduce->steps[reduce->rank - 1] = !reduced;
		reduce->count *= reduced ? in->dims[i] : 1;
		previous = reduced;
	}
	if (reduce->rank == 0)
		reduce->dims[reduce->rank++] = 1;
	reduce->rows = 1;
	for (uint32_t i = 0; i + 1 < reduce->rank; i++)
		reduce->rows *= reduce->dims[i];
	for (uint32_t i = reduce->rank; i-- > 0;) {
		int64_t step = reduce->outputs;
		if (reduce->steps[i] != 0)
			reduce->outputs *= reduce->dims[i];
		reduce->steps[i] *= step;
	}
}

static int
prepare_reduce(struct operator_call *call)
{
	const struct reduce_entry *entry = reduce_entries;
	struct reduce *reduce = operator_state(call, sizeof(*reduce));
	uint32_t bits;
	if (reduce == NULL || read_axes(call, &bits) != 0)
		return -1;
	while (strcmp(entry->type, call->node->op_type) != 0)
		entry++;
	enum data_type data_type = call->inputs[0].data_type;
	*reduce = (struct reduce){
		.loops = loops_of(data_type, entry->combination),
		.combination = entry->combination,
		.finish = entry->finish,
		.data_type = data_type,
		.element_bytes = data_type_bytes(data_type),
		.outputs = 1,
		.count = 1,
		.threads = call->threads,
	};
	call->kernel->run = run_of(entry, data_type);
	if (call->kernel->run == NULL)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(data_type));
	merge_dims(reduce, &call->inputs[0], bits);
	if (entry->finish == FINISH_LOG_SUM_EXP)
		call->kernel->scratch_bytes = (size_t)reduce->outputs * reduce->element_bytes;
	call->kernel->flops = (uint64_t)tensor_elements(&call->inputs[0]);
	return 0;
}

/* clang-format off */
#define REDUCE(NAME)                                                                               \
	{ .type = NAME, .since = 1, .inputs = { 1, 2 }, .outputs = { 1, 1 },                       \
	  .known_inputs = 1 << 1, .infer = infer_reduce, .prepare = prepare_reduce }
/* clang-format on */

static const struct op reduce_operators[] = {
	REDUCE("ReduceSum"),    REDUCE("ReduceMean"),      REDUCE("ReduceMax"), REDUCE("ReduceMin"),
	REDUCE("ReduceProd"),   REDUCE("ReduceSumSquare"), REDUCE("ReduceL1"),  REDUCE("ReduceL2"),
	REDUCE("ReduceLogSum"), REDUCE("ReduceLogSumExp"),
};

const struct operator_family operator_family_reduce = {
	reduce_operators,
	sizeof(reduce_operators) / sizeof(reduce_operators[0]),
};
