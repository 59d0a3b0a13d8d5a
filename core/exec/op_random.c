/*
 * Operators that draw numbers: RandomNormal, RandomUniform and what is like a tensor, Bernoulli,
 * Multinomial. With a seed a run draws what every run does, on any device; without one each run
 * draws anew. Element i draws by itself from the run's key and i, so that threads need not know of
 * one another: SplitMix64's output function over a Weyl sequence (Steele, Lea, Flood 2014).
 */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "exec/cast.h"
#include "exec/operator.h"
#include "exec/parallel.h"

enum { GRAIN_ELEMENTS = 1024 };

struct draw {
	/* Its key when it has a seed. */
	bool has_seed;
	uint64_t key;
	enum data_type data_type;
	int64_t elements;
	/* Of a normal distribution mean and standard deviation, of a uniform one least and width. */
	double base;
	double scale;
	bool is_normal;
	/* Of Bernoulli's and Multinomial's input. */
	enum data_type input_type;
	/* Multinomial: of a row. */
	int64_t classes;
	int64_t samples;
	unsigned threads;
};

struct draw_run {
	const struct draw *draw;
	const struct operands *operands;
	uint64_t key;
};

static const uint64_t weyl_step = 0x9e3779b97f4a7c15;

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* The i-th number of a key, 0 … below 1. */
static double
uniform(uint64_t key, uint64_t i)
{
	return (double)(mix(key + (i + 1) * weyl_step) >> 11) * 0x1p-53;
}

/* Normally distributed, by Box and Muller's transform. */
static double
normal(uint64_t key, uint64_t i)
{
	double radius = sqrt(-2 * log(1 - uniform(key, 2 * i)));
	return radius * cos(2 * M_PI * uniform(key, 2 * i + 1));
}

/* A key that no run of this process had before, and that another process will not have. */
static uint64_t
fresh_key(void)
{
	static _Atomic uint64_t runs;
	static _Atomic uint64_t secret;
	uint64_t own = atomic_load_explicit(&secret, memory_order_relaxed);
	if (own == 0) {
		uint64_t none = 0;
		if (getrandom(&own, sizeof(own), 0) != (ssize_t)sizeof(own) || own == 0)
			own = weyl_step;
		if (!atomic_compare_exchange_strong(&secret, &none, own))
			own = none;
	}
	return mix(own + atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed) * weyl_step);
}

static int
run_parts(const struct draw *draw, const struct operands *operands, int64_t count, int64_t grain,
	  parallel_part_f *part)
{
	struct draw_run run = { draw, operands, draw->has_seed ? draw->key : fresh_key() };
	parallel_for(draw->threads, count, grain, part, &run);
	return 0;
}

/* --- RandomNormal, RandomUniform -------------------------------------------------------------------------------------- */

static void
draw_part(void *context, int64_t begin, int64_t end)
{
	const struct draw_run *run = context;
	const struct draw *draw = run->draw;
	for (int64_t i = begin; i < end; i++) {
		uint64_t at = (uint64_t)i;
		double drawn = draw->is_normal ? normal(run->key, at) : uniform(run->key, at);
		cast_set(draw->data_type, run->operands->outputs[0], i,
			 draw->base + draw->scale * drawn);
	}
}

static int
run_draw(const void *state, const struct operands *operands)
{
	const struct draw *draw = state;
	return run_parts(draw, operands, draw->elements, GRAIN_ELEMENTS, draw_part);
}

/* Attribute dtype, else fallback; it must be one of floats unless any will do. */
static int
read_type(const struct operator_call *call, enum data_type fallback, bool any,
	  enum data_type *data_type)
{
	*data_type = (enum data_type)node_int(call->node, "dtype", fallback);
	if (data_type_bytes(*data_type) == 0)
		return operator_error(call, "dtype is %d", (int)*data_type);
	if (any || *data_type == DATA_TYPE_FLOAT || *data_type == DATA_TYPE_DOUBLE ||
	    *data_type == DATA_TYPE_FLOAT16 || *data_type == DATA_TYPE_BFLOAT16)
		return 0;
	return operator_error(call, "dtype is %s, not a float", data_type_name(*data_type));
}

static int
infer_random(struct operator_call *call)
{
	const struct attribute *shape = node_attribute(call->node, "shape");
	enum data_type data_type;
	if (shape == NULL || shape->kind != ATTRIBUTE_INTS || shape->count > TENSOR_MAX_RANK)
		return operator_error(call, "shape is missing, or of too many dimensions");
	for (uint32_t i = 0; i < shape->count; i++)
		if (shape->as.ints[i] < 0)
			return operator_error(call, "dimension %" PRIu32 " is %" PRId64, i,
					      shape->as.ints[i]);
	if (read_type(call, DATA_TYPE_FLOAT, false, &data_type) != 0)
		return -1;
	return operator_output(call, 0, data_type, shape->count, shape->as.ints);
}

static int
infer_like(struct operator_call *call)
{
	enum data_type data_type;
	if (read_type(call, call->inputs[0].data_type, false, &data_type) != 0)
		return -1;
	return operator_output(call, 0, data_type, call->inputs[0].rank, call->inputs[0].dims);
}

/* What all of them share. NULL with the error set. */
static struct draw *
new_draw(struct operator_call *call, kernel_run_f *run)
{
	struct draw *draw = operator_state(call, sizeof(*draw));
	const struct attribute *seed = node_attribute(call->node, "seed");
	if (draw == NULL)
		return NULL;
	draw->data_type = call->outputs[0].data_type;
	draw->elements = tensor_elements(&call->outputs[0]);
	draw->threads = call->threads;
	draw->has_seed = seed != NULL;
	if (draw->has_seed) {
		float given = (float)node_float(call->node, "seed", 0);
		uint32_t bits;
		memcpy(&bits, &given, sizeof(bits));
		draw->key = mix(bits + weyl_step);
	}
	call->kernel->run = run;
	return draw;
}

static int
prepare_normal(struct operator_call *call)
{
	struct draw *draw = new_draw(call, run_draw);
	if (draw == NULL)
		return -1;
	draw->is_normal = true;
	draw->base = node_float(call->node, "mean", 0);
	draw->scale = node_float(call->node, "scale", 1);
	return 0;
}

static int
prepare_uniform(struct operator_call *call)
{
	struct draw *draw = new_draw(call, run_draw);
	if (draw == NULL)
		return -1;
	draw->base = node_float(call->node, "low", 0);
	draw->scale = node_float(call->node, "high", 1) - draw->base;
	return 0;
}

/* --- Bernoulli -------------------------------------------------------------------------------------------------------- */

static void
toss_part(void *context, int64_t begin, int64_t end)
{
	const struct draw_run *run = context;
	const struct draw *draw = run->draw;
	for (int64_t i = begin; i < end; i++) {
		double chance = cast_get(draw->input_type, run->operands->inputs[0], i);
		cast_set(draw->data_type, run->operands->outputs[0], i,
			 uniform(run->key, (uint64_t)i) < chance);
	}
}

static int
run_bernoulli(const void *state, const struct operands *operands)
{
	const struct draw *draw = state;
	return run_parts(draw, operands, draw->elements, GRAIN_ELEMENTS, toss_part);
}

static int
infer_bernoulli(struct operator_call *call)
{
	enum data_type data_type;
	if (read_type(call, call->inputs[0].data_type, true, &data_type) != 0)
		return -1;
	return operator_output(call, 0, data_type, call->inputs[0].rank, call->inputs[0].dims);
}

static int
prepare_bernoulli(struct operator_call *call)
{
	struct draw *draw = new_draw(call, run_bernoulli);
	if (draw == NULL)
		return -1;
	draw->input_type = call->inputs[0].data_type;
	return 0;
}

/* --- Multinomial ------------------------------------------------------------------------------------------------------ */

/* The class of a row of logarithms, not normalised, at which their running sum passes drawn times the whole. */
static int64_t
choose(const struct draw *draw, const void *rows, int64_t row, double largest, double sum,
       double drawn)
{
	double passed = 0;
	for (int64_t c = 0; c < draw->classes; c++) {
		passed += exp(cast_get(draw->input_type, rows, row * draw->classes + c) - largest);
		if (passed > drawn * sum)
			return c;
	}
	return draw->classes - 1;
}

static void
choose_part(void *context, int64_t begin, int64_t end)
{
	const struct draw_run *run = context;
	const struct draw *draw = run->draw;
	const void *rows = run->operands->inputs[0];
	for (int64_t row = begin; row < end; row++) {
		double largest = -INFINITY, sum = 0;
		for (int64_t c = 0; c < draw->classes; c++)
			largest = fmax(largest,
				       cast_get(draw->input_type, rows, row * draw->classes + c));
		for (int64_t c = 0; c < draw->classes; c++)
			sum += exp(cast_get(draw->input_type, rows, row * draw->classes + c) -
				   largest);
		for (int64_t s = 0; s < draw->samples; s++) {
			int64_t at = row * draw->samples + s;
			double drawn = uniform(run->key, (uint64_t)at);
			cast_set(draw->data_type, run->operands->outputs[0], at,
				 (double)choose(draw, rows, row, largest, sum, drawn));
		}
	}
}

static int
run_multinomial(const void *state, const struct operands *operands)
{
	const struct draw *draw = state;
	return run_parts(draw, operands, draw->elements / draw->samples, 1, choose_part);
}

static int
infer_multinomial(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	enum data_type data_type = (enum data_type)node_int(call->node, "dtype", DATA_TYPE_INT32);
	int64_t samples = node_int(call->node, "sample_size", 1);
	if (in->rank != 2 || in->dims[1] < 1)
		return operator_error(call, "the input must be rows of one class or more");
	if (samples < 1 || (data_type != DATA_TYPE_INT32 && data_type != DATA_TYPE_INT64))
		return operator_error(call, "sample_size %" PRId64 ", dtype %d", samples,
				      (int)data_type);
	int64_t dims[] = { in->dims[0], samples };
	return operator_output(call, 0, data_type, 2, dims);
}

static int
prepare_multinomial(struct operator_call *call)
{
	struct draw *draw = new_draw(call, run_multinomial);
	if (draw == NULL)
		return -1;
	draw->input_type = call->inputs[0].data_type;
	draw->classes = call->inputs[0].dims[1];
	draw->samples = call->outputs[0].dims[1];
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, SINCE, INPUTS, FLAGS, INFER, PREPARE)                                       \
	{ .type = NAME, .since = SINCE, .inputs = { INPUTS, INPUTS }, .outputs = { 1, 1 },         \
	  .flags = OPERATOR_IMPURE | (FLAGS), .infer = INFER, .prepare = PREPARE }
/* clang-format on */

static const struct op random_operators[] = {
	OPERATOR("RandomNormal", 1, 0, 0, infer_random, prepare_normal),
	OPERATOR("RandomUniform", 1, 0, 0, infer_random, prepare_uniform),
	OPERATOR("RandomNormalLike", 1, 1, OPERATOR_TYPE_ONLY, infer_like, prepare_normal),
	OPERATOR("RandomUniformLike", 1, 1, OPERATOR_TYPE_ONLY, infer_like, prepare_uniform),
	OPERATOR("Bernoulli", 15, 1, 0, infer_bernoulli, prepare_bernoulli),
	OPERATOR("Multinomial", 7, 1, 0, infer_multinomial, prepare_multinomial),
};

const struct operator_family operator_family_random = {
	random_operators,
	sizeof(random_operators) / sizeof(random_operators[0]),
};
