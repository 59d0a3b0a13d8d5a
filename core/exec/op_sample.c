/* GridSample: elements of images at places that another tensor gives. */
#include "exec/op_sample.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/parallel.h"

enum {
	GRAIN_ELEMENTS = 2048,
};

struct sampler_run {
	const struct sampler *sampler;
	const struct operands *operands;
};

/* Neighbours in one direction: indices (-1: outside, reads 0) and weights. */
struct taps {
	uint32_t count;
	int64_t at[OP_SAMPLE_TAPS];
	float weights[OP_SAMPLE_TAPS];
};

/* There and back between low and high. */
static float
reflect(float x, float low, float high)
{
	float span = high - low;
	if (span <= 0)
		return 0;
	float distance = fabsf(x - low);
	float turns = floorf(distance / span);
	float rest = distance - turns * span;
	return fmodf(turns, 2) == 0 ? low + rest : high - rest;
}

/* A place on the scale -1 … 1 in elements; places on the border or reflected come out inside. */
static float
place_of(const struct sampler *sampler, float x, int64_t dim)
{
	float length = (float)dim;
	x = sampler->aligns_corners ? (x + 1) / 2 * (length - 1) : ((x + 1) * length - 1) / 2;
	return x;
}

/* The index that a neighbour outside stands for; -1 for none. */
static int64_t
index_of(const struct sampler *sampler, float x, int64_t dim)
{
	float last = (float)(dim - 1);
	if (!(x >= 0 && x <= last)) {
		if (sampler->padding == PADDING_ZEROS || x != x)
			return -1;
		if (sampler->padding == PADDING_REFLECTION)
			x = sampler->aligns_corners ? reflect(x, 0, last)
						    : reflect(x, -0.5f, last + 0.5f);
		x = fminf(fmaxf(x, 0), last);
	}
	return (int64_t)x;
}

/* Keys' cubic kernel with a = -0.75 at distance t. */
static float
cubic(float t)
{
	const float a = -0.75f;
	t = fabsf(t);
	if (t <= 1)
		return ((a + 2) * t - (a + 3)) * t * t + 1;
	return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static void
taps_create(struct taps *taps, const struct sampler *sampler, float given, int64_t dim)
{
	float x = place_of(sampler, given, dim);
	float first = rintf(x);
	taps->count = 1;
	taps->weights[0] = 1;
	if (sampler->mode == SAMPLE_LINEAR) {
		first = floorf(x);
		taps->count = 2;
		taps->weights[1] = x - first;
		taps->weights[0] = 1 - taps->weights[1];
	} else if (sampler->mode == SAMPLE_CUBIC) {
		first = floorf(x) - 1;
		taps->count = OP_SAMPLE_TAPS;
		for (uint32_t i = 0; i < OP_SAMPLE_TAPS; i++)
			taps->weights[i] = cubic(first + (float)i - x);
	}
	for (uint32_t i = 0; i < taps->count; i++)
		taps->at[i] = index_of(sampler, first + (float)i, dim);
}

/* The weighted sum of a plane's elements around one place. */
static float
sample_plane(const struct sampler *sampler, const float *plane, const struct taps *taps)
{
	float sum = 0;
	uint32_t depth = sampler->rank == 3 ? taps[0].count : 1;
	const struct taps *y = &taps[sampler->rank - 2], *x = &taps[sampler->rank - 1];
	for (uint32_t i = 0; i < depth; i++) {
		int64_t at_z = sampler->rank == 3 ? taps[0].at[i] : 0;
		float weight_z = sampler->rank == 3 ? taps[0].weights[i] : 1;
		for (uint32_t k = 0; k < y->count && at_z >= 0; k++) {
			int64_t row = at_z * sampler->dims[sampler->rank - 2] + y->at[k];
			const float *in = plane + row * sampler->dims[sampler->rank - 1];
			for (uint32_t m = 0; m < x->count && y->at[k] >= 0; m++) {
				if (x->at[m] >= 0)
					sum += weight_z * y->weights[k] * x->weights[m] *
					       in[x->at[m]];
			}
		}
	}
	return sum;
}

/* Items: places, batch by batch. The grid names the innermost dimension first. */
static void
sample_places(void *context, int64_t begin, int64_t end)
{
	const struct sampler_run *run = context;
	const struct sampler *sampler = run->sampler;
	for (int64_t i = begin; i < end; i++) {
		const float *grid = (const float *)run->operands->inputs[1] + i * sampler->rank;
		struct taps taps[OP_SAMPLE_SPATIAL];
		for (uint32_t k = 0; k < sampler->rank; k++)
			taps_create(&taps[k], sampler, grid[sampler->rank - 1 - k],
				    sampler->dims[k]);
		int64_t batch = i / sampler->out_size;
		for (int64_t c = 0; c < sampler->channels; c++) {
			int64_t plane = batch * sampler->channels + c;
			((float *)run->operands
				 ->outputs[0])[plane * sampler->out_size + i % sampler->out_size] =
				sample_plane(sampler,
					     (const float *)run->operands->inputs[0] +
						     plane * sampler->in_size,
					     taps);
		}
	}
}

int
op_sample_run(const void *state, const struct operands *operands)
{
	const struct sampler *sampler = state;
	struct sampler_run run = { sampler, operands };
	parallel_for(sampler->threads, sampler->batches * sampler->out_size,
		     GRAIN_ELEMENTS / (sampler->channels + 1) + 1, sample_places, &run);
	return 0;
}

static int
infer_sampler(struct operator_call *call)
{
	const struct tensor_type *x = &call->inputs[0], *grid = &call->inputs[1];
	struct tensor_type type = *x;
	if (x->rank < 4 || x->rank > 2 + OP_SAMPLE_SPATIAL || grid->rank != x->rank ||
	    grid->dims[0] != x->dims[0] || grid->dims[grid->rank - 1] != x->rank - 2)
		return operator_error(call, "the grid does not fit the input");
	if (x->data_type != DATA_TYPE_FLOAT || grid->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(x->data_type));
	if (tensor_elements(x) == 0 && tensor_elements(grid) != 0)
		return operator_error(call, "the input has no elements");
	for (uint32_t i = 2; i < x->rank; i++)
		type.dims[i] = grid->dims[i - 1];
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

/* Index of the name in a list that ends with NULL, with or without opset 16's prefix "bi"; -1 when it is not there. */
static int
find_name(const char *name, const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++) {
		if (strcmp(name, names[i]) == 0 ||
		    (strncmp(name, "bi", 2) == 0 && strcmp(name + 2, names[i]) == 0))
			return i;
	}
	return -1;
}

static int
prepare_sampler(struct operator_call *call)
{
	static const char *const modes[] = { "nearest", "linear", "cubic", NULL };
	static const char *const paddings[] = { "zeros", "border", "reflection", NULL };
	const struct tensor_type *x = &call->inputs[0];
	int mode = find_name(node_string(call->node, "mode", "linear"), modes);
	int padding = find_name(node_string(call->node, "padding_mode", "zeros"), paddings);
	struct sampler *sampler = operator_state(call, sizeof(*sampler));
	if (sampler == NULL)
		return -1;
	if (mode < 0 || padding < 0)
		return operator_error(call, "mode or padding_mode does not exist");
	*sampler = (struct sampler){
		.mode = (enum sample_mode)mode,
		.padding = (enum padding)padding,
		.aligns_corners = node_int(call->node, "align_corners", 0) != 0,
		.rank = x->rank - 2,
		.batches = x->dims[0],
		.channels = x->dims[1],
		.in_size = axis_from(x, 2).dim,
		.out_size = axis_from(&call->outputs[0], 2).dim,
		.threads = call->threads,
	};
	memcpy(sampler->dims, x->dims + 2, sampler->rank * sizeof(x->dims[0]));
	call->kernel->run = op_sample_run;
	return 0;
}

static const struct op sample_operators[] = {
	{ .type = "GridSample",
	  .since = 16,
	  .inputs = { 2, 2 },
	  .outputs = { 1, 1 },
	  .infer = infer_sampler,
	  .prepare = prepare_sampler },
};

const struct operator_family operator_family_sample = {
	sample_operators,
	sizeof(sample_operators) / sizeof(sample_operators[0]),
};
