/* What signals are weighted with: HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/cast.h"
#include "exec/operator.h"

enum { SIZE_MAX_ELEMENTS = 1 << 28 };

/* The type asked for by the attribute output_datatype. */
static enum data_type
wanted_type(const struct operator_call *call)
{
	return (enum data_type)node_int(call->node, "output_datatype", DATA_TYPE_FLOAT);
}

static int
check_wanted_type(const struct operator_call *call)
{
	if (data_type_bytes(wanted_type(call)) == 0)
		return operator_unimplemented(call, "output_datatype %d is not supported",
					      (int)wanted_type(call));
	return 0;
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

/* Sums of three cosines: weights of 1, cos x and cos 2x. */
static const struct {
	const char *type;
	double weights[3];
} windows[] = {
	{ "HannWindow", { 0.5, -0.5, 0 } },
	/* ONNX has the coefficients that cancel the first side lobe, not 0.54 and 0.46. */
	{ "HammingWindow", { 25.0 / 46, -21.0 / 46, 0 } },
	{ "BlackmanWindow", { 0.42, -0.5, 0.08 } },
};

struct taper {
	double weights[3];
	int64_t size;
	/* What a full turn of the cosine is. */
	int64_t period;
	enum data_type data_type;
};

static int
run_taper(const void *state, const struct operands *operands)
{
	const struct taper *taper = state;
	for (int64_t i = 0; i < taper->size; i++) {
		double x = taper->period > 0 ? 2 * M_PI * (double)i / (double)taper->period : 0;
		cast_set(taper->data_type, operands->outputs[0], i,
			 taper->weights[0] + taper->weights[1] * cos(x) +
				 taper->weights[2] * cos(2 * x));
	}
	return 0;
}

static int
infer_taper(struct operator_call *call)
{
	double size = operator_scalar(call, 0, 0);
	if (!(size >= 0 && size <= SIZE_MAX_ELEMENTS) || tensor_elements(&call->inputs[0]) != 1)
		return operator_error(call, "the size must be one whole number");
	int64_t count = (int64_t)size;
	return check_wanted_type(call) != 0
		       ? -1
		       : operator_output(call, 0, wanted_type(call), 1, &count);
}

static int
prepare_taper(struct operator_call *call)
{
	struct taper *taper = operator_state(call, sizeof(*taper));
	if (taper == NULL)
		return -1;
	taper->size = call->outputs[0].dims[0];
	taper->period = taper->size - (node_int(call->node, "periodic", 1) != 0 ? 0 : 1);
	taper->data_type = call->outputs[0].data_type;
	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++)
		if (strcmp(windows[i].type, call->node->op_type) == 0)
			memcpy(taper->weights, windows[i].weights, sizeof(taper->weights));
	call->kernel->run = run_taper;
	return 0;
}

/* --- MelWeightMatrix ---------------------------------------------------------------------------------------------- */

struct mel {
	int64_t bands;
	int64_t bins;
	/* Numbers of a transform, samples a second, and the edges in hertz. */
	double length;
	double rate;
	double low;
	double high;
	enum data_type data_type;
};

static double
mel_of(double hertz)
{
	return 2595 * log10(1 + hertz / 700);
}

/* The bin where edge i of the bands lies; they are evenly apart in mel. */
static int64_t
edge_of(const struct mel *mel, int64_t i)
{
	double low = mel_of(mel->low), step = (mel_of(mel->high) - low) / (double)(mel->bands + 2);
	double hertz = 700 * (pow(10, ((double)i * step + low) / 2595) - 1);
	return (int64_t)floor((mel->length + 1) * hertz / mel->rate);
}

static int
run_mel(const void *state, const struct operands *operands)
{
	const struct mel *mel = state;
	for (int64_t band = 0; band < mel->bands; band++) {
		int64_t low = edge_of(mel, band), middle = edge_of(mel, band + 1),
			high = edge_of(mel, band + 2);
		for (int64_t bin = 0; bin < mel->bins; bin++) {
			double rise = low == middle ? (double)(bin == middle)
						    : (double)(bin - low) / (double)(middle - low);
			double fall =
				high == middle ? 0 : (double)(high - bin) / (double)(high - middle);
			bool is_rising = bin >= low && bin <= middle;
			double weight = is_rising ? rise : bin > middle && bin < high ? fall : 0;
			cast_set(mel->data_type, operands->outputs[0], bin * mel->bands + band,
				 weight);
		}
	}
	return 0;
}

static int
infer_mel(struct operator_call *call)
{
	double bands = operator_scalar(call, 0, 0), length = operator_scalar(call, 1, 0);
	double rate = operator_scalar(call, 2, 0);
	if (!(bands >= 1 && bands <= SIZE_MAX_ELEMENTS && length >= 1 &&
	      length <= SIZE_MAX_ELEMENTS && rate > 0))
		return operator_error(call, "bands, length and rate must be above 0");
	if (!(operator_scalar(call, 3, 0) >= 0 &&
	      operator_scalar(call, 4, 0) > operator_scalar(call, 3, 0)))
		return operator_error(call, "the edges must rise from 0");
	int64_t dims[] = { (int64_t)length / 2 + 1, (int64_t)bands };
	return check_wanted_type(call) != 0 ? -1
					    : operator_output(call, 0, wanted_type(call), 2, dims);
}

static int
prepare_mel(struct operator_call *call)
{
	struct mel *mel = operator_state(call, sizeof(*mel));
	if (mel == NULL)
		return -1;
	*mel = (struct mel){
		.bands = call->outputs[0].dims[1],
		.bins = call->outputs[0].dims[0],
		.length = operator_scalar(call, 1, 0),
		.rate = operator_scalar(call, 2, 0),
		.low = operator_scalar(call, 3, 0),
		.high = operator_scalar(call, 4, 0),
		.data_type = call->outputs[0].data_type,
	};
	call->kernel->run = run_mel;
	return 0;
}

/* clang-format off */
#define OPERATOR(NAME, INPUTS, RULE)                                                               \
	{ .type = NAME, .since = 17, .inputs = { INPUTS, INPUTS }, .outputs = { 1, 1 },            \
	  .known_inputs = (1 << INPUTS) - 1, .infer = infer_##RULE, .prepare = prepare_##RULE }
/* clang-format on */

static const struct op weighting_operators[] = {
	OPERATOR("HannWindow", 1, taper),
	OPERATOR("HammingWindow", 1, taper),
	OPERATOR("BlackmanWindow", 1, taper),
	OPERATOR("MelWeightMatrix", 5, mel),
};

const struct operator_family operator_family_weighting = {
	weighting_operators,
	sizeof(weighting_operators) / sizeof(weighting_operators[0]),
};
