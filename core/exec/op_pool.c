/* Poolings: the largest, mean or p-norm of windows that slide over the spatial dimensions. */
#include "exec/op_pool.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "exec/axis.h"
#include "exec/parallel.h"
#include "exec/target.h"

enum {
	GRAIN_ELEMENTS = 4096,
};

struct pool_run {
	const struct pool *pool;
	const struct operands *operands;
};

/* The part of the input that one window sees, of outputs one after the other. */
struct view {
	int64_t position[WINDOW_MAX_RANK];
	int64_t first[WINDOW_MAX_RANK];
	int64_t count[WINDOW_MAX_RANK];
	int64_t padded[WINDOW_MAX_RANK];
};

static int64_t
divide_up(int64_t a, int64_t b)
{
	return a <= 0 ? 0 : (a + b - 1) / b;
}

/* What output position `position` sees along dimension i. */
static struct span
span_of(const struct pool *pool, uint32_t i, int64_t position)
{
	const struct window *window = &pool->window;
	int64_t start = position * window->strides[i] - window->begin[i];
	int64_t dilation = window->dilations[i], kernel = window->kernel[i];
	int64_t skipped = divide_up(-start, dilation);
	int64_t end = divide_up(pool->in[i] - start, dilation);
	int64_t padded = divide_up(pool->in[i] + window->end[i] - start, dilation);
	end = end < kernel ? end : kernel;
	return (struct span){ .first = start + skipped * dilation,
			      .count = end > skipped ? end - skipped : 0,
			      .padded = padded < kernel ? padded : kernel };
}

static int
create_spans(struct operator_call *call, struct pool *pool)
{
	for (uint32_t i = 0; i < WINDOW_MAX_RANK; i++) {
		int64_t count = pool->window.out[i];
		pool->spans[i] =
			arena_calloc(call->arena, (size_t)count, sizeof(pool->spans[i][0]));
		if (pool->spans[i] == NULL)
			return -1;
		for (int64_t k = 0; k < count; k++)
			pool->spans[i][k] = span_of(pool, i, k);
	}
	return 0;
}

static inline void
view_set(struct view *view, const struct pool *pool, uint32_t i, int64_t position)
{
	const struct span *span = &pool->spans[i][position];
	view->position[i] = position;
	view->first[i] = span->first;
	view->count[i] = span->count;
	view->padded[i] = span->padded;
}

/* The view of a plane's first output. */
static void
view_begin(struct view *view, const struct pool *pool)
{
	for (uint32_t i = 0; i < WINDOW_MAX_RANK; i++)
		view_set(view, pool, i, 0);
}

/* On to the next output; behind the last one, back to the first. */
static inline void
view_next(struct view *view, const struct pool *pool)
{
	for (uint32_t i = WINDOW_MAX_RANK; i-- > 0;) {
		bool ends = view->position[i] + 1 == pool->window.out[i];
		view_set(view, pool, i, ends ? 0 : view->position[i] + 1);
		if (!ends)
			return;
	}
}

/* Positions that an average divides by. */
static inline int64_t
view_divisor(const struct view *view, const struct pool *pool)
{
	const int64_t *count = pool->counts_padding ? view->padded : view->count;
	return count[0] * count[1] * count[2];
}

/* The loops over a view; body sees the position of an element in its plane. */
#define EACH(pool, view, at, body)                                                                 \
	for (int64_t z = 0; z < (view).count[0]; z++) {                                            \
		int64_t at_z = (view).first[0] + z * (pool)->window.dilations[0];                  \
		for (int64_t y = 0; y < (view).count[1]; y++) {                                    \
			int64_t at_y = at_z * (pool)->in[1] + (view).first[1] +                    \
				       y * (pool)->window.dilations[1];                            \
			int64_t at = at_y * (pool)->in[2] + (view).first[2];                       \
			for (int64_t x = 0; x < (view).count[2];                                   \
			     x++, at += (pool)->window.dilations[2]) {                             \
				body                                                               \
			}                                                                          \
		}                                                                                  \
	}

/* --- plain -------------------------------------------------------------------------------------------------------- */

/* Index of a position in a plane as the operator's second output has it. */
static int64_t
index_of(const struct pool *pool, int64_t at)
{
	if (!pool->by_columns)
		return at;
	int64_t x = at % pool->in[2], y = at / pool->in[2] % pool->in[1];
	int64_t z = at / pool->in[2] / pool->in[1];
	return (x * pool->in[1] + y) * pool->in[0] + z;
}

#define MAX_PLANE(N, type)                                                                         \
	static void max_plane_##N(const struct pool *pool, const type *in, type *out,              \
				  int64_t *indices, int64_t offset)                                \
	{                                                                                          \
		struct view view;                                                                  \
		view_begin(&view, pool);                                                           \
		for (int64_t i = 0; i < pool->out_size; i++, view_next(&view, pool)) {             \
			int64_t best = -1;                                                         \
			EACH(pool, view, at,                                                       \
			     if (best < 0 || in[at] > in[best] || in[at] != in[at]) best = at;)    \
			out[i] = best < 0 ? 0 : in[best];                                          \
			if (indices != NULL)                                                       \
				indices[i] = offset + index_of(pool, best < 0 ? 0 : best);         \
		}                                                                                  \
	}
MAX_PLANE(FLOAT, float)
MAX_PLANE(DOUBLE, double)
MAX_PLANE(INT8, int8_t)
MAX_PLANE(UINT8, uint8_t)

#define MEAN_PLANE(N, type)                                                                        \
	static void mean_plane_##N(const struct pool *pool, const type *in, type *out)             \
	{                                                                                          \
		struct view view;                                                                  \
		view_begin(&view, pool);                                                           \
		for (int64_t i = 0; i < pool->out_size; i++, view_next(&view, pool)) {             \
			double sum = 0;                                                            \
			if (pool->kind == POOL_AVERAGE) {                                          \
				EACH(pool, view, at, sum += in[at];)                               \
				int64_t divisor = view_divisor(&view, pool);                       \
				sum = divisor == 0 ? 0 : sum / (double)divisor;                    \
			} else if (pool->p == 2) {                                                 \
				EACH(pool, view, at, sum += (double)in[at] * in[at];)              \
				sum = sqrt(sum);                                                   \
			} else {                                                                   \
				EACH(pool, view, at, sum += pow(fabs(in[at]), (double)pool->p);)   \
				sum = pow(sum, 1 / (double)pool->p);                               \
			}                                                                          \
			out[i] = (type)sum;                                                        \
		}                                                                                  \
	}
MEAN_PLANE(FLOAT, float)
MEAN_PLANE(DOUBLE, double)

static void
max_plane(const struct pool_run *run, int64_t plane)
{
	const struct pool *pool = run->pool;
	const void *in = run->operands->inputs[0];
	void *out = run->operands->outputs[0];
	int64_t from = plane * pool->in_size, to = plane * pool->out_size;
	int64_t *indices = NULL;
	if (pool->has_indices)
		indices = (int64_t *)run->operands->outputs[1] + to;
	switch (pool->data_type) {
#define CASE(N, type)                                                                              \
	case DATA_TYPE_##N:                                                                        \
		max_plane_##N(pool, (const type *)in + from, (type *)out + to, indices, from);     \
		break;
		CASE(FLOAT, float)
		CASE(DOUBLE, double)
		CASE(INT8, int8_t)
		CASE(UINT8, uint8_t)
#undef CASE
	default:
		break;
	}
}

static void
mean_plane(const struct pool_run *run, int64_t plane)
{
	const struct pool *pool = run->pool;
	const void *in = run->operands->inputs[0];
	void *out = run->operands->outputs[0];
	int64_t from = plane * pool->in_size, to = plane * pool->out_size;
	if (pool->data_type == DATA_TYPE_FLOAT)
		mean_plane_FLOAT(pool, (const float *)in + from, (float *)out + to);
	else
		mean_plane_DOUBLE(pool, (const double *)in + from, (double *)out + to);
}

/* --- blocked: the channels of a block at once --------------------------------------------------------------------- */

#define MAX_BLOCKED(block)                                                                         \
	TARGET_CLONES static void max_blocked_##block(const struct pool *pool, const float *in,    \
						      float *out)                                  \
	{                                                                                          \
		struct view view;                                                                  \
		view_begin(&view, pool);                                                           \
		for (int64_t i = 0; i < pool->out_size; i++, view_next(&view, pool)) {             \
			float best[block];                                                         \
			for (int k = 0; k < block; k++)                                            \
				best[k] = -INFINITY;                                               \
			EACH(pool, view, at, {                                                     \
				for (int k = 0; k < block; k++) {                                  \
					float value = in[at * block + k];                          \
					best[k] = best[k] > value ? best[k] : value;               \
				}                                                                  \
			})                                                                         \
			memcpy(out + i * block, best, sizeof(best));                               \
		}                                                                                  \
	}
MAX_BLOCKED(8)
MAX_BLOCKED(16)

#define MEAN_BLOCKED(block)                                                                        \
	TARGET_CLONES static void mean_blocked_##block(const struct pool *pool, const float *in,   \
						       float *out)                                 \
	{                                                                                          \
		struct view view;                                                                  \
		view_begin(&view, pool);                                                           \
		for (int64_t i = 0; i < pool->out_size; i++, view_next(&view, pool)) {             \
			float sum[block] = { 0 };                                                  \
			EACH(pool, view, at, {                                                     \
				for (int k = 0; k < block; k++)                                    \
					sum[k] += in[at * block + k];                              \
			})                                                                         \
			int64_t divisor = view_divisor(&view, pool);                               \
			float scale = divisor == 0 ? 0 : 1 / (float)divisor;                       \
			for (int k = 0; k < block; k++)                                            \
				out[i * block + k] = sum[k] * scale;                               \
		}                                                                                  \
	}
MEAN_BLOCKED(8)
MEAN_BLOCKED(16)

static void
blocked_plane(const struct pool_run *run, int64_t plane)
{
	const struct pool *pool = run->pool;
	bool wide = pool->block == LAYOUT_BLOCK_MAX;
	const float *in =
		(const float *)run->operands->inputs[0] + plane * pool->in_size * pool->block;
	float *out = (float *)run->operands->outputs[0] + plane * pool->out_size * pool->block;
	if (pool->kind == POOL_MAX)
		(wide ? max_blocked_16 : max_blocked_8)(pool, in, out);
	else
		(wide ? mean_blocked_16 : mean_blocked_8)(pool, in, out);
}

/* --- the operators ------------------------------------------------------------------------------------------------ */

static void
pool_part(void *context, int64_t begin, int64_t end)
{
	const struct pool_run *run = context;
	for (int64_t plane = begin; plane < end; plane++) {
		if (run->pool->blocked)
			blocked_plane(run, plane);
		else if (run->pool->kind == POOL_MAX)
			max_plane(run, plane);
		else
			mean_plane(run, plane);
	}
}

int
op_pool_run(const void *state, const struct operands *operands)
{
	const struct pool *pool = state;
	struct pool_run run = { pool, operands };
	int64_t plane = (pool->in_size + 1) * (pool->blocked ? pool->block : 1);
	parallel_for(pool->threads, pool->planes, GRAIN_ELEMENTS / plane + 1, pool_part, &run);
	return 0;
}

static bool
is_global(const struct operator_call *call)
{
	return strncmp(call->node->op_type, "Global", 6) == 0;
}

static enum pool_kind
kind_of(const struct operator_call *call)
{
	const char *type = call->node->op_type;
	if (strstr(type, "Max") != NULL)
		return POOL_MAX;
	return strstr(type, "Average") != NULL ? POOL_AVERAGE : POOL_LP;
}

static int
check_type(const struct operator_call *call)
{
	enum data_type data_type = call->inputs[0].data_type;
	bool is_small = data_type == DATA_TYPE_INT8 || data_type == DATA_TYPE_UINT8;
	if (data_type == DATA_TYPE_FLOAT || data_type == DATA_TYPE_DOUBLE ||
	    (is_small && kind_of(call) == POOL_MAX))
		return 0;
	return operator_unimplemented(call, "element type %s is not supported",
				      data_type_name(data_type));
}

/* Batch and channels as they are, then one of each spatial dimension. */
static int
infer_global(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	if (type.rank < 3)
		return operator_error(call, "the input has no spatial dimensions");
	for (uint32_t i = 2; i < type.rank; i++)
		type.dims[i] = 1;
	return check_type(call) != 0
		       ? -1
		       : operator_output(call, 0, type.data_type, type.rank, type.dims);
}

static int
infer_pool(struct operator_call *call)
{
	struct tensor_type type = call->inputs[0];
	struct window window;
	if (check_type(call) != 0 || window_read(call, NULL, &window) != 0)
		return -1;
	memcpy(type.dims + 2, window.out, window.rank * sizeof(window.out[0]));
	operator_output(call, 1, DATA_TYPE_INT64, type.rank, type.dims);
	return operator_output(call, 0, type.data_type, type.rank, type.dims);
}

/* A window over everything; the spatial dimensions count as one, whatever their number. */
static void
use_global(struct pool *pool)
{
	const struct window whole = { .rank = 1,
				      .kernel = { 1, 1, pool->in_size },
				      .strides = { 1, 1, 1 },
				      .dilations = { 1, 1, 1 },
				      .out = { 1, 1, 1 } };
	pool->window = whole;
	pool->in[0] = pool->in[1] = 1;
	pool->in[2] = pool->in_size;
}

static int
prepare_pool(struct operator_call *call)
{
	const struct tensor_type *input = &call->inputs[0];
	struct pool *pool = operator_state(call, sizeof(*pool));
	if (pool == NULL)
		return -1;
	pool->kind = kind_of(call);
	pool->data_type = input->data_type;
	pool->blocked = call->input_layouts[0] == LAYOUT_BLOCKED;
	pool->block = layout_block();
	pool->planes = input->dims[0] * layout_view(input, call->input_layouts[0]).dims[1];
	pool->in_size = axis_from(input, 2).dim;
	pool->out_size = axis_from(&call->outputs[0], 2).dim;
	pool->counts_padding = node_int(call->node, "count_include_pad", 0) != 0;
	pool->has_indices = operator_has_output(call, 1);
	pool->by_columns = node_int(call->node, "storage_order", 0) != 0;
	pool->p = node_int(call->node, "p", 2);
	pool->threads = call->threads;
	call->kernel->run = op_pool_run;
	if (pool->p < 1)
		return operator_error(call, "p is %" PRId64, pool->p);
	if (is_global(call)) {
		use_global(pool);
		return create_spans(call, pool);
	}
	if (window_read(call, NULL, &pool->window) != 0)
		return -1;
	window_spread(&pool->window, input, pool->in);
	return create_spans(call, pool);
}

static bool
pool_blocks(const struct operator_call *call)
{
	return call->inputs[0].data_type == DATA_TYPE_FLOAT && call->inputs[0].rank >= 3 &&
	       call->inputs[0].dims[1] >= layout_block() && kind_of(call) != POOL_LP &&
	       !operator_has_output(call, 1);
}

/* clang-format off */
#define OPERATOR(NAME, OUTPUTS, INFER)                                                             \
	{ .type = NAME, .since = 1, .inputs = { 1, 1 }, .outputs = { 1, OUTPUTS },                 \
	  .layouts = OPERATOR_LAYOUTS_SPATIAL, .infer = INFER, .prepare = prepare_pool,            \
	  .blocks = pool_blocks }
/* clang-format on */

static const struct op pool_operators[] = {
	OPERATOR("MaxPool", 2, infer_pool),
	OPERATOR("AveragePool", 1, infer_pool),
	OPERATOR("LpPool", 1, infer_pool),
	OPERATOR("GlobalMaxPool", 1, infer_global),
	OPERATOR("GlobalAveragePool", 1, infer_global),
	OPERATOR("GlobalLpPool", 1, infer_global),
};

const struct operator_family operator_family_pool = {
	pool_operators,
	sizeof(pool_operators) / sizeof(pool_operators[0]),
};
