/* Operators on signals: DFT, STFT. Inside they are in double precision, and one thread's work. */
#include "exec/op_signal.h"

#include <inttypes.h>
#include <string.h>

#include "exec/cast.h"

enum {
	/* A longer transform is taken to be a mistake: its roots alone would be a gigabyte. */
	LENGTH_MAX = 1 << 26,
};

/* Scratch: the line, its transform, and what the transform works in. */
static double *
line_of(const struct operands *operands)
{
	return operands->scratch;
}

/* Read number i of the line from element `at` of the tensor. */
static void
read_number(const struct spectrum *spectrum, const void *data, int64_t at, double *to)
{
	to[0] = cast_get(spectrum->data_type, data, at);
	to[1] = spectrum->in_parts == 2 ? cast_get(spectrum->data_type, data, at + 1) : 0;
}

/* The other half of a real line's spectrum is the first one's mirror image, conjugated. */
static void
mirror(double *line, int64_t given, int64_t length)
{
	for (int64_t k = given < length / 2 + 1 ? given : length / 2 + 1; k < length; k++) {
		bool has_image = length - k < given;
		line[2 * k] = has_image ? line[2 * (length - k)] : 0;
		line[2 * k + 1] = has_image ? -line[2 * (length - k) + 1] : 0;
	}
}

/* Transform the line, of which the given numbers were read; its transform. */
static const double *
transform_line(const struct spectrum *spectrum, double *line)
{
	int64_t length = spectrum->fft.length, given = spectrum->given;
	double *out = line + 2 * length;
	memset(line + 2 * given, 0, (size_t)(length - given) * 2 * sizeof(*line));
	if (spectrum->is_half)
		mirror(line, given, length);
	fft_run(&spectrum->fft, line, out, out + 2 * length, spectrum->inverse);
	return out;
}

static void
write_number(const struct spectrum *spectrum, const double *from, void *data, int64_t at)
{
	double scale = spectrum->inverse ? 1.0 / (double)spectrum->fft.length : 1;
	for (int64_t part = 0; part < spectrum->out_parts; part++)
		cast_set(spectrum->data_type, data, at + part, from[part] * scale);
}

static int
check_type(const struct operator_call *call, const struct tensor_type *type)
{
	if (type->data_type != DATA_TYPE_FLOAT && type->data_type != DATA_TYPE_DOUBLE)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(type->data_type));
	if (type->rank < 2 || type->dims[type->rank - 1] < 1 || type->dims[type->rank - 1] > 2)
		return operator_error(call, "the last dimension must be 1 or 2");
	return 0;
}

static int
check_length(const struct operator_call *call, int64_t length)
{
	if (length < 1 || length > LENGTH_MAX)
		return operator_error(call, "a transform of %" PRId64 " numbers", length);
	return 0;
}

/* Memory for the transforms' roots and scratch. */
static int
prepare_spectrum(struct operator_call *call, struct spectrum *spectrum, int64_t length)
{
	if (fft_create(&spectrum->fft, length, call->arena) != 0)
		return -1;
	call->kernel->scratch_bytes = ((size_t)length * 4 + spectrum->fft.work) * sizeof(double);
	return 0;
}

/* --- DFT ---------------------------------------------------------------------------------------------------------- */

int
op_signal_dft(const void *state, const struct operands *operands)
{
	const struct spectrum *spectrum = state;
	const struct axis *axis = &spectrum->axis;
	double *line = line_of(operands);
	for (int64_t i = 0; i < axis->outer * axis->inner; i++) {
		int64_t outer = i / axis->inner, inner = i % axis->inner;
		int64_t from = outer * axis->dim * axis->inner + inner;
		int64_t to = outer * spectrum->wanted * axis->inner + inner;
		for (int64_t k = 0; k < spectrum->given; k++)
			read_number(spectrum, operands->inputs[0],
				    (from + k * axis->inner) * spectrum->in_parts, &line[2 * k]);
		const double *out = transform_line(spectrum, line);
		for (int64_t k = 0; k < spectrum->wanted; k++)
			write_number(spectrum, &out[2 * k], operands->outputs[0],
				     (to + k * axis->inner) * spectrum->out_parts);
	}
	return 0;
}

/* What a DFT is to do. */
struct dft {
	uint32_t axis;
	int64_t length;
	int64_t wanted;
	int64_t out_parts;
	bool is_half;
};

static int
read_dft(const struct operator_call *call, struct dft *dft)
{
	const struct tensor_type *input = &call->inputs[0];
	bool inverse = node_int(call->node, "inverse", 0) != 0;
	bool onesided = node_int(call->node, "onesided", 0) != 0;
	int64_t axis = call->node->opset < 20 ? node_int(call->node, "axis", 1)
					      : (int64_t)operator_scalar(call, 2, -2);
	if (check_type(call, input) != 0 || operator_axis(call, axis, input->rank, &dft->axis) != 0)
		return -1;
	if (dft->axis == input->rank - 1)
		return operator_error(call, "axis is that of real and imaginary parts");
	dft->is_half = inverse && onesided;
	int64_t given = input->dims[dft->axis];
	dft->length =
		(int64_t)operator_scalar(call, 1, (double)(dft->is_half ? 2 * (given - 1) : given));
	dft->wanted = onesided && !inverse ? dft->length / 2 + 1 : dft->length;
	dft->out_parts = dft->is_half ? 1 : 2;
	if (onesided && !inverse && input->dims[input->rank - 1] != 1)
		return operator_error(call, "onesided wants real numbers");
	return check_length(call, dft->length);
}

static int
infer_dft(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	struct dft dft;
	if (read_dft(call, &dft) != 0)
		return -1;
	type.dims[dft.axis] = dft.wanted;
	type.dims[type.rank - 1] = dft.out_parts;
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static int
prepare_dft(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	struct spectrum *spectrum = operator_state(call, sizeof(*spectrum));
	struct dft dft;
	if (spectrum == NULL || read_dft(call, &dft) != 0)
		return -1;
	int64_t given = input->dims[dft.axis];
	*spectrum = (struct spectrum){
		.data_type = input->data_type,
		.given = given < dft.length ? given : dft.length,
		.wanted = dft.wanted,
		.in_parts = input->dims[input->rank - 1],
		.out_parts = dft.out_parts,
		.inverse = node_int(call->node, "inverse", 0) != 0,
		.is_half = dft.is_half,
		.axis = axis_of(input, dft.axis),
	};
	spectrum->axis.inner /= spectrum->in_parts;
	call->kernel->run = op_signal_dft;
	return prepare_spectrum(call, spectrum, dft.length);
}

/* --- STFT --------------------------------------------------------------------------------------------------------- */

int
op_signal_stft(const void *state, const struct operands *operands)
{
	const struct spectrum *spectrum = state;
	double *line = line_of(operands);
	int64_t length = spectrum->fft.length;
	for (int64_t i = 0; i < spectrum->batch * spectrum->frames; i++) {
		int64_t signal = i / spectrum->frames, frame = i % spectrum->frames;
		int64_t from = signal * spectrum->length + frame * spectrum->frame_step;
		for (int64_t k = 0; k < length; k++) {
			double weight = spectrum->has_window ? cast_get(spectrum->data_type,
									operands->inputs[2], k)
							     : 1;
			read_number(spectrum, operands->inputs[0], (from + k) * spectrum->in_parts,
				    &line[2 * k]);
			line[2 * k] *= weight;
			line[2 * k + 1] *= weight;
		}
		const double *out = transform_line(spectrum, line);
		for (int64_t k = 0; k < spectrum->wanted; k++)
			write_number(spectrum, &out[2 * k], operands->outputs[0],
				     (i * spectrum->wanted + k) * 2);
	}
	return 0;
}

/* Frames' length and distance; how many there are. -1 with the error set. */
static int64_t
read_frames(const struct operator_call *call, int64_t *length, int64_t *frame_step)
{
	const struct tensor_type *signal = &call->inputs[0], *window = &call->inputs[2];
	bool has_window = operator_has_input(call, 2);
	if (check_type(call, signal) != 0)
		return -1;
	if (signal->rank != 3)
		return operator_error(call, "the signal must have three dimensions");
	if (has_window && (window->rank != 1 || window->data_type != signal->data_type))
		return operator_error(call, "the window must be a list of the signal's type");
	*length = (int64_t)operator_scalar(
		call, 3, (double)(has_window ? window->dims[0] : signal->dims[1]));
	*frame_step = (int64_t)operator_scalar(call, 1, 0);
	if (check_length(call, *length) != 0)
		return -1;
	if (*frame_step < 1 || *length > signal->dims[1] ||
	    (has_window && window->dims[0] != *length))
		return operator_error(call, "frames of %" PRId64 " every %" PRId64 " do not fit",
				      *length, *frame_step);
	return (signal->dims[1] - *length) / *frame_step + 1;
}

static int
infer_stft(struct operator_call *call)
{
	const struct tensor_type *signal = &call->inputs[0];
	bool onesided = node_int(call->node, "onesided", 1) != 0;
	int64_t length, frame_step;
	int64_t frames = read_frames(call, &length, &frame_step);
	if (frames < 0)
		return -1;
	if (onesided && signal->dims[2] != 1)
		return operator_error(call, "onesided wants real numbers");
	int64_t dims[] = { signal->dims[0], frames, onesided ? length / 2 + 1 : length, 2 };
	return operator_output(call, 0, signal->data_type, 4, dims);
}

static int
prepare_stft(struct operator_call *call)
{
	const struct tensor_type *signal = &call->inputs[0];
	struct spectrum *spectrum = operator_state(call, sizeof(*spectrum));
	int64_t length, frame_step;
	int64_t frames = read_frames(call, &length, &frame_step);
	if (spectrum == NULL || frames < 0)
		return -1;
	*spectrum = (struct spectrum){
		.data_type = signal->data_type,
		.given = length,
		.wanted = call->outputs[0].dims[2],
		.in_parts = signal->dims[2],
		.out_parts = 2,
		.batch = signal->dims[0],
		.length = signal->dims[1],
		.frames = frames,
		.frame_step = frame_step,
		.has_window = operator_has_input(call, 2),
	};
	call->kernel->run = op_signal_stft;
	return prepare_spectrum(call, spectrum, length);
}

static const struct op signal_operators[] = {
	{ .type = "DFT",
	  .since = 17,
	  .inputs = { 1, 3 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1 | 1 << 2,
	  .infer = infer_dft,
	  .prepare = prepare_dft },
	{ .type = "STFT",
	  .since = 17,
	  .inputs = { 2, 4 },
	  .outputs = { 1, 1 },
	  .known_inputs = 1 << 1 | 1 << 3,
	  .infer = infer_stft,
	  .prepare = prepare_stft },
};

const struct operator_family operator_family_signal = {
	signal_operators,
	sizeof(signal_operators) / sizeof(signal_operators[0]),
};
