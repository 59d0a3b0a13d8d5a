/* Our own Scale: x * factor + summand, one of each a channel, on either layout; what batch normalisations become. */
#include <inttypes.h>

#include "exec/operator.h"
#include "exec/parallel.h"
#include "exec/post_rows.h"
#include "exec/target.h"

enum {
	/* Elements worth a thread of their own. */
	GRAIN_ELEMENTS = 16384,
};

struct scale {
	/* Rows are one channel, or one block of channels, of one item of the batch. */
	int64_t rows;
	int64_t rows_each;
	/* Elements of a row. */
	int64_t length;
	int64_t channels;
	bool blocked;
	/* When blocked: channels of a block, and what does a row of them. */
	int64_t block;
	void (*run_blocked)(float *out, const float *in, int64_t n, const float *factors,
			    const float *summands);
	unsigned threads;
	struct post_rows posts;
};

struct scale_run {
	const struct scale *scale;
	const struct operands *operands;
};

TARGET_CLONES static void
scale_plain(float *out, const float *in, int64_t n, float factor, float summand)
{
	IN_PLACE_LOOP
	for (int64_t i = 0; i < n; i++)
		out[i] = in[i] * factor + summand;
}

/* Rows of so many elements, each with its own factor. */
#define SCALE_BLOCKED(block)                                                                       \
	TARGET_CLONES static void scale_blocked_##block(float *restrict out, const float *in,      \
							int64_t n, const float *factors,           \
							const float *summands)                     \
	{                                                                                          \
		for (int64_t i = 0; i < n; i += block)                                             \
			for (int64_t c = 0; c < block; c++)                                        \
				out[i + c] = in[i + c] * factors[c] + summands[c];                 \
	}
SCALE_BLOCKED(8)
SCALE_BLOCKED(16)

/* Factors and summands of a block; 0 for channels that are padding. */
static void
load_block(const struct scale *scale, const float *from, int64_t block, float *to)
{
	for (int64_t c = 0; c < scale->block; c++) {
		int64_t channel = block * scale->block + c;
		to[c] = channel < scale->channels ? from[channel] : 0;
	}
}

static void
run_scale_rows(void *context, int64_t begin, int64_t end)
{
	const struct scale_run *run = context;
	const struct scale *scale = run->scale;
	const float *factors = run->operands->inputs[1];
	const float *summands = run->operands->inputs[2];
	for (int64_t row = begin; row < end; row++) {
		const float *in = (const float *)run->operands->inputs[0] + row * scale->length;
		float *out = (float *)run->operands->outputs[0] + row * scale->length;
		int64_t at = row % scale->rows_each;
		if (scale->blocked) {
			float block[2][LAYOUT_BLOCK_MAX];
			load_block(scale, factors, at, block[0]);
			load_block(scale, summands, at, block[1]);
			scale->run_blocked(out, in, scale->length, block[0], block[1]);
		} else {
			scale_plain(out, in, scale->length, factors[at], summands[at]);
		}
		post_rows_apply(&scale->posts, out, scale->length);
	}
}

static int
run_scale(const void *state, const struct operands *operands)
{
	const struct scale *scale = state;
	struct scale_run run = { scale, operands };
	parallel_for(scale->threads, scale->rows, GRAIN_ELEMENTS / scale->length + 1,
		     run_scale_rows, &run);
	return 0;
}

static int
infer_scale(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	if (in->rank < 2 || in->dims[1] != call->inputs[1].dims[0])
		return operator_error(call, "the statistics do not fit the input's channels");
	if (in->data_type != DATA_TYPE_FLOAT)
		return operator_unimplemented(call, "element type %s is not supported",
					      data_type_name(in->data_type));
	return infer_same(call);
}

static int
prepare_scale(struct operator_call *call)
{
	const struct tensor_type *in = &call->inputs[0];
	struct scale *scale = operator_state(call, sizeof(*scale));
	if (scale == NULL)
		return -1;
	scale->blocked = call->input_layouts[0] == LAYOUT_BLOCKED;
	scale->block = layout_block();
	scale->run_blocked = scale->block == LAYOUT_BLOCK_MAX ? scale_blocked_16 : scale_blocked_8;
	scale->channels = in->dims[1];
	scale->rows_each =
		scale->blocked ? (in->dims[1] + scale->block - 1) / scale->block : in->dims[1];
	scale->rows = in->dims[0] * scale->rows_each;
	scale->length =
		(int64_t)(layout_bytes(in, call->input_layouts[0]) / sizeof(float)) / scale->rows;
	scale->threads = call->threads;
	call->kernel->run = run_scale;
	return post_rows_create(&scale->posts, call);
}

/* Posts that do not keep zeros zero would write into the padding. */
static bool
scale_blocks(const struct operator_call *call)
{
	return call->inputs[0].dims[1] % layout_block() == 0;
}

static const struct op scale_operators[] = {
	{ .domain = "tidepool",
	  .type = "Scale",
	  .since = 1,
	  .inputs = { 3, 3 },
	  .outputs = { 1, 1 },
	  .flags = OPERATOR_IN_PLACE | OPERATOR_UNARY_POSTS,
	  .layouts = OPERATOR_LAYOUTS_UNARY,
	  .infer = infer_scale,
	  .prepare = prepare_scale,
	  .blocks = scale_blocks },
};

const struct operator_family operator_family_scale = {
	scale_operators,
	sizeof(scale_operators) / sizeof(scale_operators[0]),
};
