/* Einsum, and Det. */
#include "exec/op_einsum.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/cast.h"
#include "exec/parallel.h"
#include "exec/target.h"

enum {
	GRAIN_PRODUCTS = 32768,
	UNUSED = -1,
};

/* --- Einsum: reading the equation ----------------------------------------------------------------------------------- */

/* One term of the equation's text, up to end. rank is that of the operand; the output's is not known: UINT32_MAX. */
static int
read_term(const struct operator_call *call, const char *text, const char *end, uint32_t rank,
	  struct einsum_equation *equation, struct einsum_term *term)
{
	uint32_t letters = 0;
	const char *dots = NULL;
	for (const char *at = text; at < end; at++) {
		letters += isalpha((unsigned char)*at) != 0;
		if (*at == '.' && dots == NULL)
			dots = at;
	}
	uint32_t wide = equation->ellipsis;
	if (rank != UINT32_MAX)
		wide = rank >= letters ? rank - letters : 0;
	if (dots == NULL)
		wide = 0;
	if (letters + wide > TENSOR_MAX_RANK || (rank != UINT32_MAX && letters + wide != rank))
		return operator_error(call, "equation: a term does not fit its operand's rank");
	if (rank != UINT32_MAX && wide > equation->ellipsis)
		equation->ellipsis = wide;
	term->rank = 0;
	for (const char *at = text; at < end; at++) {
		if (isalpha((unsigned char)*at))
			term->labels[term->rank++] = (unsigned char)*at;
		/* Aligned at the end, as broadcast does: the last one is OP_EINSUM_ELLIPSIS + 0. */
		for (uint32_t i = wide; at == dots && i-- > 0;)
			term->labels[term->rank++] = (unsigned char)(OP_EINSUM_ELLIPSIS + i);
		if (!isalpha((unsigned char)*at) && *at != ' ' && *at != '.')
			return operator_error(call, "equation: unexpected '%c'", *at);
	}
	return 0;
}

/* Lengths of labels; a dimension of 1 under the ellipsis is repeated. */
static int
read_dims(const struct operator_call *call, struct einsum_equation *equation)
{
	for (uint32_t i = 0; i < equation->operands; i++) {
		const struct einsum_term *term = &equation->in[i];
		for (uint32_t k = 0; k < term->rank; k++) {
			int64_t dim = call->inputs[i].dims[k];
			int64_t *known = &equation->dims[term->labels[k]];
			bool repeats = term->labels[k] >= OP_EINSUM_ELLIPSIS && dim == 1;
			if (*known == UNUSED ||
			    (term->labels[k] >= OP_EINSUM_ELLIPSIS && *known == 1))
				*known = dim;
			else if (*known != dim && !repeats)
				return operator_error(call,
						      "equation: a label stands for %" PRId64
						      " and %" PRId64,
						      *known, dim);
		}
	}
	return 0;
}

/* Without an arrow: the ellipsis, then all labels that occur once, in order. */
static void
make_output(struct einsum_equation *equation)
{
	uint32_t counts[OP_EINSUM_ELLIPSIS] = { 0 };
	equation->out.rank = 0;
	for (uint32_t i = equation->ellipsis; i-- > 0;)
		equation->out.labels[equation->out.rank++] =
			(unsigned char)(OP_EINSUM_ELLIPSIS + i);
	for (uint32_t i = 0; i < equation->operands; i++) {
		for (uint32_t k = 0; k < equation->in[i].rank; k++) {
			if (equation->in[i].labels[k] < OP_EINSUM_ELLIPSIS)
				counts[equation->in[i].labels[k]]++;
		}
	}
	for (int label = 0; label < OP_EINSUM_ELLIPSIS; label++) {
		if (counts[label] == 1 && equation->out.rank < TENSOR_MAX_RANK)
			equation->out.labels[equation->out.rank++] = (unsigned char)label;
	}
}

static int
check_output(const struct operator_call *call, const struct einsum_equation *equation)
{
	for (uint32_t i = 0; i < equation->out.rank; i++) {
		unsigned char label = equation->out.labels[i];
		if (memchr(equation->out.labels, label, i) != NULL)
			return operator_error(call, "equation: the output names a label twice");
		bool is_known = false;
		for (uint32_t k = 0; k < equation->operands; k++)
			is_known |=
				memchr(equation->in[k].labels, label, equation->in[k].rank) != NULL;
		if (!is_known)
			return operator_error(call, "equation: a label of the output is not in "
						    "the operands");
	}
	return 0;
}

int
op_einsum_read(const struct operator_call *call, struct einsum_equation *equation)
{
	const char *text = node_string(call->node, "equation", "");
	const char *arrow = strstr(text, "->");
	const char *end = arrow != NULL ? arrow : text + strlen(text);
	*equation = (struct einsum_equation){ .operands = call->input_count };
	for (int i = 0; i < OP_EINSUM_ELLIPSIS + TENSOR_MAX_RANK; i++)
		equation->dims[i] = UNUSED;
	if (call->input_count > OP_EINSUM_OPERANDS)
		return operator_unimplemented(call, "more than %d operands", OP_EINSUM_OPERANDS);
	for (uint32_t i = 0; i < call->input_count; i++) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		bool is_last = i + 1 == call->input_count;
		if ((comma == NULL) != is_last)
			return operator_error(call, "equation: not a term for each operand");
		const char *stop = is_last ? end : comma;
		if (read_term(call, text, stop, call->inputs[i].rank, equation, &equation->in[i]) !=
		    0)
			return -1;
		text = stop + 1;
	}
	if (read_dims(call, equation) != 0)
		return -1;
	if (arrow == NULL)
		make_output(equation);
	else if (read_term(call, arrow + 2, arrow + strlen(arrow), UINT32_MAX, equation,
			   &equation->out) != 0)
		return -1;
	return check_output(call, equation);
}

/* --- Einsum: the loops ------------------------------------------------------------------------------------------------ */

struct einsum_run {
	const struct einsum *einsum;
	const struct operands *operands;
};

/* Sum of a[i] * b[i]. */
TARGET_CLONES static double
dot(const float *a, const float *b, int64_t n, int64_t step_a, int64_t step_b)
{
	enum { LANES = 16 };
	float lanes[LANES] = { 0 };
	double sum = 0;
	int64_t i = 0;
	if (step_a == 1 && step_b == 1) {
		for (; i + LANES <= n; i += LANES) {
			for (int k = 0; k < LANES; k++)
				lanes[k] += a[i + k] * b[i + k];
		}
	}
	for (; i < n; i++)
		sum += (double)a[i * step_a] * b[i * step_b];
	for (int k = 0; k < LANES; k++)
		sum += lanes[k];
	return sum;
}

/* The sum over one row: the product of all operands, at places `at`. */
static double
sum_row(const struct einsum_run *run, const int64_t *at)
{
	const struct einsum *einsum = run->einsum;
	uint32_t last = einsum->out_rank + einsum->sum_rank - 1;
	int64_t n = einsum->sum_rank == 0 ? 1 : einsum->dims[last];
	if (einsum->data_type == DATA_TYPE_FLOAT && einsum->operands == 2 && einsum->sum_rank != 0)
		return dot((const float *)run->operands->inputs[0] + at[0],
			   (const float *)run->operands->inputs[1] + at[1], n,
			   einsum->steps[0][last], einsum->steps[1][last]);
	double sum = 0;
	for (int64_t i = 0; i < n; i++) {
		double product = 1;
		for (uint32_t k = 0; k < einsum->operands; k++) {
			int64_t step = einsum->sum_rank == 0 ? 0 : einsum->steps[k][last];
			product *= cast_get(einsum->data_type, run->operands->inputs[k],
					    at[k] + i * step);
		}
		sum += product;
	}
	return sum;
}

/* Move places by the index `rest` of loops first … end-1, counted as one. */
static void
advance(const struct einsum *einsum, int64_t rest, uint32_t first, uint32_t end, int64_t *at)
{
	for (uint32_t i = end; i-- > first;) {
		for (uint32_t k = 0; k < einsum->operands; k++)
			at[k] += rest % einsum->dims[i] * einsum->steps[k][i];
		rest /= einsum->dims[i];
	}
}

/* Items: elements of the output. */
static void
einsum_part(void *context, int64_t begin, int64_t end)
{
	const struct einsum_run *run = context;
	const struct einsum *einsum = run->einsum;
	uint32_t rows_end = einsum->out_rank + (einsum->sum_rank == 0 ? 0 : einsum->sum_rank - 1);
	for (int64_t i = begin; i < end; i++) {
		double sum = 0;
		int64_t base[OP_EINSUM_OPERANDS] = { 0 };
		advance(einsum, i, 0, einsum->out_rank, base);
		for (int64_t row = 0; row < einsum->sum_rows; row++) {
			int64_t at[OP_EINSUM_OPERANDS];
			memcpy(at, base, sizeof(at));
			advance(einsum, row, einsum->out_rank, rows_end, at);
			sum += sum_row(run, at);
		}
		cast_set(einsum->data_type, run->operands->outputs[0], i, sum);
	}
}

int
op_einsum_run(const void *state, const struct operands *operands)
{
	const struct einsum *einsum = state;
	struct einsum_run run = { einsum, operands };
	int64_t elements = 1, products = 1;
	for (uint32_t i = 0; i < einsum->out_rank + einsum->sum_rank; i++)
		*(i < einsum->out_rank ? &elements : &products) *= einsum->dims[i];
	parallel_for(einsum->threads, elements, GRAIN_PRODUCTS / (products + 1) + 1, einsum_part,
		     &run);
	return 0;
}

static int
infer_einsum(struct operator_call *call)
{
	struct einsum_equation equation;
	int64_t dims[TENSOR_MAX_RANK];
	if (op_einsum_read(call, &equation) != 0)
		return -1;
	for (uint32_t i = 1; i < call->input_count; i++) {
		if (call->inputs[i].data_type != call->inputs[0].data_type)
			return operator_error(call, "the operands differ in element type");
	}
	for (uint32_t i = 0; i < equation.out.rank; i++)
		dims[i] = equation.dims[equation.out.labels[i]];
	return operator_output(call, 0, call->inputs[0].data_type, equation.out.rank, dims);
}

/* Put a loop over that label in; a label twice in one term walks its diagonal. */
static void
add_loop(struct einsum *einsum, const struct operator_call *call,
	 const struct einsum_equation *equation, unsigned char label, uint32_t loop)
{
	einsum->dims[loop] = equation->dims[label];
	for (uint32_t i = 0; i < equation->operands; i++) {
		int64_t steps[TENSOR_MAX_RANK];
		axis_steps(&call->inputs[i], steps);
		for (uint32_t k = 0; k < equation->in[i].rank; k++) {
			bool repeats = call->inputs[i].dims[k] == 1;
			if (equation->in[i].labels[k] == label && !repeats)
				einsum->steps[i][loop] += steps[k];
		}
	}
}

static int
prepare_einsum(struct operator_call *call)
{
	struct einsum_equation equation;
	struct einsum *einsum = operator_state(call, sizeof(*einsum));
	if (einsum == NULL || op_einsum_read(call, &equation) != 0)
		return -1;
	einsum->data_type = call->inputs[0].data_type;
	einsum->operands = equation.operands;
	einsum->threads = call->threads;
	einsum->out_rank = equation.out.rank;
	for (uint32_t i = 0; i < equation.out.rank; i++)
		add_loop(einsum, call, &equation, equation.out.labels[i], i);
	for (int label = 0; label < OP_EINSUM_ELLIPSIS + TENSOR_MAX_RANK; label++) {
		if (equation.dims[label] == UNUSED ||
		    memchr(equation.out.labels, label, equation.out.rank) != NULL)
			continue;
		if (einsum->out_rank + einsum->sum_rank == OP_EINSUM_LABELS)
			return operator_unimplemented(call, "more than %d labels",
						      OP_EINSUM_LABELS);
		add_loop(einsum, call, &equation, (unsigned char)label,
			 einsum->out_rank + einsum->sum_rank++);
	}
	einsum->sum_rows = 1;
	for (uint32_t i = 0; i + 1 < einsum->sum_rank; i++)
		einsum->sum_rows *= einsum->dims[einsum->out_rank + i];
	call->kernel->run = op_einsum_run;
	return 0;
}

/* --- Det -------------------------------------------------------------------------------------------------------------- */

static void
swap_rows(double *a, double *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		double kept = a[i];
		a[i] = b[i];
		b[i] = kept;
	}
}

/* Gaussian elimination with the largest pivot of each column; m is destroyed. */
static double
determinant(double *m, int64_t n)
{
	double result = 1;
	for (int64_t i = 0; i < n; i++) {
		int64_t pivot = i;
		for (int64_t k = i + 1; k < n; k++) {
			if (fabs(m[k * n + i]) > fabs(m[pivot * n + i]))
				pivot = k;
		}
		if (m[pivot * n + i] == 0)
			return 0;
		if (pivot != i) {
			swap_rows(m + i * n, m + pivot * n, n);
			result = -result;
		}
		result *= m[i * n + i];
		for (int64_t k = i + 1; k < n; k++) {
			double factor = m[k * n + i] / m[i * n + i];
			for (int64_t c = i; c < n; c++)
				m[k * n + c] -= factor * m[i * n + c];
		}
	}
	return result;
}

int
op_einsum_det(const void *state, const struct operands *operands)
{
	const struct det *det = state;
	int64_t size = det->n * det->n;
	for (int64_t i = 0; i < det->matrices; i++) {
		const char *in = operands->inputs[0];
		cast_run(DATA_TYPE_DOUBLE, operands->scratch, det->data_type,
			 in + (size_t)(i * size) * data_type_bytes(det->data_type), size);
		cast_set(det->data_type, operands->outputs[0], i,
			 determinant(operands->scratch, det->n));
	}
	return 0;
}

static int
infer_det(struct operator_call *call)
{
	const struct tensor_type *type = &call->inputs[0];
	if (type->rank < 2 || type->dims[type->rank - 1] != type->dims[type->rank - 2])
		return operator_error(call, "the input must be square matrices");
	return operator_output(call, 0, type->data_type, type->rank - 2, type->dims);
}

static int
prepare_det(struct operator_call *call)
{
	const struct tensor_type *type = &call->inputs[0];
	struct det *det = operator_state(call, sizeof(*det));
	if (det == NULL)
		return -1;
	det->data_type = type->data_type;
	det->n = type->dims[type->rank - 1];
	det->matrices = axis_from(type, type->rank - 2).outer;
	call->kernel->scratch_bytes = (size_t)(det->n * det->n) * sizeof(double);
	call->kernel->run = op_einsum_det;
	return 0;
}

static const struct op einsum_operators[] = {
	{ .type = "Einsum",
	  .since = 12,
	  .inputs = { 1, OP_EINSUM_OPERANDS },
	  .outputs = { 1, 1 },
	  .infer = infer_einsum,
	  .prepare = prepare_einsum },
	{ .type = "Det",
	  .since = 11,
	  .inputs = { 1, 1 },
	  .outputs = { 1, 1 },
	  .infer = infer_det,
	  .prepare = prepare_det },
};

const struct operator_family operator_family_einsum = {
	einsum_operators,
	sizeof(einsum_operators) / sizeof(einsum_operators[0]),
};
