#include "exec/recurrent.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "exec/target.h"

/* --- activations -------------------------------------------------------------------------------------------------- */

#define FUNCTION(name, expression)                                                                 \
	static float name(float x, float alpha, float beta)                                        \
	{                                                                                          \
		(void)alpha;                                                                       \
		(void)beta;                                                                        \
		return expression;                                                                 \
	}
FUNCTION(relu, x > 0 ? x : 0)
FUNCTION(tanh_of, tanhf(x))
FUNCTION(sigmoid, 1 / (1 + expf(-x)))
FUNCTION(affine, alpha *x + beta)
FUNCTION(leaky_relu, x < 0 ? alpha * x : x)
FUNCTION(thresholded_relu, x > alpha ? x : 0)
FUNCTION(scaled_tanh, alpha *tanhf(beta *x))
FUNCTION(hard_sigmoid, fminf(fmaxf(alpha *x + beta, 0), 1))
FUNCTION(elu, x < 0 ? alpha * expm1f(x) : x)
FUNCTION(softsign, x / (1 + fabsf(x)))
FUNCTION(softplus, log1pf(expf(-fabsf(x))) + fmaxf(x, 0))

static const struct {
	const char *name;
	struct recurrent_function function;
} functions[] = {
	{ "Relu", { relu, RECURRENT_RELU, 0, 0, false, false } },
	{ "Tanh", { tanh_of, RECURRENT_TANH, 0, 0, false, false } },
	{ "Sigmoid", { sigmoid, RECURRENT_SIGMOID, 0, 0, false, false } },
	{ "Affine", { affine, RECURRENT_AFFINE, 1, 0, true, true } },
	{ "LeakyRelu", { leaky_relu, RECURRENT_LEAKY_RELU, 0.01f, 0, true, false } },
	{ "ThresholdedRelu", { thresholded_relu, RECURRENT_THRESHOLDED_RELU, 1, 0, true, false } },
	{ "ScaledTanh", { scaled_tanh, RECURRENT_SCALED_TANH, 1, 1, true, true } },
	{ "HardSigmoid", { hard_sigmoid, RECURRENT_HARD_SIGMOID, 0.2f, 0.5f, true, true } },
	{ "Elu", { elu, RECURRENT_ELU, 1, 0, true, false } },
	{ "Softsign", { softsign, RECURRENT_SOFTSIGN, 0, 0, false, false } },
	{ "Softplus", { softplus, RECURRENT_SOFTPLUS, 0, 0, false, false } },
};

int
recurrent_function_find(const char *name, struct recurrent_function *function)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcasecmp(name, functions[i].name) == 0) {
			*function = functions[i].function;
			return 0;
		}
	}
	return -1;
}

static void
apply(const struct recurrent *shape, const struct recurrent_function *function, float *row)
{
	for (int64_t i = 0; i < shape->hidden; i++) {
		float x = fminf(fmaxf(row[i], -shape->clip), shape->clip);
		row[i] = function->call(x, function->alpha, function->beta);
	}
}

/* --- products ----------------------------------------------------------------------------------------------------- */

enum { LANES = 16 };

TARGET_CLONES static float
dot(const float *a, const float *b, int64_t n)
{
	float lanes[LANES] = { 0 }, sum = 0;
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		for (int k = 0; k < LANES; k++)
			lanes[k] += a[i + k] * b[i + k];
	}
	for (; i < n; i++)
		sum += a[i] * b[i];
	for (int k = 0; k < LANES; k++)
		sum += lanes[k];
	return sum;
}

/* out[row] += matrix[row] . vector, plus the bias when there is one. */
static void
add_product(float *out, const float *matrix, const float *vector, const float *bias, int64_t rows,
	    int64_t columns)
{
	for (int64_t i = 0; i < rows; i++)
		out[i] += dot(matrix + i * columns, vector, columns) + (bias != NULL ? bias[i] : 0);
}

/* --- one step of one batch element: gates hold the input's part, h and c the state, which is replaced --------------- */

struct step {
	const struct recurrent *shape;
	const struct recurrent_direction *direction;
	const struct recurrent_function *functions;
	float *gates;
	float *spare;
	float *h;
	float *c;
};

static const float *
state_bias(const struct step *step)
{
	const struct recurrent *shape = step->shape;
	const float *b = step->direction->b;
	return b == NULL ? NULL : b + shape->gates * shape->hidden;
}

static void
step_rnn(const struct step *step)
{
	int64_t hidden = step->shape->hidden;
	add_product(step->gates, step->direction->r, step->h, state_bias(step), hidden, hidden);
	apply(step->shape, &step->functions[0], step->gates);
	memcpy(step->h, step->gates, (size_t)hidden * sizeof(float));
}

/* Gates z, r, h. */
static void
step_gru(const struct step *step)
{
	int64_t n = step->shape->hidden;
	const float *r = step->direction->r, *bias = state_bias(step);
	float *z = step->gates, *reset = z + n, *candidate = z + 2 * n, *spare = step->spare;
	add_product(z, r, step->h, bias, 2 * n, n);
	apply(step->shape, &step->functions[0], z);
	apply(step->shape, &step->functions[0], reset);
	const float *candidate_bias = bias == NULL ? NULL : bias + 2 * n;
	memset(spare, 0, (size_t)n * sizeof(float));
	if (step->shape->linear_before_reset) {
		add_product(spare, r + 2 * n * n, step->h, candidate_bias, n, n);
		for (int64_t i = 0; i < n; i++)
			candidate[i] += reset[i] * spare[i];
	} else {
		for (int64_t i = 0; i < n; i++)
			spare[i] = reset[i] * step->h[i];
		add_product(candidate, r + 2 * n * n, spare, candidate_bias, n, n);
	}
	apply(step->shape, &step->functions[1], candidate);
	for (int64_t i = 0; i < n; i++)
		step->h[i] = (1 - z[i]) * candidate[i] + z[i] * step->h[i];
}

static void
add_peephole(float *gate, const float *peephole, const float *c, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		gate[i] += peephole[i] * c[i];
}

/* Gates i, o, f, c; peepholes i, o, f. */
static void
step_lstm(const struct step *step)
{
	int64_t n = step->shape->hidden;
	const float *p = step->direction->p;
	float *in = step->gates, *out = in + n, *forget = in + 2 * n, *cell = in + 3 * n;
	add_product(in, step->direction->r, step->h, state_bias(step), 4 * n, n);
	if (p != NULL) {
		add_peephole(in, p, step->c, n);
		add_peephole(forget, p + 2 * n, step->c, n);
	}
	apply(step->shape, &step->functions[0], in);
	apply(step->shape, &step->functions[0], forget);
	apply(step->shape, &step->functions[1], cell);
	for (int64_t i = 0; i < n; i++) {
		float keep = step->shape->couples_input_forget ? 1 - in[i] : forget[i];
		step->c[i] = keep * step->c[i] + in[i] * cell[i];
	}
	if (p != NULL)
		add_peephole(out, p + n, step->c, n);
	apply(step->shape, &step->functions[0], out);
	const struct recurrent_function *last = &step->functions[2];
	for (int64_t i = 0; i < n; i++)
		step->h[i] = out[i] * last->call(step->c[i], last->alpha, last->beta);
}

/* --- the sequence ------------------------------------------------------------------------------------------------- */

size_t
recurrent_scratch(const struct recurrent *shape)
{
	/* Gates, a spare row, h and c. */
	return (size_t)((shape->gates + 3) * shape->hidden) * sizeof(float);
}

int
recurrent_check_lengths(const struct recurrent *shape, const int32_t *lengths)
{
	for (int64_t i = 0; i < shape->batch && lengths != NULL; i++) {
		if (lengths[i] < 0 || lengths[i] > shape->length)
			return error_set(ERR_OUT_OF_RANGE, "sequence_lens[%d] is %d of %d", (int)i,
					 lengths[i], (int)shape->length);
	}
	return 0;
}

static void
load_state(float *to, const float *all, int64_t offset, int64_t hidden)
{
	if (all != NULL)
		memcpy(to, all + offset, (size_t)hidden * sizeof(float));
	else
		memset(to, 0, (size_t)hidden * sizeof(float));
}

static void
save_state(float *all, int64_t offset, const float *from, int64_t hidden)
{
	if (all != NULL)
		memcpy(all + offset, from, (size_t)hidden * sizeof(float));
}

/* The gates' part that the input makes. */
static void
load_gates(const struct step *step, int64_t time, int64_t batch)
{
	const struct recurrent *shape = step->shape;
	const struct recurrent_direction *direction = step->direction;
	int64_t rows = shape->gates * shape->hidden;
	const float *x =
		direction->x + time * direction->x_steps.time + batch * direction->x_steps.batch;
	memset(step->gates, 0, (size_t)rows * sizeof(float));
	add_product(step->gates, direction->w, x, direction->b, rows, shape->in);
}

static void
run_sequence(const struct step *step, int64_t batch)
{
	const struct recurrent *shape = step->shape;
	const struct recurrent_direction *direction = step->direction;
	const struct recurrent_steps *states = &direction->state_steps, *ys = &direction->y_steps;
	int64_t state = states->offset + batch * states->batch;
	int64_t length = direction->lengths != NULL ? direction->lengths[batch] : shape->length;
	load_state(step->h, direction->initial_h, state, shape->hidden);
	load_state(step->c, direction->initial_c, state, shape->hidden);
	for (int64_t i = 0; i < shape->length; i++) {
		int64_t time = direction->reverse && i < length ? length - 1 - i : i;
		int64_t y = ys->offset + time * ys->time + batch * ys->batch;
		if (i >= length) {
			/* Past the end of a shorter sequence the output is zero. */
			if (direction->y != NULL)
				load_state(direction->y + y, NULL, 0, shape->hidden);
			continue;
		}
		load_gates(step, time, batch);
		if (shape->kind == RECURRENT_LSTM)
			step_lstm(step);
		else if (shape->kind == RECURRENT_GRU)
			step_gru(step);
		else
			step_rnn(step);
		save_state(direction->y, y, step->h, shape->hidden);
	}
	save_state(direction->y_h, state, step->h, shape->hidden);
	save_state(direction->y_c, state, step->c, shape->hidden);
}

void
recurrent_run(const struct recurrent *shape, const struct recurrent_direction *direction,
	      void *scratch)
{
	float *gates = scratch;
	struct step step = {
		.shape = shape,
		.direction = direction,
		.functions = shape->functions[direction->index],
		.gates = gates,
		.spare = gates + shape->gates * shape->hidden,
		.h = gates + (shape->gates + 1) * shape->hidden,
		.c = gates + (shape->gates + 2) * shape->hidden,
	};
	for (int64_t batch = 0; batch < shape->batch; batch++)
		run_sequence(&step, batch);
}
